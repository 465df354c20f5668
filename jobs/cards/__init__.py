"""The command `card`: what is published about a selection."""
