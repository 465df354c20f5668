"""All benchmarks by one command, and what they measured in the documentation."""
