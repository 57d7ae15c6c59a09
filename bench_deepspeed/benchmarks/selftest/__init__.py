"""The suite measured by itself."""
