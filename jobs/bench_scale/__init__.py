"""What deciding and scheduling cost at sizes that are not measured, from what is."""
