"""The type of figures: matplotlib's own font, and fonts of this machine for what it lacks; widths of texts."""

from __future__ import annotations

import functools
import logging
import warnings

from matplotlib.font_manager import FontProperties, fontManager, get_font
from matplotlib.textpath import text_to_path

for _library in ("matplotlib", "fontTools"):  # caches and tables of fonts are no messages for our users
    logging.getLogger(_library).setLevel(logging.ERROR)
warnings.filterwarnings("ignore", r"Glyph \d+ .* missing from", UserWarning)  # `lacking` finds them beforehand

OWN = "DejaVu Sans"

_OTHERS = (
    "Noto Sans CJK SC", "Noto Sans CJK JP", "Noto Sans CJK KR", "PingFang SC", "Hiragino Sans", "Microsoft YaHei",
    "Yu Gothic", "Malgun Gothic", "WenQuanYi Micro Hei", "WenQuanYi Zen Hei", "Droid Sans Fallback", "Noto Sans Thai",
    "Noto Sans Devanagari", "Noto Sans Bengali", "Arial Unicode MS", "Nirmala UI", "Leelawadee UI",
)  # fmt: skip
"""Fonts of systems with the scripts that ours lacks."""

CAPITALS, DESCENT = 0.73, 0.24
"""Height of the capitals, and depth of the descenders, as shares of the size."""


@functools.cache
def _families() -> tuple[str, ...]:
    there = {font.name for font in fontManager.ttflist}
    return (OWN, *(name for name in _OTHERS if name in there))


@functools.cache
def font(points: float, *, bold: bool = False) -> FontProperties:
    """Return the font of a size; characters that it lacks come from other fonts."""
    return FontProperties(family=list(_families()), weight="bold" if bold else "normal", size=points,
        style="normal", variant="normal", stretch="normal",
    )  # fmt: skip


@functools.lru_cache(maxsize=4096)
def text_width(text: str, points: float, *, bold: bool = False) -> float:
    """Return the width of a line in points (1/72 inch)."""
    if not text:
        return 0.0
    width, _, _ = text_to_path.get_text_width_height_descent(text, font(points, bold=bold), ismath=False)
    return float(width)


def lacking(text: str) -> str:
    """Return the characters of a text that no font of this machine has, each once; they appear as boxes."""
    from matplotlib.font_manager import findfont

    left = {character for character in text if not character.isspace()}
    for family in _families():
        if not left:
            break
        known = get_font(findfont(FontProperties(family=family))).get_charmap()
        left = {character for character in left if ord(character) not in known}
    return "".join(sorted(left))
