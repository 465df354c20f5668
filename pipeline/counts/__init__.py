"""What `group` finds of captions, URLs and hosts: counts, concepts, clusters, boiler-plate."""
