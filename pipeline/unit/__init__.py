"""The work of one `gather` task: which pairs, and what it leaves of them."""
