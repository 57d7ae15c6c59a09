"""One scenario: tokens/s over fresh processes, and what holds it back."""
