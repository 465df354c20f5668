"""Alignment beyond one cosine: a pair among random others, and its nearness to target images."""
