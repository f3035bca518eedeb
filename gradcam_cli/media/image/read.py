"""Reading of still pictures: any file that Pillow decodes → upright, opaque 8-bit RGB."""

from __future__ import annotations

import errno
import io
import logging
import warnings
from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING, BinaryIO

import cv2
import numpy as np
from PIL import Image, UnidentifiedImageError

from gradcam_cli.errors import InputError
from gradcam_cli.files import explain_read_error, refusal
from gradcam_cli.media.image import colours, orientation, repair, sniff
from gradcam_cli.media.image import to_rgb as pixels
from gradcam_cli.media.limits import PICTURE_PIXELS, check_pixels, let_pillow, too_large
from gradcam_cli.records import Picture
from gradcam_cli.text import printable

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import numpy.typing as npt

    from gradcam_cli.records import Size

# Tried in this order, common ones first. Left out on purpose: formats that start another program (EPS, WMF), that
# Pillow identifies without decoding them, or that have no signature and so match any data (TGA excepted).
# fmt: off
_FORMATS = (
    "JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF", "JPEG2000", "PPM", "DIB", "ICO", "ICNS",
    "CUR", "QOI", "DDS", "PSD", "PCX", "SGI", "SUN", "MSP", "XBM", "XPM", "TGA",
)
# fmt: on

_ALL_BITS = 64
"""The upper eight bits of 16-bit colours reach this where more than 14 bits are in use."""

_ONE_PICTURE = frozenset({"MPO", "PSD"})  # their other "frames" are previews, depth maps and layers
_REDUCIBLE = frozenset({"JPEG", "MPO"})  # their decoder can scale down while decoding

# Pillow warns of odd metadata and of large pictures; neither matters to a user whose picture is read. Set once for
# the process, because readers run in threads and warnings.catch_warnings() is not safe there.
warnings.filterwarnings("ignore", category=UserWarning, module=r"PIL\.")
warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)
logging.getLogger("PIL").addHandler(logging.NullHandler())


def read_picture(
    source: Path | bytes, name: str, max_pixels: int | None = None, enough: Callable[[Size], Size] | None = None
) -> Picture:
    """Read a still picture; its format is determined by its content, not by its suffix.

    EXIF orientation is applied, transparency is put on white, only the first frame or page is read (as noted
    in ``Picture.notes``), colours are converted to sRGB, and more than 8 bits are scaled to 8, never clipped.
    Safe to call from several threads.

    Args:
        source: a file's path or its content.
        name: the picture's name in error messages.
        max_pixels: larger pictures are refused from their header; None is `limits.PICTURE_PIXELS`.
        enough: called with (H, W) of the upright picture; returns the size that is needed. A JPEG is then decoded at a
            half, a quarter or an eighth of its sides, rounded up, where that is no smaller: the inverse transform
            yields fewer pixels per block, for a fraction of the time and memory.

    Returns:
        The picture: uint8 RGB (H, W, 3), C-contiguous.

    Raises:
        InputError: the file does not exist, is not a regular file, or is not a complete picture of at most
            ``max_pixels``.
    """
    name = printable(name)
    if not isinstance(source, bytes):
        refused = refusal(source, "a picture", "give a picture's path, or - for standard input")
        if refused:
            raise InputError(f"{name}: {refused[0]}", refused[1])
    try:
        with io.BytesIO(source) if isinstance(source, bytes) else source.open("rb") as stream:
            return _read(stream, name, max_pixels or PICTURE_PIXELS, enough)
    except OSError as error:
        what, hint = explain_read_error(error)
        raise InputError(f"{name}: {what}", hint) from error


def resized(pixels: npt.NDArray[np.uint8], size: Size) -> npt.NDArray[np.uint8]:
    """Return uint8 pixels (H, W) or (H, W, 3) of ``size``: each is the mean of the area that it covers.

    Enlarged ones are interpolated, by cubic convolution.
    """
    if pixels.shape[:2] == size:
        return pixels
    way = cv2.INTER_AREA if size[0] <= pixels.shape[0] and size[1] <= pixels.shape[1] else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(pixels, size[::-1], interpolation=way), np.uint8)


def reduced(pixels: npt.NDArray[np.uint8], size: Size) -> npt.NDArray[np.uint8]:
    """Return uint8 RGB (H, W, 3) resized to ``size`` bilinearly with antialiasing, as networks' inputs are."""
    if pixels.shape[:2] == size:
        return pixels
    return np.asarray(Image.fromarray(pixels).resize(size[::-1], Image.Resampling.BILINEAR), np.uint8)


def _read(stream: BinaryIO, name: str, most: int, enough: Callable[[Size], Size] | None) -> Picture:
    """Decode an open, seekable stream."""
    let_pillow(most)
    head = stream.read(sniff.HEAD)
    stream.seek(0)
    try:
        with Image.open(repair.with_known_brand(stream, head), formats=_formats(heic=repair.is_heic(head))) as image:
            if repair.is_raw(image):
                raise InputError(f"{name}: {sniff.RAW[0]}", sniff.RAW[1])
            check_pixels(*image.size, most, name)
            return decoded(image, stream, name, most, enough)
    except UnidentifiedImageError as error:
        what, hint = sniff.describe(head)
        raise InputError(f"{name}: {what}", hint) from error
    except ValueError as error:
        plainer = None if isinstance(error, pixels.NonFiniteError) else repair.without_words(stream)
        if plainer is None:
            raise explained(error, name, most) from error
        picture = _read(plainer[0], name, most, enough)
        return replace(picture, notes=(*picture.notes, plainer[1])) if plainer[1] else picture
    except Exception as error:  # decoders raise anything on damaged files: struct.error, KeyError, zlib.error, …
        raise explained(error, name, most) from error


def explained(error: Exception, name: str, most: int) -> Exception:
    """Return the error that a decoder's error means; one of the disk, or one that is explained, is returned as it is.

    Args:
        error: of Pillow, or of its decoders.
        name: the picture's name.
        most: largest number of pixels allowed.
    """
    if isinstance(error, InputError):
        return error
    if isinstance(error, Image.DecompressionBombError):  # it does not contain the size
        return too_large(most, f"{name}: has")
    if isinstance(error, pixels.NonFiniteError):
        return InputError(f"{name}: holds NaN or infinite values", "replace them by numbers first")
    if isinstance(error, MemoryError):
        return InputError(f"{name}: needs more memory than there is", "make it smaller first, or use fewer workers")
    if isinstance(error, OSError) and error.errno not in (None, errno.EINVAL):
        return error  # the disk's; EINVAL is the picture's: an offset out of range
    reason = printable(str(error) or type(error).__name__)[:200]
    return InputError(f"{name}: the picture is damaged or cut off ({reason})", "copy or download it again")


def decoded(
    image: Image.Image, stream: BinaryIO, name: str, most: int, enough: Callable[[Size], Size] | None = None
) -> Picture:
    """Decode an opened picture: upright, sRGB, opaque.

    Args:
        image: the picture.
        stream: its file; empty where it has none any more.
        name: its name in errors.
        most: largest number of pixels allowed.
        enough: as of `read_picture`.

    Raises:
        Exception: it is damaged; `explained` tells how.
    """
    deep = repair.has_deep_colour(image)
    drafted = None if enough is None else _draft(image, enough)
    image.load()
    check_pixels(*image.size, most, name)  # a GIF's first frame may enlarge its canvas
    width, height = image.size
    shown: Image.Image = image
    if drafted is not None:
        (width, height), part = drafted
        shown = _stretched(image, part)
    notes = _first_of_many(image)
    to_srgb = colours.conversion(shown, stream, image.format)
    values = repair.deep_colour(stream) if deep and to_srgb.space else None
    if values is not None:
        shown = to_srgb.of_deep(values)
    else:
        if deep:
            shown, guesses = _all_bits(shown, stream)
            notes = (*notes, *guesses)
        shown = to_srgb.apply(shown)
    turn = orientation.turn(image)
    rgb, guesses = pixels.to_rgb(shown if turn is None else shown.transpose(turn))
    whole = (width, height) if turn in orientation.ASIDE else (height, width)
    return Picture(rgb, (*notes, *to_srgb.notes, *guesses), whole)


def _all_bits(shown: Image.Image, stream: BinaryIO) -> tuple[Image.Image, tuple[str, ...]]:
    """Return a picture of 16-bit colours, which Pillow has cut to eight, by all bits where they matter; and notes."""
    if shown.mode == "RGB" and np.asarray(shown).max() >= _ALL_BITS:
        return shown, ()
    values = repair.deep_colour(stream)
    if values is None or values[..., :3].max() >> 8 >= _ALL_BITS:
        return shown, ()
    levels, notes = pixels.from_deep_colour(values)
    image = Image.fromarray(levels)
    image.info = {name: value for name, value in shown.info.items() if name != "transparency"}
    return image, notes


@cache
def _formats(*, heic: bool) -> tuple[str, ...]:
    """Return the formats that this Pillow can read; HEIC is read by a package that need not be there."""
    if heic:
        try:
            import pi_heif
        except ImportError:
            return ()
        pi_heif.register_heif_opener(thumbnails=False)
        return ("HEIF",)
    Image.init()
    return tuple(name for name in _FORMATS if name in Image.OPEN)  # AVIF came late


def _draft(image: Image.Image, enough: Callable[[Size], Size]) -> tuple[tuple[int, int], tuple[float, float]] | None:
    """Make the decoder scale a picture down to no larger than needed.

    Returns:
        Width and height of the picture as stored in the file; and the part of the decoded picture that it fills, in
        pixels: less than all where a side is not a multiple of the scale. None if the decoder cannot scale.
    """
    if image.format not in _REDUCIBLE:
        return None
    aside = orientation.turn(image) in orientation.ASIDE
    whole = image.size
    needed = enough(whole if aside else whole[::-1])
    drafted = image.draft(None, needed if aside else needed[::-1])
    return None if drafted is None else (whole, drafted[1][2:])


def _stretched(image: Image.Image, part: tuple[float, float]) -> Image.Image:
    """Stretch ``part`` of a picture, smaller by less than a pixel, over all of it, so that maps lie exactly on it."""
    return image if part == image.size else image.resize(image.size, Image.Resampling.BILINEAR, (0, 0, *part))


def _first_of_many(image: Image.Image) -> tuple[str, ...]:
    """Return a note if the file contains further pictures."""
    if image.format in _ONE_PICTURE or image.tell():  # a caller has chosen another one
        return ()
    try:
        count = getattr(image, "n_frames", 1)
    except Exception:  # the later ones may be damaged: they are not needed
        return ("only the first of several pictures in it is read",)
    kind, more = ("pages", "") if image.format == "TIFF" else ("frames", ": 'gradcam gif' explains them all")
    return (f"only the first of its {count} {kind} is read{more}",) if count > 1 else ()
