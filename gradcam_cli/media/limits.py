"""Size limits of pictures, frames and clips: larger ones are refused before they cost memory or time."""

from __future__ import annotations

from PIL import Image

from gradcam_cli.errors import InputError

PICTURE_PIXELS = 178_956_970
"""Most pixels of a picture: Pillow's own limit for a decompression bomb."""

ANIMATION_PIXELS = 1 << 25
"""Most pixels of an animation's canvas (8K). Few bytes can state a large one, and memory follows it: two GiB here."""

FRAME_PIXELS = 1 << 26
"""Most pixels of a video's frame (8192×8192)."""


def check_pixels(width: int, height: int, most: int, name: str, what: str = "") -> None:
    """Refuse a picture of more than ``most`` pixels.

    Args:
        width: of the picture.
        height: of the picture.
        most: largest number of pixels allowed.
        name: the file's name in the error message.
        what: subject of the message: ``its frames of 9000×9000 have``; by default it is the file itself.

    Raises:
        InputError: the picture has more pixels.
    """
    if width * height > most:
        raise too_large(most, f"{name}: {what or 'has'}", f": {{max_pixels}} {_rounded_up(width * height)}")


def too_large(most: int, what: str, how: str = " with {max_pixels}") -> InputError:
    """Return the error for a picture of more than ``most`` pixels: ``cat.png: has``."""
    size = f"{most // 10**6} million" if most >= 10**6 else f"{most}"
    return InputError(f"{what} more than {size} pixels", f"make it smaller first, or raise the limit{how}")


def check_frames(count: int, most: int | None, name: str, hint: str) -> None:
    """Refuse a clip of more than ``most`` frames; None is no limit.

    Raises:
        InputError: the clip has more frames; the error's hint begins with ``hint``.
    """
    if most is not None and count > most:
        raise InputError(f"{name}: has more than {most} frames", f"{hint}, or raise the limit with {{max_frames}}")


def let_pillow(most: int) -> None:
    """Raise Pillow's own limit, which holds for the whole process, to ``most`` pixels where it is lower."""
    if Image.MAX_IMAGE_PIXELS is not None and most > 2 * Image.MAX_IMAGE_PIXELS:
        Image.MAX_IMAGE_PIXELS = (most + 1) // 2  # Pillow refuses more than twice this number


def _rounded_up(pixels: int) -> str:
    return f"{-(-pixels // 10**6)}M" if pixels > 10**6 else str(pixels)
