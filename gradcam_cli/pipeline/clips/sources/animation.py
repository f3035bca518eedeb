"""Animated GIF, WebP, APNG and AVIF files as sources of clips; a still picture is an animation of one frame."""

from __future__ import annotations

from fractions import Fraction
from functools import cached_property
from itertools import islice
from typing import TYPE_CHECKING

import numpy as np

from gradcam_cli.media import timing
from gradcam_cli.media.gif.read import AnimationReader
from gradcam_cli.media.image.read import resized
from gradcam_cli.pipeline.clips.sources.base import SAMPLES, ClipInfo
from gradcam_cli.records import fitted
from gradcam_cli.render.planes import to_planes

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import numpy.typing as npt

    from gradcam_cli.pipeline.settings import ClipSettings
    from gradcam_cli.records import Size
    from gradcam_cli.render.planes import Planes

    Pixels = npt.NDArray[np.uint8]

TICK = Fraction(1, 90_000)
"""Seconds; hundredths, thousandths and the frame times of usual rates are multiples of it."""

USUAL_RATE = Fraction(10)


class AnimationSource:
    """An animation.

    Args:
        path: path of the file.
        name: its name in error messages.
        settings: which frames are read, and their size.

    Raises:
        InputError: it cannot be read.
    """

    def __init__(self, path: Path, name: str, settings: ClipSettings) -> None:
        self._settings = settings
        self._reader = AnimationReader(path, name, settings.max_pixels, settings.max_frames)
        self.notes = list(self._reader.info.notes)
        self.samples_recur = True
        self.skipped = 0

    def __enter__(self) -> AnimationSource:
        return self

    def __exit__(self, *error: object) -> None:
        self._reader.close()

    @cached_property
    def info(self) -> ClipInfo:
        """Properties that are known before the frames are read."""
        info = self._reader.info
        rate = self._settings.fps or (info.frames / info.duration if info.frames and info.duration else USUAL_RATE)
        return ClipInfo(fitted(info.size, self._settings.max_size), info.frames, TICK, rate, info.loop)

    def samples(self) -> Iterator[tuple[_Frame, bool]]:
        """Yield frames spread along the animation, with True."""
        step = max(1, (self.info.frames or 1) // SAMPLES)
        return ((frame, True) for frame in islice(islice(self._wanted(), 0, None, step), 2 * SAMPLES))

    def frames(self) -> Iterator[_Frame]:
        """Yield every selected frame."""
        yield from self._wanted()
        if self._reader.damage:
            self.notes.append(self._reader.damage)

    def _wanted(self) -> Iterator[_Frame]:
        settings = self._settings
        whole = (timing.TimedFrame(frame.time, frame.duration, frame.pixels) for frame in self._reader)
        frames = timing.every(timing.within(whole, settings.start, settings.end), settings.stride)
        first: Fraction | None = None
        for frame in frames if settings.fps is None else timing.at_rate(frames, settings.fps):
            first = frame.time if first is None else first
            yield _Frame(resized(frame.what, self.info.size), frame.time - first, frame.duration)


class _Frame:
    """A frame with the interface of a video's.

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
        return self._pixels.shape[0], self._pixels.shape[1]

    def rgb(self, size: Size | None = None) -> Pixels:
        return resized(self._pixels, size or self.size)

    @cached_property
    def planes(self) -> Planes:
        height, width = self.size
        return to_planes(np.pad(self._pixels, [(0, height % 2), (0, width % 2), (0, 0)], "edge"))
