"""What was found out about a clip."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from gradcam_cli._version import __version__
from gradcam_cli.models.load import versions
from gradcam_cli.pipeline.explanation import TOP

if TYPE_CHECKING:
    from pathlib import Path

    from gradcam_cli.pipeline.clips.engine import Tally
    from gradcam_cli.pipeline.clips.survey import Survey, Track
    from gradcam_cli.pipeline.session import Session
    from gradcam_cli.records import Prediction, Size


@dataclass(slots=True)
class ClipExplanation:
    """What was found out about a clip for one layer, class and method, and what was written."""

    input: str
    session: Session
    survey: Survey
    position: int
    tally: Tally
    size: Size
    seconds: float
    skipped: int
    files: dict[str, Path] = field(default_factory=dict)

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
        """The formula, a key of ``cam.methods.registry.METHODS``."""
        return self.track.method

    @property
    def target(self) -> Prediction:
        """The clip's class; where each frame has its own, what the whole clip's would be."""
        return self.track.target

    @property
    def predictions(self) -> list[Prediction]:
        """The five classes with the highest mean probability."""
        return self.survey.predictions[:TOP]

    @property
    def blank(self) -> str | None:
        """Why nothing is to be seen in the whole clip, or None."""
        return self.track.blank

    def record(self) -> dict[str, Any]:
        """Return the explanation as plain values, ready for JSON."""
        network, track = self.session.network, self.track
        return {
            "input": self.input,
            "model": network.name,
            "weights": {"source": network.weights.source, "sha256": network.weights.sha256()},
            "layer": self.layer,
            "method": self.method,
            "target": None if self.survey.targets is None else asdict(track.target),
            "predictions": [asdict(prediction) for prediction in self.predictions],
            "map": {
                "scale": None if track.scale is None else [float(f"{value:.9g}") for value in track.scale],
                "blank": self.blank is not None,
                "blank_frames": self.tally.blank[self.position],
                "reason": self.blank,
            },
            "clip": {
                "size": list(self.size),
                "frames": self.tally.frames,
                "seconds": round(self.tally.shown, 6),
                "skipped": self.skipped,
            },
            "files": {kind: str(path) for kind, path in self.files.items()},
            "seconds": {"total": round(self.seconds, 4)},
            "versions": {"gradcam": __version__, **versions()},
        }
