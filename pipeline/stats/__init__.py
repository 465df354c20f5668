"""`stats.duckdb` and the sections of the HTML pages made from it, with their templates."""
