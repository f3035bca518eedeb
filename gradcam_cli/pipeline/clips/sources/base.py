"""The interface of sources of moving pictures, the same for every file format."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from fractions import Fraction

    from typing_extensions import Self

    from gradcam_cli.media.video.audio import AudioSource
    from gradcam_cli.pipeline.frame import Frame
    from gradcam_cli.records import Size

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
    def samples_recur(self) -> bool:
        """Whether `frames` gives the same pictures as `samples` at the same times."""

    def samples(self) -> Iterator[tuple[Frame, bool]]:
        """Yield about `SAMPLES` frames spread along the clip, with True; with False those that are read on the way."""

    def frames(self) -> Iterator[Frame]:
        """Yield every selected frame, in order; the first one at time 0."""

    def __enter__(self) -> Self: ...
    def __exit__(self, *error: object) -> None: ...
