"""What the kinds of benchmark share."""
