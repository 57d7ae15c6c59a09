"""The process that loads an engine, and its parent's side."""
