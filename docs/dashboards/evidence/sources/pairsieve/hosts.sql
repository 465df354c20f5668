SELECT host, pairs, ok, kept, bytes, milliseconds, attempts, robots, kept_per_mb FROM hosts LIMIT 1000
