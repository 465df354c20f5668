"""One file per command: the stages above, `run`, `status`, `search`, `export`, `gc`, `check`."""
