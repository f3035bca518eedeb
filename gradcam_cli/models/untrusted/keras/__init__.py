"""Keras files, copied without anything that could be executed."""
