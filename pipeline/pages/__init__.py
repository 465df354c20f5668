"""Pages of a crawl: the records of WARC and WAT files, their HTML, and the pairs in them."""
