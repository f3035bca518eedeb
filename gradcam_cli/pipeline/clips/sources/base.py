"""A medium of moving pictures as a run needs it, whatever its files are."""

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
"""Frames, spread over a clip, that its class and its scale are taken from."""


@dataclass(frozen=True, slots=True)
class ClipInfo:
    """What the outputs need to know of a source.

    Attributes:
        size: (height, width) of the frames.
        frames: how many there will be, or None where the file does not state it.
        tick: seconds, of which frames' times are multiples.
        rate: mean frames per second.
        loop: of GIFs: None plays once, 0 for ever, n repeats n times after the first.
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
        """What is known before the frames are read."""

    @property
    def notes(self) -> Sequence[str]:
        """What a user should know; complete when the frames are through."""

    @property
    def skipped(self) -> int:
        """Damaged packets passed over up to now."""

    @property
    def samples_recur(self) -> bool:
        """Whether `frames` gives the same pictures as `samples` at the same times."""

    def samples(self) -> Iterator[tuple[Frame, bool]]:
        """Yield some `SAMPLES` frames spread along the clip, with True; with False those that are read on the way."""

    def frames(self) -> Iterator[Frame]:
        """Yield every frame that is wanted, in order; the first one at time 0."""

    def __enter__(self) -> Self: ...
    def __exit__(self, *error: object) -> None: ...
