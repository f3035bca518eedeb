"""Texts that are too long for their place, cut with ``…``."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import re
    from collections.abc import Callable


def cut(text: str, ending: re.Pattern[str], fits: Callable[[str], bool]) -> tuple[str, str]:
    """Return the longest shortened text that fits, and the ending that it keeps.

    Args:
        text: too long a text.
        ending: matches an ending that is kept, if it fits with ``…`` alone.
        fits: whether a text has room.

    Returns:
        The text; empty where not even its first letter has room. The ending; empty where none is kept.
    """
    found = ending.search(text)
    kept = found[0] if found and fits(f"…{found[0]}") else ""
    head = text[: len(text) - len(kept)]

    def shorter(count: int) -> str:
        return f"{head[:count].rstrip()}…{kept}"

    good, bad = 0, len(head)
    while bad - good > 1:
        middle = (good + bad) // 2
        good, bad = (middle, bad) if fits(shorter(middle)) else (good, middle)
    return shorter(good) if good else "", kept
