"""What runs in a process of its own: ours and theirs."""
