"""Pictures, servers and certificates that benchmarks are fed with."""
