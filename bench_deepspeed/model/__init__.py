"""Models: the catalog, and the arithmetic that follows from their shape."""
