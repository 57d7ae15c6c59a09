"""The machine: what it has, what it is doing, and what it can do at most."""
