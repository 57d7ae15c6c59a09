"""`bench.sh ab`: is B faster than A? Both loaded at once, with interleaved generations, several pairs of processes."""
