"""Checkpoints: read safely, recognised, and fitted to an architecture."""
