"""The explanation of a clip."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from gradcam_cli.pipeline.explanation import TOP
from gradcam_cli.pipeline.json_record import build_record, one_line, rounded

if TYPE_CHECKING:
    from pathlib import Path

    from gradcam_cli.pipeline.clips.engine import Tally
    from gradcam_cli.pipeline.clips.survey import Survey, Track
    from gradcam_cli.pipeline.session import Session
    from gradcam_cli.records import Geometry, Prediction


@dataclass(repr=False)
class ClipExplanation:
    """Why a network gives a clip a class, for one layer, class and method.

    Attributes:
        input: the clip's path.
        session: the network and the settings that it was explained with.
        survey: results of frames spread over the clip.
        position: position of the track in the survey.
        tally: numbers of explained and of blank frames.
        geometry: the part of every frame that the network sees; its ``source`` is the size of the results' frames.
        total: processing time in seconds.
        skipped: number of damaged packets that were skipped.
        complete: whether the whole clip was explained: its file is neither cut off nor damaged.
        notes: what is unusual about the clip.
        files: kind of result → where it was written.
    """

    input: str
    session: Session
    survey: Survey
    position: int
    tally: Tally
    geometry: Geometry
    total: float
    skipped: int
    complete: bool
    notes: tuple[str, ...]
    files: dict[str, Path] = field(default_factory=dict)

    def __repr__(self) -> str:
        return one_line(self)

    @property
    def track(self) -> Track:
        """The layer, class and method."""
        return self.survey.tracks[self.position]

    @property
    def layer(self) -> str:
        """The target layer's dotted name."""
        return self.track.layer

    @property
    def method(self) -> str:
        """Name of the method, with its parameters."""
        return self.track.method

    @property
    def target(self) -> Prediction:
        """The clip's class; where each frame has its own, the class that the whole clip would have."""
        return self.track.target

    @property
    def predictions(self) -> list[Prediction]:
        """The five classes with the highest mean probability."""
        return self.survey.predictions[:TOP]

    @property
    def blank(self) -> str | None:
        """Why the maps of the whole clip are blank, or None."""
        return self.track.blank

    @property
    def seconds(self) -> dict[str, float]:
        """Time spent on this clip."""
        return {"total": self.total}

    @property
    def class_map(self) -> None:
        """None: each frame has its own."""

    def record(self) -> dict[str, Any]:
        """Return the explanation as plain values, ready for JSON."""
        scale = self.track.scale
        maps = {
            "scale": None if scale is None else rounded(scale),
            "blank_frames": self.tally.blank[self.position],
        }
        clip = {
            "size": list(self.geometry.source),
            "frames": self.tally.frames,
            "seconds": round(self.tally.shown, 6),
            "skipped": self.skipped,
            "notes": list(self.notes),
        }
        return build_record(self, maps, one_target=self.survey.targets is not None, clip=clip)
