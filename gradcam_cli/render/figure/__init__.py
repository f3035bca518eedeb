"""The comparison's figure."""
