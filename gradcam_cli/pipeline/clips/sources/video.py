"""Video files as sources of clips."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

from gradcam_cli.media.video.read import VideoReader
from gradcam_cli.pipeline.clips.sources.base import SAMPLES, ClipInfo
from gradcam_cli.text import counted

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from gradcam_cli.media.video.frames.planes import VideoFrame
    from gradcam_cli.pipeline.settings import ClipSettings


class VideoSource:
    """A video file.

    Args:
        path: path of the file.
        name: its name in error messages.
        settings: which frames are read, and their size.

    Raises:
        InputError: it cannot be read.
    """

    def __init__(self, path: Path, name: str, settings: ClipSettings) -> None:
        self._reader = VideoReader(
            path,
            start=settings.start,
            end=settings.end,
            stride=settings.stride,
            fps=settings.fps,
            max_size=settings.size or settings.max_size,
            name=name,
            max_pixels=settings.max_pixels,
            max_frames=settings.max_frames,
        )

    def __enter__(self) -> VideoSource:
        return self

    def __exit__(self, *error: object) -> None:
        self._reader.close()

    @cached_property
    def info(self) -> ClipInfo:
        """Properties that are known before the frames are read."""
        info = self._reader.info
        return ClipInfo(info.size, info.frames, info.tick, info.rate, audio=self._reader.audio)

    @property
    def notes(self) -> tuple[str, ...]:
        """What the user should know of the file."""
        found = list(self._reader.info.notes)
        if self.skipped:
            found.append(f"{counted(self.skipped, 'damaged packet')} passed over")
        if self._reader.damaged:
            found.append(f"damaged in {counted(self._reader.damaged, 'place')}: frames there are wrong or missing")
        return tuple(found)

    @property
    def skipped(self) -> int:
        """Number of damaged packets skipped so far."""
        return self._reader.skipped

    @property
    def complete(self) -> bool:
        """Whether the file is neither cut off nor, as far as it has been read, damaged."""
        return not (self.skipped or self._reader.damaged or self._reader.info.is_cut_off)

    @property
    def samples_recur(self) -> bool:
        """Whether the clip is short enough to be kept in memory: then its samples are the frames themselves."""
        return self._reader.is_held

    def samples(self) -> Iterator[tuple[VideoFrame, bool]]:
        """Yield frames spread along the clip, with True; with False those that are read on the way."""
        return self._reader.sample(SAMPLES)

    def frames(self) -> Iterator[VideoFrame]:
        """Yield every selected frame."""
        return iter(self._reader)
