"""`bench.sh sweep`: many scenarios, batches among them, each engine loaded once in each precision."""
