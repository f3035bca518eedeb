"""The orientation of pictures that Pillow decodes, by their EXIF data."""

from __future__ import annotations

from PIL import Image

_ORIENTATION = 0x0112
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}

ASIDE = frozenset(_UPRIGHT[each] for each in (5, 6, 7, 8))
"""Turns that swap width and height."""


def turn(image: Image.Image) -> Image.Transpose | None:
    """Return the turn that makes a picture upright by its EXIF data, if any; unreadable EXIF data is ignored."""
    try:
        return _UPRIGHT.get(image.getexif().get(_ORIENTATION, 1))
    except Exception:  # broken metadata must not cost a good picture
        return None
