"""Models: what there is, and the arithmetic that follows from their shape."""
