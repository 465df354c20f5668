"""One sample of the shards: its JSON, its files, its image, its place in a shard."""
