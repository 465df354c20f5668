"""`evaluate`: how well models do that were trained on selections."""
