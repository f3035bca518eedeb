"""Animations as files."""
