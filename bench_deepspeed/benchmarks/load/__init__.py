"""`bench.sh load`: many requests at a time, their latency, and the highest sustained rate."""
