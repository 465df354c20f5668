"""Many selections of one pool: how each was made, how two differ, what other thresholds keep."""
