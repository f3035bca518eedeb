"""Hints for names that are almost right."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


def close_to(name: str, known: Sequence[str], prefix: str = "") -> str:
    """Return a hint with the names that look like ``name``, ``prefix`` put in front; empty when none does."""
    close = difflib.get_close_matches(name.lower().replace("-", "_"), known, n=3, cutoff=0.6)
    return f"did you mean {' or '.join(f'{prefix}{each}' for each in close)}?" if close else ""
