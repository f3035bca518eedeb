"""Inputs → jobs, decided before torch is imported: what to read, what to write, what exists already."""
