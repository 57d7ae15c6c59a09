"""The saved results: listed, shown again, compared, exported, published in documents, and deleted."""
