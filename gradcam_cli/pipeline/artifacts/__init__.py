"""Artifacts: the kinds of result, with one file per family and one line each in ``registry.ARTIFACTS``."""
