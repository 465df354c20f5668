"""Reading pairs: one file per format, staging, and the input's own extra columns."""
