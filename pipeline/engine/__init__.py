"""Where tasks run: serial, Ray, rounds of resumable tasks, threads that keep results in order."""
