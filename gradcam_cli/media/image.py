"""Still pictures in: any file that Pillow decodes → upright, opaque 8-bit RGB."""

from __future__ import annotations

import errno
import io
import logging
import warnings
from functools import cache
from typing import TYPE_CHECKING, BinaryIO

from PIL import Image, UnidentifiedImageError

from gradcam_cli.errors import InputError
from gradcam_cli.files import explain_read_error, refusal
from gradcam_cli.media import pixels, sniff
from gradcam_cli.media.limits import PICTURE_PIXELS, check_pixels, let_pillow, too_large
from gradcam_cli.media.suffixes import PICTURE_SUFFIXES
from gradcam_cli.records import Picture
from gradcam_cli.text import printable

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["PICTURE_SUFFIXES", "read_picture"]

# Tried in this order, the common ones first. Missing on purpose: what starts another program (EPS, WMF), what only
# names a file without decoding it, and what has no signature, so that any rubbish passes for it (TGA excepted).
# fmt: off
_FORMATS = (
    "JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF", "JPEG2000", "PPM", "DIB", "ICO", "ICNS",
    "CUR", "QOI", "DDS", "PSD", "PCX", "SGI", "SUN", "MSP", "XBM", "XPM", "TGA",
)
# fmt: on

_ONE_PICTURE = frozenset({"MPO", "PSD"})  # their other "frames" are previews, depth maps and layers

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

# Pillow warns of odd metadata and of large pictures; neither concerns a user whose picture is read. Once for the
# process, because readers run in threads and warnings.catch_warnings() would mix up theirs.
warnings.filterwarnings("ignore", category=UserWarning, module=r"PIL\.")
warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)
logging.getLogger("PIL").addHandler(logging.NullHandler())


def read_picture(source: Path | bytes, name: str, max_pixels: int | None = None) -> Picture:
    """Read a still picture; its content decides what it is, not its suffix.

    EXIF orientation is applied, transparency is put on white, only the first frame or page is read (which
    ``Picture.notes`` then says), colour profiles are ignored, and more than 8 bits are scaled to 8, never clipped.
    Safe to call from several threads.

    Args:
        source: a file's path or its content.
        name: how error messages call it.
        max_pixels: larger ones are refused from their header; None is `limits.PICTURE_PIXELS`.

    Returns:
        The picture: uint8 RGB (H, W, 3), C-contiguous.

    Raises:
        InputError: there is no such file, it is not a regular file, or not a whole picture of at most
            ``max_pixels``.
    """
    name = printable(name)
    if not isinstance(source, bytes):
        refused = refusal(source, "a picture", "give a picture's path, or - for standard input")
        if refused:
            raise InputError(f"{name}: {refused[0]}", refused[1])
    try:
        with io.BytesIO(source) if isinstance(source, bytes) else source.open("rb") as stream:
            return _read(stream, name, max_pixels or PICTURE_PIXELS)
    except OSError as error:
        what, hint = explain_read_error(error)
        raise InputError(f"{name}: {what}", hint) from error


def _read(stream: BinaryIO, name: str, most: int) -> Picture:
    """Decode an open, seekable stream."""
    let_pillow(most)
    head = stream.read(sniff.HEAD)
    stream.seek(0)
    try:
        with Image.open(stream, formats=_formats()) as image:
            check_pixels(*image.size, most, name)
            image.load()
            check_pixels(*image.size, most, name)  # a GIF's first frame may enlarge its canvas
            rgb, notes = pixels.to_rgb(_upright(image))
            return Picture(rgb, (*_first_of_many(image), *notes))
    except UnidentifiedImageError as error:
        what, hint = sniff.describe(head)
        raise InputError(f"{name}: {what}", hint) from error
    except InputError:
        raise
    except Image.DecompressionBombError as error:  # it does not tell the size
        raise too_large(most, f"{name}: has") from error
    except pixels.NonFiniteError as error:
        raise InputError(f"{name}: holds NaN or infinite values", "replace them by numbers first") from error
    except MemoryError as error:
        raise InputError(
            f"{name}: needs more memory than there is", "make it smaller first, or use fewer workers"
        ) from error
    except OSError as error:
        if error.errno not in (None, errno.EINVAL):  # the disk's fault; EINVAL: the picture's, an offset out of range
            raise
        raise _damaged(name, error) from error
    except Exception as error:  # decoders raise anything on damaged files: struct.error, KeyError, zlib.error, …
        raise _damaged(name, error) from error


def _damaged(name: str, error: Exception) -> InputError:
    """Put a decoder's complaint into words."""
    reason = printable(str(error) or type(error).__name__)[:200]
    return InputError(f"{name}: the picture is damaged or cut off ({reason})", "copy or download it again")


@cache
def _formats() -> tuple[str, ...]:
    """Those of the wanted formats that this Pillow can read (AVIF came late)."""
    Image.init()
    return tuple(name for name in _FORMATS if name in Image.OPEN)


def _upright(image: Image.Image) -> Image.Image:
    """Turn a loaded picture as its EXIF data says; what cannot be understood there is ignored."""
    try:
        method = _UPRIGHT.get(image.getexif().get(_ORIENTATION, 1))
    except Exception:  # broken metadata must not cost a good picture
        method = None
    return image if method is None else image.transpose(method)


def _first_of_many(image: Image.Image) -> tuple[str, ...]:
    """Return the note on a file that holds further pictures."""
    if image.format in _ONE_PICTURE:
        return ()
    try:
        count = getattr(image, "n_frames", 1)
    except Exception:  # the later ones may be damaged: they are not needed
        return ("only the first of several pictures in it is read",)
    kind = "pages" if image.format == "TIFF" else "frames"
    return (f"only the first of its {count} {kind} is read",) if count > 1 else ()
