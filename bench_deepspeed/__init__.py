"""Benchmarks of DeepSpeed-MII: how fast, how right, and what holds it back."""

__version__ = "0.1.0"
