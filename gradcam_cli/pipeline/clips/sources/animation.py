"""Animated GIF, WebP, APNG and AVIF files as sources of clips; a still picture is an animation of one frame."""

from __future__ import annotations

from fractions import Fraction
from functools import cached_property
from typing import TYPE_CHECKING

from gradcam_cli.media.gif.read import AnimationReader
from gradcam_cli.media.timing import TimedFrame
from gradcam_cli.pipeline.clips.sources.base import ClipInfo, spread, wanted
from gradcam_cli.records import fitted

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from gradcam_cli.pipeline.clips.sources.base import StillFrame
    from gradcam_cli.pipeline.settings import ClipSettings

TICK = Fraction(1, 90_000)
"""Seconds; hundredths, thousandths and the frame times of usual rates are multiples of it."""

STANDS_STILL = (
    "has one frame and does not move: 'gradcam image' explains stills, a sweep of 'gradcam gif' animates them"
)

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
        if self._reader.info.frames == 1:
            self.notes.append(STANDS_STILL)
        self.samples_recur = True
        self.skipped = 0

    @property
    def complete(self) -> bool:
        """Whether the animation is not damaged, as far as it has been read."""
        return not self._reader.damage

    def __enter__(self) -> AnimationSource:
        return self

    def __exit__(self, *error: object) -> None:
        self._reader.close()

    @cached_property
    def info(self) -> ClipInfo:
        """Properties that are known before the frames are read."""
        info = self._reader.info
        rate = self._settings.fps or (info.frames / info.duration if info.frames and info.duration else USUAL_RATE)
        return ClipInfo(
            fitted(info.size, self._settings.size or self._settings.max_size), info.frames, TICK, rate, info.loop
        )

    def samples(self) -> Iterator[tuple[StillFrame, bool]]:
        """Yield frames spread along the animation, with True."""
        return spread(self._wanted(), self.info.frames)

    def frames(self) -> Iterator[StillFrame]:
        """Yield every selected frame."""
        yield from self._wanted()
        if self._reader.damage:
            self.notes.append(self._reader.damage)

    def _wanted(self) -> Iterator[StillFrame]:
        whole = (TimedFrame(frame.time, frame.duration, frame.pixels) for frame in self._reader)
        return wanted(whole, self.info.size, self._settings)
