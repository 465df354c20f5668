"""`profile`: what the largest hosts of an input say, how they answer, and paces for them."""
