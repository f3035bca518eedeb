"""Pictures and streams in and out: the one room that touches files."""
