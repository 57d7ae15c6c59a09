"""Saved results beside each other: what differs between them, and whether one is faster."""
