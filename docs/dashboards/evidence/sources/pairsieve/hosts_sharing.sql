SELECT host, other, clusters AS pictures, pairs, kept FROM hosts_sharing LIMIT 1000
