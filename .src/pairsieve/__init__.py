"""pairsieve turns (image URL, alt text) pairs into clean, deduplicated WebDataset shards."""

__version__ = "0.1.0"
