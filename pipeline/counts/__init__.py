"""What is counted over the whole pool: how often a caption, a URL or a host occurs."""
