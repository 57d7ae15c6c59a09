"""Reports of any kind: neutral descriptions, and the formats that show them. Knows no kind of result."""
