"""What is declared about the use of an image: robots.txt, opt-outs in all their forms, rights."""
