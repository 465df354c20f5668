"""What deciding costs at sizes that are not measured, and what a pool costs that grows."""
