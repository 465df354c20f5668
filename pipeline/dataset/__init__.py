"""What lies in a dataset and how it gets there: storage, markers, the commit, every path."""
