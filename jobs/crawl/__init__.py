"""`pairsieve extract`: pairs from the pages of a crawl."""
