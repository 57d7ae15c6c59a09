"""`bench.sh ab`: is B faster than A? Both loaded at once, timed in turn, several pairs of processes."""
