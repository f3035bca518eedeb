"""Reading and writing still pictures."""
