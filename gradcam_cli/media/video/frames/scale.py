"""swscale: frames → other sizes, forms and matrices, with colours that are right."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import av
import cv2
import numpy as np
from av.video.reformatter import Interpolation, VideoReformatter

from gradcam_cli.media.colour.pixels import to_8_bits

if TYPE_CHECKING:
    import numpy.typing as npt

    from gradcam_cli.records import Size

    Plane = npt.NDArray[np.uint8]
    Planes = tuple[Plane, Plane, Plane]
    Levels = npt.NDArray[np.uint8] | npt.NDArray[np.uint16]

BT709 = 1
"""The number for primaries, transfer function and matrix."""
LIMITED, FULL = 1, 2
"""Ranges: black is 16 or 0."""
_SWS_709, SWS_601, _SWS_2020 = 1, 5, 9  # swscale's numbers; PyAV 16 has no name for the last one
_MATRICES = {1: _SWS_709, 4: 4, 5: SWS_601, 6: SWS_601, 7: 7, 9: _SWS_2020, 10: _SWS_2020}
_HD_LINES = 720  # untagged pictures of fewer lines are taken for BT.601, the others for BT.709, as in browsers
_HAS_THREADS = int(av.__version__.split(".")[0]) >= 17


def even(size: Size) -> Size:
    """Return the size to which a picture of this size is padded: 4:2:0 has one chroma sample per 2×2 pixels."""
    return size[0] + size[0] % 2, size[1] + size[1] % 2


def array_of(plane: av.video.plane.VideoPlane) -> Plane:
    """Return a plane's pixels (H, W) without a copy."""
    rows: Plane = np.frombuffer(memoryview(plane), np.uint8).reshape(plane.height, plane.line_size)
    return rows[:, : plane.width]


def padded(pixels: Plane) -> Plane:
    """Repeat the last row and column where sides are odd."""
    height, width = pixels.shape[:2]
    if not (height % 2 or width % 2):
        return pixels
    return np.asarray(cv2.copyMakeBorder(pixels, 0, height % 2, 0, width % 2, cv2.BORDER_REPLICATE), np.uint8)


def matrix_of(frame: av.VideoFrame) -> int | None:
    """Return swscale's number for a frame's colour matrix; None leaves it to swscale, for RGB."""
    if frame.format.is_rgb:
        return None
    return _MATRICES.get(frame.colorspace, SWS_601 if frame.height < _HD_LINES else _SWS_709)


def range_of(frame: av.VideoFrame) -> int | None:
    """Return a frame's colour range (black is 16 or 0); None leaves it to swscale, for RGB and gray."""
    name = frame.format.name
    if frame.format.is_rgb or name.startswith("gray"):
        return None
    return FULL if name.startswith("yuvj") else frame.color_range or LIMITED


def to_planes(frame: av.VideoFrame, size: Size, scaler: VideoReformatter) -> Planes:
    """Scale a frame to yuv420p, BT.709, limited range; the planes are without a copy, and odd sides are not padded."""
    if range_of(frame) == FULL and matrix_of(frame) != _SWS_709:  # swscale's own way makes it darker, by three levels
        return planes_of_rgb(to_8_bits(to_deep_rgb(frame, size, scaler, alpha=False)))
    converted = _scaled(
        frame,
        size,
        "yuv420p",
        scaler,
        src_colorspace=matrix_of(frame),
        dst_colorspace=_SWS_709,
        src_color_range=range_of(frame),
        dst_color_range=LIMITED,
        interpolation=Interpolation.BICUBIC,
    )
    y, u, v = (array_of(plane) for plane in converted.planes)
    return y, u, v


def to_deep_rgb(frame: av.VideoFrame, size: Size, scaler: VideoReformatter, *, alpha: bool) -> Levels:
    """Scale a frame to RGB (H, W, 3), or RGBA, with its own primaries: uint8, or uint16 where it has more bits."""
    deep = max(component.bits for component in frame.format.components) > 8
    form = ("rgba64le" if alpha else "rgb48le") if deep else ("rgba" if alpha else "rgb24")
    converted = _scaled(
        frame,
        size,
        form,
        scaler,
        src_colorspace=matrix_of(frame),
        src_color_range=range_of(frame),
        dst_color_range=FULL,
        interpolation=Interpolation.BICUBIC,
    )
    return cast("Levels", converted.to_ndarray())


def to_frame(planes: Planes, size: Size) -> av.VideoFrame:
    """Copy planes into a tagged frame of ``size``, which may be the size before padding."""
    frame = av.VideoFrame(size[1], size[0], "yuv420p")
    for plane, pixels in zip(frame.planes, planes, strict=True):
        array_of(plane)[:] = pixels[: plane.height, : plane.width]
    return _tagged(frame)


def from_rgb(pixels: Plane) -> av.VideoFrame:
    """Turn uint8 RGB (H, W, 3) into a tagged yuv420p frame, padded to even sides."""
    frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(padded(pixels)), "rgb24")
    size = frame.height, frame.width
    colours = {"dst_colorspace": _SWS_709, "dst_color_range": LIMITED}
    return _tagged(_scaled(frame, size, "yuv420p", VideoReformatter(), **colours))


def planes_of_rgb(pixels: Plane) -> Planes:
    """Turn uint8 RGB (H, W, 3) into planes as those of `to_planes`."""
    y, u, v = (array_of(plane) for plane in from_rgb(pixels).planes)
    return y[: pixels.shape[0], : pixels.shape[1]], u, v


def to_rgb(planes: Planes, size: Size, target: Size | None) -> Plane:
    """Turn planes into RGB (h, w, 3), resized to ``target`` with antialiasing; ``size`` is the size before padding."""
    frame = _scaled(
        to_frame(planes, size),
        target or size,
        "rgb24",
        VideoReformatter(),
        src_colorspace=_SWS_709,
        src_color_range=LIMITED,
        dst_color_range=FULL,
        interpolation=Interpolation.BILINEAR,
    )
    return np.asarray(frame.to_ndarray(), np.uint8)


def _scaled(
    frame: av.VideoFrame, size: Size, form: str, scaler: VideoReformatter, **options: int | None
) -> av.VideoFrame:
    """Scale and convert in this thread: swscale would start its own threads again for every frame."""
    if _HAS_THREADS:
        options["threads"] = 1
    return scaler.reformat(frame, size[1], size[0], form, **options)


def _tagged(frame: av.VideoFrame) -> av.VideoFrame:
    frame.colorspace = BT709
    frame.color_range = LIMITED
    return frame
