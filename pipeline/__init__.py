"""The road: one file per verb, and what they stand on (store, engine)."""
