"""Saved results next to each other: what differs between them, and whether one is faster."""
