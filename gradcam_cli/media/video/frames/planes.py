"""Decoded frames ↔ upright planes in one form: yuv420p, BT.709, limited range, 8 bits, even sides."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING

import av
import cv2
import numpy as np
from av.video.reformatter import VideoReformatter

from gradcam_cli.errors import InputError
from gradcam_cli.media.video.frames import scale
from gradcam_cli.media.video.open import reason
from gradcam_cli.records import fitted

if TYPE_CHECKING:
    from fractions import Fraction

    from gradcam_cli.media.video.frames.colours import Treatment
    from gradcam_cli.media.video.frames.scale import Plane, Planes
    from gradcam_cli.media.video.frames.turn import Turn
    from gradcam_cli.records import Size

_WIDEST_PIXEL = 10  # times its height; more is a damaged header
_KR_KB_601, _KR_KB_709 = (0.299, 0.114), (0.2126, 0.0722)  # shares of red and blue in luma


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


def shape(frame: av.VideoFrame, aspect: Fraction | None, max_size: int | None, turn: Turn) -> Shape:
    """Decide how a stream's frames become upright pictures with square pixels.

    Args:
        frame: the stream's first one.
        aspect: width ÷ height of a pixel, None where unknown. Pixels are stretched, never squeezed.
        max_size: the longest side allowed.
        turn: what makes it upright.
    """
    height, width = float(frame.height), float(frame.width)
    if aspect and 1 / _WIDEST_PIXEL <= aspect <= _WIDEST_PIXEL:
        height, width = (height, width * aspect) if aspect > 1 else (height / aspect, width)
    return Shape(fitted((height, width), max_size), turn)


class Converter:
    """Converts decoded frames to planes, safely from several threads.

    Args:
        shape: of the frames.
        treatment: what is to be done with their colours, or None.
    """

    def __init__(self, shape: Shape, treatment: Treatment | None = None) -> None:
        self.shape = shape
        self._treatment = treatment
        self._scaler = VideoReformatter()
        self._lock = threading.Lock()

    def planes(self, frame: av.VideoFrame) -> Planes:
        """Return y (H, W), u and v (H/2, W/2): contiguous, upright, padded to even sides by repeating the edge.

        Raises:
            av.error.FFmpegError: swscale does not know the pixel format.
        """
        if self._treatment is None and self.shape.coded == (frame.height, frame.width) and _only_matrix_differs(frame):
            y, u, v = _from_601(*(scale.array_of(plane) for plane in frame.planes))
        else:
            y, u, v = self._scaled(frame)
        return scale.padded(self._upright(y)), self._upright(u), self._upright(v)

    def _scaled(self, frame: av.VideoFrame) -> Planes:
        if self._treatment is None:
            with self._lock:
                return scale.to_planes(frame, self.shape.coded, self._scaler)
        with self._lock:
            values = scale.to_deep_rgb(frame, self.shape.coded, self._scaler, alpha=self._treatment.transparent)
        return scale.planes_of_rgb(self._treatment.rgb(values))

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
        return scale.to_rgb(self.planes, self.size, size)


def _only_matrix_differs(frame: av.VideoFrame) -> bool:
    has_range = frame.format.name == "yuv420p" and scale.range_of(frame) == scale.LIMITED
    return has_range and scale.matrix_of(frame) == scale.SWS_601


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
