"""What all tests of commands share."""

from __future__ import annotations

import os

import pytest


@pytest.fixture(autouse=True)
def _no_settings_of_the_environment(monkeypatch):
    """Commands take defaults from the environment, which are not to be those of who runs the tests."""
    for name in list(os.environ):
        if name.startswith("GRADCAM_"):
            monkeypatch.delenv(name)
