"""The table with one row per pair, the SQL over it, and the rules of `keep` as SQL."""
