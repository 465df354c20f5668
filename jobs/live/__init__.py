"""What a run shows while it goes: on the terminal, as lines, and as metrics for Prometheus."""
