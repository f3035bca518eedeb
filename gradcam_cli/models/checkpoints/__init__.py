"""Checkpoints: reading them safely, recognising their network, and fitting them to it."""
