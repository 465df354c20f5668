SELECT cluster, pairs, kept, files, hosts, max_distance FROM duplicates LIMIT 1000
