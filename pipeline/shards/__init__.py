"""The samples of shards: their JSON, their place in a tar, their order, the work of one task."""
