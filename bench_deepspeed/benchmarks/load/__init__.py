"""`bench.sh load`: many requests at a time, their latency, and how many the target can bear."""
