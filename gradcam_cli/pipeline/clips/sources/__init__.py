"""Media of moving pictures, a file for each and a line in ``registry.MEDIA``."""
