"""Taking pairs out of a dataset: what was named, where it lies, what is written instead."""
