"""What is published about a selection: card, Croissant, training content, quality, takedowns."""
