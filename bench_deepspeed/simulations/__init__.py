"""Measurements of the suite itself: its own code, on an engine whose truth is known."""
