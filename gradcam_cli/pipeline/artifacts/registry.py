"""The table of artifacts, the kinds of result; reading it needs no numpy, OpenCV or torch.

To add one, write a function ``Explanation → bytes`` in a file of this folder, for clips also a `ClipArtifact`, and
one line here.
"""

from __future__ import annotations

from dataclasses import dataclass
from pkgutil import resolve_name
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from collections.abc import Callable

    from gradcam_cli.pipeline.artifacts.base import ClipArtifact


@dataclass(frozen=True, slots=True)
class Artifact:
    """A kind of result.

    Attributes:
        still: ``module:function`` of this folder: a picture's explanation → the bytes of its file.
        clip: ``module:class`` of this folder: draws a clip's frames, a `ClipArtifact`; empty where clips have no such
            result.
        suffix: suffix of its file, without the dot, where that is not a picture.
    """

    still: str
    clip: str = ""
    suffix: str = ""

    def encode(self, explanation: object) -> bytes:
        """Return the content of the file for a picture's `Explanation`.

        Raises:
            OutputError: it cannot be encoded.
        """
        return cast("Callable[[object], bytes]", resolve_name(f"{__package__}.{self.still}"))(explanation)

    @property
    def for_clips(self) -> type[ClipArtifact]:
        """The class that draws the frames of a clip."""
        return cast("type[ClipArtifact]", resolve_name(f"{__package__}.{self.clip}"))


ARTIFACTS: dict[str, Artifact] = {
    "grayscale": Artifact("grayscale:still", "grayscale:Grayscale"),
    "heatmap": Artifact("heatmap:still", "heatmap:Heatmap"),
    "overlay": Artifact("overlay:still", "overlay:Overlay"),
    "panel": Artifact("panel:still"),
    "map": Artifact("data:saliency", suffix="npy"),
    "original": Artifact("data:original"),
    "json": Artifact("data:record", suffix="json"),
}
"""Name in ``--save`` → artifact, in the order in which they are listed."""

KINDS = tuple(ARTIFACTS)
CLIP_KINDS = tuple(name for name, artifact in ARTIFACTS.items() if artifact.clip)
SUFFIXES = {name: artifact.suffix for name, artifact in ARTIFACTS.items() if artifact.suffix}
"""Suffix of each kind that is not a picture."""
