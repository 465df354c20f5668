"""Copies inside the pool: near-duplicates, semantic duplicates, placeholders; the steps of `group`."""
