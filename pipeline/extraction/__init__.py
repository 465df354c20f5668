"""Extracting a whole crawl: its files, what each gives, and which pairs are the first of a kind."""
