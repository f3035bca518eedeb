"""File name suffixes that a directory scan looks for; importing this costs nothing."""

from __future__ import annotations

from functools import cache
from importlib.util import find_spec

_PICTURE_SUFFIXES: frozenset[str] = frozenset(
    {
        ".jpg",
        ".jpeg",
        ".jpe",
        ".jfif",
        ".mpo",
        ".png",
        ".apng",
        ".gif",
        ".webp",
        ".avif",
        ".bmp",
        ".dib",
        ".tif",
        ".tiff",
        ".jp2",
        ".j2k",
        ".j2c",
        ".jpc",
        ".jpf",
        ".jpx",
        ".ppm",
        ".pgm",
        ".pbm",
        ".pnm",
        ".tga",
        ".ico",
        ".icns",
        ".qoi",
        ".dds",
        ".psd",
        ".sgi",
        ".pcx",
    }
)
"""Lower-case, with the dot. Only a scan uses them: a file that is named by hand is judged by its content."""

_HEIF_SUFFIXES = frozenset({".heic", ".heif", ".hif"})

ANIMATION_SUFFIXES: frozenset[str] = frozenset({".gif", ".apng"})
"""Those of them that usually move: in a directory with other pictures they are left to ``gradcam gif``."""


@cache
def picture_suffixes() -> frozenset[str]:
    """Return the suffixes of the pictures that can be read: HEIC's only with its package."""
    return _PICTURE_SUFFIXES | _HEIF_SUFFIXES if find_spec("pi_heif") else _PICTURE_SUFFIXES
