"""Conversion of pictures decoded by Pillow, of any mode, to uint8 RGB arrays."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

if TYPE_CHECKING:
    import numpy.typing as npt

_STRIP = 64  # rows: they fit into the processor's cache, far cheaper than Pillow's copy of the whole picture
_DEPTHS: tuple[int, ...] = (
    *range(1, 9),
    10,
    12,
    14,
    16,
)  # bits; the last ones are those of cameras, scanners and microscopes


class NonFiniteError(ValueError):
    """The picture contains NaN or infinity."""


def to_rgb(image: Image.Image) -> tuple[npt.NDArray[np.uint8], tuple[str, ...]]:
    """Return a loaded picture of any mode as opaque RGB, and notes on guesses.

    Transparent pixels are put on white. Colours are taken for sRGB, see `colours.conversion`. Values of more than 8
    bits are scaled, see `_from_integers` and `_from_floats`.

    Returns:
        uint8 (H, W, 3), C-contiguous; and the notes.

    Raises:
        NonFiniteError: some value of a floating-point picture is NaN or infinite.
        ValueError: Pillow cannot convert this mode.
    """
    if image.mode.startswith("I"):
        return _from_integers(np.asarray(image), image.info.get("transparency"))
    if image.mode == "F":
        return _from_floats(np.asarray(image))
    if image.has_transparency_data:
        image = _on_white(image.convert("RGBA"))
    elif image.mode != "RGB":
        image = image.convert("RGB")
    return _copy(image), ()


def _on_white(image: Image.Image) -> Image.Image:
    """RGBA → RGB on a white ground."""
    ground = Image.new("RGB", image.size, "white")
    ground.paste(image, mask=image)
    return ground


def _copy(image: Image.Image) -> npt.NDArray[np.uint8]:
    """RGB picture → array, strip by strip."""
    width, height = image.size
    pixels = np.empty((height, width, 3), np.uint8)
    for top in range(0, height, _STRIP):
        bottom = min(top + _STRIP, height)
        pixels[top:bottom] = np.asarray(image.crop((0, top, width, bottom)))
    return pixels


def _from_integers(values: npt.NDArray[Any], transparent: object) -> tuple[npt.NDArray[np.uint8], tuple[str, ...]]:
    """(H, W) integers → gray as RGB.

    White is the largest value of the smallest usual depth (8, 10, 12, 14 or 16 bits) that holds every value, so that
    12-bit data in a 16-bit file is neither black nor clipped; beyond 16 bits, the range is stretched.
    """
    low, high = int(values.min()), int(values.max())
    if low < 0 or high > 65535:
        return _stretched(values, low, high)
    depth = _depth(high)
    white = (1 << depth) - 1
    table = np.minimum(np.arange(1 << depth) * (255 / white) + 0.5, 255).astype(np.uint8)
    if isinstance(transparent, int) and transparent <= white:
        table[transparent] = 255
    notes = () if depth == 16 else (f"its values go up to {high}: taken as {depth}-bit gray",)
    return _gray(table[values]), notes


def from_deep_colour(values: npt.NDArray[np.uint16]) -> tuple[npt.NDArray[np.uint8], tuple[str, ...]]:
    """(H, W, 3 or 4) colours → RGB, with the white that `_from_integers` takes; transparent ones on white."""
    colours = values[..., :3]
    high = int(colours.max())
    white = (1 << _depth(high)) - 1
    levels = colours * (255 / white)
    if values.shape[2] == 4:
        alpha = values[..., 3:] / max(1, (1 << _depth(int(values[..., 3].max()))) - 1)
        levels = levels * alpha + 255 * (1 - alpha)
    note = f"its values go up to {high}: taken as {_depth(high)}-bit colour"
    return np.ascontiguousarray((levels + 0.5).clip(0, 255).astype(np.uint8)), (note,)


def _depth(high: int) -> int:
    """Return the smallest usual number of bits that hold a value."""
    for bits in _DEPTHS:
        if high < 1 << bits:
            return bits
    raise ValueError(f"a value of {high} has more than {_DEPTHS[-1]} bits")


def _from_floats(values: npt.NDArray[np.floating[Any]]) -> tuple[npt.NDArray[np.uint8], tuple[str, ...]]:
    """(H, W) floats → gray as RGB: [0, 1] is black to white, any other range is stretched to that."""
    low, high = float(values.min()), float(values.max())
    if not (np.isfinite(low) and np.isfinite(high)):  # NaN spreads to both
        raise NonFiniteError("NaN or infinite values")
    if low >= 0 and high <= 1:
        return _gray((values * 255 + 0.5).astype(np.uint8)), ()
    return _stretched(values, low, high)


def _stretched(values: npt.NDArray[Any], low: float, high: float) -> tuple[npt.NDArray[np.uint8], tuple[str, ...]]:
    """(H, W) numbers → gray as RGB, black at ``low`` and white at ``high``; black where they are equal."""
    scaled = values.astype(np.float64)
    scaled -= low
    scaled *= 255 / (high - low) if high > low else 0.0
    note = f"its values go from {low:g} to {high:g}: stretched to black and white"
    return _gray((scaled + 0.5).astype(np.uint8)), (note,)


def _gray(levels: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """(H, W) → (H, W, 3), the same in every channel."""
    pixels = np.empty((*levels.shape, 3), np.uint8)
    pixels[...] = levels[..., np.newaxis]
    return pixels
