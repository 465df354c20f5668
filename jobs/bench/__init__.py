"""What pairsieve costs, measured beside what others use; only CPU time and memory, never a wait."""
