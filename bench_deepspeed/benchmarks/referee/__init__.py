"""Benchmark tools, this suite's own among them, measured against a server whose times are known."""
