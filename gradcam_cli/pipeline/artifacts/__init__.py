"""Artifacts: the kinds of result, a file for each family and a line in ``registry.ARTIFACTS``."""
