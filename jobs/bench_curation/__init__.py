"""`bench curation`: small models trained on what different rules keep of one web, and compared."""
