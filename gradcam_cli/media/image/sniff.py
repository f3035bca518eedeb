"""Description of files that are not readable pictures, by their first bytes."""

from __future__ import annotations

import re
from importlib.util import find_spec
from typing import Literal

HEAD = 1 << 16
"""Number of first bytes that `describe` needs: an animated PNG may have its profile in front."""

_TEXT = rb"(?:\xef\xbb\xbf)?\s*"  # text may begin with a byte order mark and blanks

VIDEO = rb"....ftyp(?!avi[fs])|\x1a\x45\xdf\xa3|RIFF....AVI |\x00\x00\x01[\xb3\xba]|FLV\x01"
"""Beginnings of videos."""
STILL = (
    rb"\xff\xd8\xff|\x89PNG(?!(?:(?!IDAT).)*?acTL)|BM|II[*+]\0|MM\0[*+]|....jP  |\xff\x4f\xff\x51|8BPS|P[1-6]\s|qoif"
)
"""Beginnings of pictures that do not move."""

RAW = "is a camera's raw file, of which only a thumbnail can be read", "develop it first: export it as JPEG or PNG"

_DAMAGED = (
    "is a picture that is damaged, cut off or of a variant that is not supported",
    "copy or download it again, or save it anew as PNG or JPEG",
)

# The first pattern that matches the beginning decides.
_KINDS: tuple[tuple[bytes, str, str], ...] = (
    (rb"\Z", "is empty", "copy or download it again"),
    (
        rb"version https://git-lfs",
        "is a Git LFS pointer, not the picture itself",
        "fetch the picture with 'git lfs pull'",
    ),
    (
        _TEXT + rb"(?:<!--.*?-->\s*)?(?i:<!doctype html|<html|<head|<body)",
        "is a web page, not a picture",
        "open it in a browser to see why the download failed",
    ),
    (
        _TEXT + rb"(?:<\?xml.*?)?(?:<!--.*?-->\s*)?(?:<!DOCTYPE svg.*?)?<svg",
        "is an SVG drawing, which has no pixels",
        "export it as PNG",
    ),
    (rb"%PDF", "is a PDF document, not a picture", "export the page as PNG or JPEG"),
    (rb"%!PS|\xc5\xd0\xd3\xc6", "is a PostScript file, which is never run here", "export it as PNG"),
    (rb"PK(?:\x03\x04|\x05\x06)", "is a zip archive, not a picture", "unpack it first"),
    (rb"\x1f\x8b|BZh|\xfd7zXZ|7z\xbc\xaf|Rar!", "is a compressed archive, not a picture", "unpack it first"),
    (rb"II\*\0....CR|II(?:RO|RS|U\0)|MMOR|FUJIFILMCCD-RAW|FOVb|\0MRM|....ftypcrx ", *RAW),
    (
        rb".{128}DICM",
        "is a DICOM file",
        "save its picture as PNG, with the window that you look at; pydicom or a viewer can do it",
    ),
    (rb".{344}(?:n\+|ni)1\0", "is a NIfTI volume", "save a slice of it as PNG; nibabel or a viewer can do it"),
    (
        rb"....ftyp(?:hei[cxms]|hev[cxms]|mif1|msf1)",
        "is a HEIC/HEIF picture, which needs one more package",
        "pip install 'gradcam[heif]', or convert it to JPEG or PNG",
    ),
    (VIDEO, "is a video, not a still picture", "use 'gradcam video' for it"),
    (
        rb"\xff\xd8\xff|\x89PNG|GIF8|BM|II[*+]\0|MM\0[*+]|RIFF....WEBP|....ftypavi[fs]|....jP  |\xff\x4f\xff\x51|8BPS",
        *_DAMAGED,
    ),
)


def describe(head: bytes) -> tuple[str, str]:
    """Describe a file by its first bytes (``"is a web page, not a picture"``), and return that with a remedy."""
    for pattern, what, hint in _KINDS:
        if re.match(pattern, head, re.DOTALL):
            return _DAMAGED if "HEIC" in what and find_spec("pi_heif") else (what, hint)
    return "is not a picture of a known kind", "give a JPEG, PNG, WebP, AVIF, GIF, BMP or TIFF file"


def misplaced(head: bytes, expected: Literal["picture", "clip", "animation"]) -> tuple[str, str] | None:
    """Return what is wrong with a file for a command, by its first bytes, and the right commands; None where it may do.

    Args:
        head: the first bytes.
        expected: what the command takes: a picture, a clip, or one that may be an animation.

    Returns:
        The problem, and one or two commands, with ``*`` in the place of the file.
    """
    if expected == "picture":
        what = describe(head)[0]
        return (what, "gradcam video *") if re.match(VIDEO, head, re.DOTALL) and "video" in what else None
    if not re.match(STILL, head, re.DOTALL):
        return None
    if expected == "clip":
        return "is a picture, not a video", "gradcam image *"
    sweep = "gradcam gif * {sweep} channels, or layers, classes, methods"
    return "is a still picture, which does not move", f"{sweep}; or explain it as it is: gradcam image *"
