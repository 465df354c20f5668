"""What people run: the command line, the demo, benchmarks."""
