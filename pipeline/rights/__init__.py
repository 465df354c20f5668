"""What is declared about the use of an image: opt-outs in all their forms, and rights."""
