"""Looking at a dataset: SQL that can only read, and the figures behind the pages of `explore`."""
