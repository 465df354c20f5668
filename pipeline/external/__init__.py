"""Lists from outside that pairs are compared with: blocklist, earlier datasets, evaluation sets."""
