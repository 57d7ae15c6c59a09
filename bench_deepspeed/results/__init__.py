"""The runs that were saved: found, listed, shown again, and deleted."""
