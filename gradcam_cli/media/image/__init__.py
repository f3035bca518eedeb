"""Still pictures as files."""
