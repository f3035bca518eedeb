"""Pictures that a program has in memory: arrays, and Pillow's, which are treated as their files would be."""

from __future__ import annotations

import io
import os
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from gradcam_cli.errors import InputError
from gradcam_cli.media.image import to_rgb as pixels
from gradcam_cli.media.image.read import decoded, explained
from gradcam_cli.media.limits import PICTURE_PIXELS, check_pixels
from gradcam_cli.records import Picture
from gradcam_cli.text import printable

if TYPE_CHECKING:
    import numpy.typing as npt

_WANTED = "give uint8 RGB pixels of shape (H, W, 3), or gray ones of shape (H, W)"


def picture_in(given: object, max_pixels: int | None = None) -> tuple[str, Picture] | None:
    """Return the picture in an array or in a picture of Pillow, and its name; None for any other object.

    Pillow's are read as files are, see `read.read_picture`: made upright by their EXIF data, converted to sRGB by their
    profile, transparency put on white. One that is not decoded yet is read from its file.

    Args:
        given: the object.
        max_pixels: larger pictures of Pillow are refused; None is `limits.PICTURE_PIXELS`.

    Raises:
        InputError: it is no picture, or could be meant in several ways.
    """
    if isinstance(given, Image.Image):
        name = os.fsdecode(getattr(given, "filename", "") or "") or "picture"
        return name, _from_pillow(given, printable(name), max_pixels or PICTURE_PIXELS)
    if isinstance(given, np.ndarray):
        return "array", _from_array(given)
    return None


def _from_pillow(image: Image.Image, name: str, most: int) -> Picture:
    if not all(image.size):
        raise InputError(f"{name}: has no pixels ({image.width}×{image.height})", "give a picture with some")
    check_pixels(*image.size, most, name)
    try:
        content = _unread_file(image)
        if content is not None:
            with Image.open(io.BytesIO(content)) as same:
                same.seek(image.tell())
                if (same.size, same.mode) == (image.size, image.mode):  # otherwise `draft` was called
                    return decoded(same, io.BytesIO(content), name, most)
        return decoded(image, io.BytesIO(), name, most)
    except Exception as error:
        raise explained(error, name, most) from error


def _unread_file(image: Image.Image) -> bytes | None:
    """Return the content of the file of a picture that is not decoded yet; None for any other.

    Decoding loses what only the file has, such as the lower bits of colours; and it is the caller's to decide.
    """
    stream = getattr(image, "fp", None)
    if stream is None or stream.closed or _is_decoded(image):
        return None
    position = stream.tell()
    stream.seek(0)
    content = stream.read()
    stream.seek(position)
    return bytes(content)


def _is_decoded(image: Image.Image) -> bool:
    try:
        return image.im is not None
    except AssertionError:  # of newer versions of Pillow
        return False


def _from_array(values: npt.NDArray[Any]) -> Picture:
    gray = values.ndim == 2 or (values.ndim == 3 and values.shape[2] == 1)
    if values.dtype != np.uint8 or not values.size or not (gray or (values.ndim == 3 and values.shape[2] == 3)):
        raise InputError(f"the picture is {values.dtype} of shape {values.shape}", _conversion(values))
    if gray:
        rgb, _ = pixels.to_rgb(Image.fromarray(values.reshape(values.shape[:2])))
    else:
        rgb = np.ascontiguousarray(values)
    return Picture(rgb, (), (rgb.shape[0], rgb.shape[1]))


def _conversion(values: npt.NDArray[Any]) -> str:
    """Return how to convert an array that could be meant in several ways."""
    if not values.size:
        return _WANTED
    if values.ndim == 4:
        return "explain one picture of a batch at a time: array[0]"
    if values.ndim not in (2, 3):
        return _WANTED
    if values.ndim == 3 and values.shape[2] not in (1, 3, 4) and values.shape[0] in (1, 3, 4):
        return "its channels come first: np.moveaxis(array, 0, -1) puts them last"
    if values.dtype == np.uint16:
        return "convert it: (array / 257).round().astype(np.uint8), if its white is 65535"
    if values.dtype.kind in "fiu" and values.dtype != np.uint8:
        return _range(values)
    if values.ndim == 3 and values.shape[2] == 4:
        return "is it RGBA, CMYK or BGRA? of RGBA, give PIL.Image.fromarray(array): it is put on white"
    return _WANTED


def _range(values: npt.NDArray[Any]) -> str:
    low, high = float(values.min()), float(values.max())
    if not (np.isfinite(low) and np.isfinite(high)):
        return "replace NaN and infinite values first"
    if low < 0 or high > 255:
        return f"its values go from {low:g} to {high:g}: undo its normalisation first, then give uint8 RGB"
    if values.dtype.kind == "f" and high <= 1:
        return "convert it: (array * 255).round().astype(np.uint8), if its white is 1"
    return "convert it: array.round().astype(np.uint8), if its white is 255"
