"""File name suffixes that a directory scan looks for; importing this costs nothing."""

from __future__ import annotations

PICTURE_SUFFIXES: frozenset[str] = frozenset(
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

ANIMATION_SUFFIXES: frozenset[str] = frozenset({".gif", ".apng"})
"""Those of them that usually move: in a directory with other pictures they are left to ``gradcam gif``."""
