"""`bench web` and `bench pipeline`: a web in a process of its own, fetched by us and others."""
