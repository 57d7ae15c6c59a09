"""One scenario: tokens/s over fresh processes, and what limits it."""
