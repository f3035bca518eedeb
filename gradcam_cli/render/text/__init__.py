"""Text drawn into pictures."""
