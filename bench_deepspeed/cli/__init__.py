"""The command line: parsing, and the command that it names."""
