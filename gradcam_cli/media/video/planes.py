"""Decoded frames ↔ upright planes in one form: yuv420p, BT.709, limited range, 8 bits, even sides."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING

import av
import cv2
import numpy as np
from av.video.reformatter import Interpolation, VideoReformatter

from gradcam_cli.errors import InputError
from gradcam_cli.media.video.open import reason
from gradcam_cli.media.video.turn import Turn, turn_of
from gradcam_cli.records import fitted

if TYPE_CHECKING:
    from fractions import Fraction

    import numpy.typing as npt

    from gradcam_cli.records import Size

    Plane = npt.NDArray[np.uint8]
    Planes = tuple[Plane, Plane, Plane]

_BT709 = 1  # the number for primaries, transfer function and matrix
_LIMITED, _FULL = 1, 2  # ranges
_SWS_709, _SWS_601, _SWS_2020 = 1, 5, 9  # swscale's numbers; PyAV 16 has no name for the last one
_MATRICES = {1: _SWS_709, 4: 4, 5: _SWS_601, 6: _SWS_601, 7: 7, 9: _SWS_2020, 10: _SWS_2020}
_HD_LINES = 720  # untagged pictures of fewer lines are taken for BT.601, the others for BT.709, as in browsers
_SCALER_HAS_THREADS = int(av.__version__.split(".")[0]) >= 17
_WIDEST_PIXEL = 10  # times its height; more is a damaged header
_KR_KB_601, _KR_KB_709 = (0.299, 0.114), (0.2126, 0.0722)  # shares of red and blue in luma


def even(size: Size) -> Size:
    """Return the size to which a picture of this size is padded: 4:2:0 has one chroma sample per 2×2 pixels."""
    return size[0] + size[0] % 2, size[1] + size[1] % 2


@dataclass(frozen=True, slots=True)
class Shape:
    """Scaling and turning of all frames of a stream, decided on the first one.

    Attributes:
        coded: (height, width) to scale to, before turning.
        turn: what makes it upright.
    """

    coded: Size
    turn: Turn

    @property
    def size(self) -> Size:
        """(height, width) of the upright picture."""
        return (self.coded[1], self.coded[0]) if self.turn.transposed else self.coded


def shape(frame: av.VideoFrame, aspect: Fraction | None, max_size: int | None) -> Shape:
    """Decide how a stream's frames become upright pictures with square pixels.

    Args:
        frame: the stream's first one.
        aspect: width ÷ height of a pixel, None where unknown. Pixels are stretched, never squeezed.
        max_size: the longest side allowed.
    """
    height, width = float(frame.height), float(frame.width)
    if aspect and 1 / _WIDEST_PIXEL <= aspect <= _WIDEST_PIXEL:
        height, width = (height, width * aspect) if aspect > 1 else (height / aspect, width)
    return Shape(fitted((height, width), max_size), turn_of(frame))


class Converter:
    """Converts decoded frames to planes, safely from several threads."""

    def __init__(self, shape: Shape) -> None:
        self.shape = shape
        self._scaler = VideoReformatter()
        self._lock = threading.Lock()

    def planes(self, frame: av.VideoFrame) -> Planes:
        """Return y (H, W), u and v (H/2, W/2): contiguous, upright, padded to even sides by repeating the edge.

        Raises:
            av.error.FFmpegError: swscale does not know the pixel format.
        """
        if self.shape.coded == (frame.height, frame.width) and _only_matrix_differs(frame):
            y, u, v = _from_601(*(_array(plane) for plane in frame.planes))
        else:
            with self._lock:
                y, u, v = self._scaled(frame)
        return _padded(self._upright(y)), self._upright(u), self._upright(v)

    def _scaled(self, frame: av.VideoFrame) -> Planes:
        converted = _scaled(
            frame,
            self.shape.coded,
            "yuv420p",
            self._scaler,
            src_colorspace=_matrix(frame),
            dst_colorspace=_SWS_709,
            src_color_range=_range(frame),
            dst_color_range=_LIMITED,
            interpolation=Interpolation.BICUBIC,
        )
        y, u, v = (_array(plane) for plane in converted.planes)
        return y, u, v

    def _upright(self, plane: Plane) -> Plane:
        return np.ascontiguousarray(self.shape.turn.of(plane))


class DecodedFrame:
    """A decoded frame, converted to planes when these are first accessed.

    Args:
        decoded: FFmpeg's frame; released after conversion.
        converter: the stream's converter.
        name: the file's name in error messages.
    """

    def __init__(self, decoded: av.VideoFrame, converter: Converter, name: str) -> None:
        self._decoded: av.VideoFrame | None = decoded
        self._converter = converter
        self._name = name
        self._planes: Planes | None = None
        self._lock = threading.Lock()

    @property
    def size(self) -> Size:
        """(height, width) of the upright picture before padding."""
        return self._converter.shape.size

    @property
    def planes(self) -> Planes:
        """The planes as described in `VideoFrame`.

        Raises:
            InputError: swscale does not know the pixel format.
        """
        with self._lock:
            if self._planes is None:
                assert self._decoded is not None
                self._planes = self._converted(self._decoded)
                self._decoded = None
            return self._planes

    def _converted(self, decoded: av.VideoFrame) -> Planes:
        try:
            return self._converter.planes(decoded)
        except (av.error.FFmpegError, ValueError) as error:
            what = f"its pixel format {decoded.format.name} cannot be read ({reason(error)})"
            raise InputError(f"{self._name}: {what}", "convert it to H.264 first") from error


@dataclass(slots=True)
class VideoFrame:
    """An upright frame in the encoder's format.

    Attributes:
        picture: its content; frames repeated by ``fps`` share the same object.
        time: seconds since the first frame.
        duration: seconds it is shown.
    """

    picture: DecodedFrame
    time: Fraction
    duration: Fraction

    @property
    def size(self) -> Size:
        """(height, width) before padding."""
        return self.picture.size

    @property
    def planes(self) -> Planes:
        """Planes y (H, W), u and v (H/2, W/2): uint8, yuv420p, BT.709, limited range, contiguous, even sides.

        The last row and column are repeated where sides are odd.
        """
        return self.picture.planes

    def rgb(self, size: Size | None = None) -> Plane:
        """Return the unpadded picture as uint8 RGB (h, w, 3), resized to ``size`` bilinearly with antialiasing."""
        return to_rgb(self.planes, self.size, size)


def _array(plane: av.video.plane.VideoPlane) -> Plane:
    """Return a plane's pixels (H, W) without a copy."""
    rows: Plane = np.frombuffer(memoryview(plane), np.uint8).reshape(plane.height, plane.line_size)
    return rows[:, : plane.width]


def _padded(pixels: Plane) -> Plane:
    """Repeat the last row and column where sides are odd."""
    height, width = pixels.shape[:2]
    if not (height % 2 or width % 2):
        return pixels
    return np.asarray(cv2.copyMakeBorder(pixels, 0, height % 2, 0, width % 2, cv2.BORDER_REPLICATE), np.uint8)


def _matrix(frame: av.VideoFrame) -> int | None:
    """Return swscale's number for a frame's colour matrix; None leaves it to swscale, for RGB."""
    if frame.format.is_rgb:
        return None
    return _MATRICES.get(frame.colorspace, _SWS_601 if frame.height < _HD_LINES else _SWS_709)


def _range(frame: av.VideoFrame) -> int | None:
    """Return a frame's colour range (black is 16 or 0); None leaves it to swscale, for RGB and gray."""
    name = frame.format.name
    if frame.format.is_rgb or name.startswith("gray"):
        return None
    return _FULL if name.startswith("yuvj") else frame.color_range or _LIMITED


def _only_matrix_differs(frame: av.VideoFrame) -> bool:
    return frame.format.name == "yuv420p" and _range(frame) == _LIMITED and _matrix(frame) == _SWS_601


def _from_601(y: Plane, u: Plane, v: Plane) -> Planes:
    """Convert planes from BT.601's matrix to BT.709's: half the work of swscale, which also darkens by one level.

    Chroma depends only on chroma, and the change of luma is a sum of chroma, so the work is done at chroma's size.
    """
    (red, blue), (red_709, blue_709) = _KR_KB_601, _KR_KB_709
    green, green_709 = 1 - red - blue, 1 - red_709 - blue_709
    gain_u = 2 * (1 - blue) * (blue_709 - green_709 * blue / green)
    gain_v = 2 * (1 - red) * (red_709 - green_709 * red / green)
    luma = 219 / 224  # luma's range is narrower than chroma's
    gained = _mixed(u, luma * gain_u, v, luma * gain_v)
    to_u, to_v = 2 * (1 - blue_709), 2 * (1 - red_709)
    gained = np.asarray(cv2.resize(gained, (2 * u.shape[1], 2 * u.shape[0]), interpolation=cv2.INTER_LINEAR), np.uint8)
    return (
        np.asarray(cv2.addWeighted(y, 1, gained[: y.shape[0], : y.shape[1]], 1, -128), np.uint8),
        _mixed(u, (2 * (1 - blue) - gain_u) / to_u, v, -gain_v / to_u),
        _mixed(u, -gain_u / to_v, v, (2 * (1 - red) - gain_v) / to_v),
    )


def _mixed(u: Plane, of_u: float, v: Plane, of_v: float) -> Plane:
    """Return a weighted sum of chroma planes; zero is stored as 128 in all of them."""
    return np.asarray(cv2.addWeighted(u, of_u, v, of_v, 128 * (1 - of_u - of_v)), np.uint8)


def to_frame(planes: Planes, size: Size) -> av.VideoFrame:
    """Copy planes into a tagged frame of ``size``, which may be the size before padding."""
    frame = av.VideoFrame(size[1], size[0], "yuv420p")
    for plane, pixels in zip(frame.planes, planes, strict=True):
        _array(plane)[:] = pixels[: plane.height, : plane.width]
    return _tagged(frame)


def from_rgb(pixels: Plane) -> av.VideoFrame:
    """Turn RGB (H, W, 3) into a tagged yuv420p frame, padded to even sides."""
    frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(_padded(pixels)), "rgb24")
    size = frame.height, frame.width
    colours = {"dst_colorspace": _SWS_709, "dst_color_range": _LIMITED}
    return _tagged(_scaled(frame, size, "yuv420p", VideoReformatter(), **colours))


def to_rgb(planes: Planes, size: Size, target: Size | None) -> Plane:
    """Turn planes into RGB (h, w, 3), resized to ``target`` with antialiasing; ``size`` is the size before padding."""
    frame = _scaled(
        to_frame(planes, size),
        target or size,
        "rgb24",
        VideoReformatter(),
        src_colorspace=_SWS_709,
        src_color_range=_LIMITED,
        dst_color_range=_FULL,
        interpolation=Interpolation.BILINEAR,
    )
    return np.asarray(frame.to_ndarray(), np.uint8)


def _scaled(
    frame: av.VideoFrame, size: Size, form: str, scaler: VideoReformatter, **options: int | None
) -> av.VideoFrame:
    """Scale and convert in this thread: swscale would start its own threads again for every frame."""
    if _SCALER_HAS_THREADS:
        options["threads"] = 1
    return scaler.reformat(frame, size[1], size[0], form, **options)


def _tagged(frame: av.VideoFrame) -> av.VideoFrame:
    frame.colorspace = _BT709
    frame.color_range = _LIMITED
    return frame
