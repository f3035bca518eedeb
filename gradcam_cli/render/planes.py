"""Overlays on a video decoder's own planes, without conversion to RGB and back.

Planes are yuv420p in BT.709, limited range: luma (H, W), chroma (H/2, W/2) twice, all uint8, H and W even. Blending is
linear, and so is the matrix between RGB and YUV, so blending planes equals blending RGB, up to rounding and
to the chroma's halved resolution, which the encoder would halve as well.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

import cv2
import numpy as np

from gradcam_cli.render.colormap import grey_levels

if TYPE_CHECKING:
    import numpy.typing as npt

    Plane = npt.NDArray[np.uint8]
    Planes = tuple[Plane, Plane, Plane]

_LUMA = (0.2126, 0.7152, 0.0722)
"""Weights of red, green and blue in BT.709's luma (ITU-R BT.709-6, section 3)."""

_NEUTRAL = 128


def to_yuv(table: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """Convert colours, uint8 RGB (…, 3), to BT.709 limited range YUV, rounded once."""
    red, green, blue = np.moveaxis(table.astype(np.float64) / 255, -1, 0)
    luma = _LUMA[0] * red + _LUMA[1] * green + _LUMA[2] * blue
    chroma_blue, chroma_red = (blue - luma) / (2 * (1 - _LUMA[2])), (red - luma) / (2 * (1 - _LUMA[0]))
    yuv = np.stack([16 + 219 * luma, _NEUTRAL + 224 * chroma_blue, _NEUTRAL + 224 * chroma_red], axis=-1)
    rounded: npt.NDArray[np.uint8] = np.rint(yuv).astype(np.uint8)
    return rounded


def colour_tables(colours: npt.NDArray[np.uint8]) -> Planes:
    """Return a colormap, uint8 RGB (256, 3), as tables of y, u and v, each uint8 (256,): once for all frames."""
    y, u, v = np.ascontiguousarray(to_yuv(colours).T)
    return y, u, v


@functools.cache
def _grey_tables() -> Planes:
    return colour_tables(grey_levels())


def heatmap_planes(grayscale: Plane, colours: Planes) -> Planes:
    """Colour a map: uint8 (H, W), even sides, through a colormap's ``colour_tables``."""
    half = _halved(grayscale)
    y, u, v = (_looked_up(plane, table) for plane, table in zip((grayscale, half, half), colours, strict=True))
    return y, u, v


def grayscale_planes(grayscale: Plane) -> Planes:
    """Convert a map to planes of grey levels."""
    neutral = np.full((grayscale.shape[0] // 2, grayscale.shape[1] // 2), _NEUTRAL, np.uint8)
    return _looked_up(grayscale, _grey_tables()[0]), neutral, neutral


def overlay_planes(
    picture: Planes, grayscale: Plane, colours: Planes, *, alpha: float = 0.5, by_intensity: bool = False
) -> Planes:
    """Blend the coloured map over the picture, plane by plane; the arguments are ``overlay``'s.

    Args:
        picture: the frame's planes.
        grayscale: the map, uint8 (H, W), of the luma's size.
        colours: a colormap's ``colour_tables``.
        alpha: the heatmap's weight in [0, 1].
        by_intensity: the weight is ``alpha`` times the map itself.
    """
    hot = heatmap_planes(grayscale, colours)
    if not by_intensity:
        y, u, v = (_mixed(below, above, alpha) for below, above in zip(picture, hot, strict=True))
        return y, u, v
    half = _halved(grayscale)
    y, u, v = (
        _weighted(below, above, weight, alpha)
        for below, above, weight in zip(picture, hot, (grayscale, half, half), strict=True)
    )
    return y, u, v


def to_planes(pixels: npt.NDArray[np.uint8]) -> Planes:
    """Convert a picture, uint8 RGB (H, W, 3), even sides."""
    yuv = to_yuv(pixels)
    y, u, v = (np.ascontiguousarray(yuv[:, :, channel]) for channel in range(3))
    return y, _halved(u), _halved(v)


def beside(left: Planes, right: Planes) -> Planes:
    """Put two pictures of one height next to each other."""
    y, u, v = (np.hstack(pair) for pair in zip(left, right, strict=True))
    return y, u, v


def below(picture: Planes, strip: Planes) -> Planes:
    """Put a strip of the picture's width below it."""
    y, u, v = (np.vstack(pair) for pair in zip(picture, strip, strict=True))
    return y, u, v


def _halved(plane: Plane) -> Plane:
    size = (plane.shape[1] // 2, plane.shape[0] // 2)
    return np.asarray(cv2.resize(plane, size, interpolation=cv2.INTER_AREA), np.uint8)


def _looked_up(plane: Plane, table: Plane) -> Plane:
    return np.asarray(cv2.LUT(plane, table), np.uint8)


def _mixed(below: Plane, above: Plane, alpha: float) -> Plane:
    return np.asarray(cv2.addWeighted(below, 1 - alpha, above, alpha, 0), np.uint8)


def _weighted(below: Plane, above: Plane, intensity: Plane, alpha: float) -> Plane:
    weight = intensity.astype(np.float32)
    weight *= np.float32(alpha / 255)
    base = below.astype(np.float32)
    base += weight * (above.astype(np.float32) - base)
    return np.rint(base).astype(np.uint8)
