"""Where tasks run: serial, Ray, rounds of resumable tasks, threads whose results keep their order."""
