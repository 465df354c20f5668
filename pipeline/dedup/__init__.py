"""Copies inside the pool: near-duplicates, semantic duplicates, placeholders; `group`'s steps."""
