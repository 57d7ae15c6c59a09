"""The machine: its hardware and software, its load, and what it can do at most."""
