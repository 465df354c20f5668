"""Whether what is committed is still there as it was: checksums, shards, and how to mend damage."""
