"""Shards of a pool that has grown: which of them stay, what leaves them, what is appended."""
