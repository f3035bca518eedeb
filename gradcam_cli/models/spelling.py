"""Hints for names that are almost right."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


def close_to(name: str, known: Sequence[str], prefix: str = "") -> str:
    """Return a hint with known names similar to ``name``, each after ``prefix``; empty when there is none."""
    close = difflib.get_close_matches(name.lower().replace("-", "_"), known, n=3, cutoff=0.6)
    return f"did you mean {' or '.join(f'{prefix}{each}' for each in close)}?" if close else ""
