"""Recipes: the commented one to start from, and what is wrong with one."""
