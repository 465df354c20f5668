"""Exact search of 64-bit hashes: in memory, distributed, two sets, a few look-ups; union-find."""
