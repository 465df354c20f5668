"""What `embed` leaves: vectors, the record of their model, the scores on them, the index."""
