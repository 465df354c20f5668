"""The shards of a selection: what samples hold, their order, the work of one task, listings."""
