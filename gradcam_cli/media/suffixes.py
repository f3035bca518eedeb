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
"""Lower-case, with the dot. Only a scan uses them: a file that is named itself is identified by its content."""

VIDEO_SUFFIXES: frozenset[str] = frozenset(
    {
        ".mp4",
        ".m4v",
        ".mov",
        ".mkv",
        ".webm",
        ".avi",
        ".mpg",
        ".mpeg",
        ".ts",
        ".mts",
        ".m2ts",
        ".3gp",
        ".ogv",
        ".flv",
        ".wmv",
    }
)
"""Suffixes that a scan takes for videos."""

ANIMATION_SUFFIXES: frozenset[str] = frozenset({".gif", ".webp", ".apng", ".avif"})
"""Suffixes that a scan takes for animations; a still picture among them is an animation of one frame."""
