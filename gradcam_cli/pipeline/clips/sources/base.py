"""The interface of sources of moving pictures, the same for every file format."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from typing import TYPE_CHECKING, Protocol

import numpy as np

from gradcam_cli.media.image.read import reduced, resized
from gradcam_cli.media.timing import at_rate, every, within
from gradcam_cli.render.planes import to_planes

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from fractions import Fraction

    import numpy.typing as npt
    from typing_extensions import Self

    from gradcam_cli.media.timing import TimedFrame
    from gradcam_cli.media.video.audio import AudioSource
    from gradcam_cli.pipeline.frame import Frame
    from gradcam_cli.pipeline.settings import ClipSettings
    from gradcam_cli.records import Size
    from gradcam_cli.render.planes import Planes

    Pixels = npt.NDArray[np.uint8]

SAMPLES = 12
"""Number of frames, spread over a clip, that decide its class and its scale."""


@dataclass(frozen=True, slots=True)
class ClipInfo:
    """The properties of a source that the outputs need.

    Attributes:
        size: (height, width) of the frames.
        frames: number of frames, or None where the file does not state it.
        tick: seconds; frames' times are multiples of it.
        rate: mean frames per second.
        loop: repetitions of GIFs: None plays once, 0 for ever, n repeats n times after the first.
        audio: the sound that belongs to the frames, or None.
    """

    size: Size
    frames: int | None
    tick: Fraction
    rate: Fraction
    loop: int | None = 0
    audio: AudioSource | None = None


class StillFrame:
    """A frame of a medium whose frames are RGB pictures.

    Args:
        pixels: uint8 RGB (H, W, 3).
        time: seconds since the first frame.
        duration: seconds it is shown.
    """

    def __init__(self, pixels: Pixels, time: Fraction, duration: Fraction) -> None:
        self._pixels = pixels
        self.time = time
        self.duration = duration

    @property
    def size(self) -> Size:
        """(height, width)."""
        return self._pixels.shape[0], self._pixels.shape[1]

    def rgb(self, size: Size | None = None) -> Pixels:
        """Return uint8 RGB (h, w, 3), resized bilinearly with antialiasing when ``size`` is given."""
        return reduced(self._pixels, size or self.size)

    @cached_property
    def planes(self) -> Planes:
        """Planes y (H, W), u and v (H/2, W/2): uint8, yuv420p, BT.709, limited range; odd sides are padded by one."""
        height, width = self.size
        return to_planes(np.pad(self._pixels, [(0, height % 2), (0, width % 2), (0, 0)], "edge"))


def wanted(frames: Iterable[TimedFrame[Pixels]], size: Size, settings: ClipSettings) -> Iterator[StillFrame]:
    """Yield the frames that the settings want, the first one at time 0.

    Args:
        frames: of the whole file, uint8 RGB (H, W, 3).
        size: (height, width) that they are to have.
        settings: start, end, stride and frame rate.
    """
    kept = every(within(frames, settings.start, settings.end), settings.stride)
    first: Fraction | None = None
    for frame in kept if settings.fps is None else at_rate(kept, settings.fps):
        first = frame.time if first is None else first
        yield StillFrame(resized(frame.what, size), frame.time - first, frame.duration)


def spread(frames: Iterable[StillFrame], count: int | None) -> Iterator[tuple[StillFrame, bool]]:
    """Yield some `SAMPLES` of the frames, evenly spread, with True, as `Source.samples` does.

    Args:
        frames: of the whole clip.
        count: how many there are, as far as is known.
    """
    step = max(1, (count or 1) // SAMPLES)
    return ((frame, True) for frame in islice(islice(frames, 0, None, step), 2 * SAMPLES))


class Source(Protocol):
    """An open file of moving pictures; a context manager."""

    @property
    def info(self) -> ClipInfo:
        """Properties that are known before the frames are read."""

    @property
    def notes(self) -> Sequence[str]:
        """Notes for the user; complete after the last frame."""

    @property
    def skipped(self) -> int:
        """Number of damaged packets skipped so far."""

    @property
    def complete(self) -> bool:
        """Whether the file is whole, as far as it has been read: neither cut off nor damaged."""

    @property
    def samples_recur(self) -> bool:
        """Whether `frames` gives the same pictures as `samples` at the same times."""

    def samples(self) -> Iterator[tuple[Frame, bool]]:
        """Yield about `SAMPLES` frames spread along the clip, with True; with False those that are read on the way."""

    def frames(self) -> Iterator[Frame]:
        """Yield every selected frame, in order; the first one at time 0."""

    def __enter__(self) -> Self: ...
    def __exit__(self, *error: object) -> None: ...
