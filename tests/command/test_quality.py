"""The check of the answers: its numbers against their definitions, its verdict against a real fault."""
