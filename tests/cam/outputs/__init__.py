"""Tests of what networks return."""
