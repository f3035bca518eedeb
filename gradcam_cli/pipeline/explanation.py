"""Explanations, and the record that goes into JSON."""

from __future__ import annotations

import json
import platform
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, Protocol

from gradcam_cli._version import __version__
from gradcam_cli.cam.predictions import activation_for
from gradcam_cli.media.image.encode import encode
from gradcam_cli.models.load import versions
from gradcam_cli.render.colormap import colormap
from gradcam_cli.render.contours import draw_contours
from gradcam_cli.render.overlay import heatmap, mark_unseen, overlay
from gradcam_cli.render.saliency import SaliencyMap
from gradcam_cli.text import escaped_json

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np
    import numpy.typing as npt

    from gradcam_cli.cam.maps import ClassMap
    from gradcam_cli.pipeline.render_settings import RenderSettings
    from gradcam_cli.pipeline.session import Session
    from gradcam_cli.records import Geometry, Prediction

TOP = 5
"""Number of most probable classes in records and tables."""


class AnyExplanation(Protocol):
    """Why a network gives an input a class: the interface of explanations of pictures and of clips."""

    @property
    def input(self) -> str:
        """The input's path, ``-`` for standard input."""

    @property
    def session(self) -> Session:
        """The network and the settings that it was explained with."""

    @property
    def layer(self) -> str:
        """The target layer's dotted name."""

    @property
    def method(self) -> str:
        """Name of the method, with its parameters."""

    @property
    def target(self) -> Prediction:
        """The explained class."""

    @property
    def predictions(self) -> list[Prediction]:
        """The five most probable classes."""

    @property
    def blank(self) -> str | None:
        """Why the map shows nothing, or None when it shows something."""

    @property
    def geometry(self) -> Geometry:
        """The part of the input that the network sees."""

    @property
    def files(self) -> dict[str, Path]:
        """The written files by their key."""

    @property
    def seconds(self) -> dict[str, float]:
        """Time spent on this input by stage."""

    @property
    def complete(self) -> bool:
        """Whether the whole input was explained: nothing was cut off or damaged."""

    @property
    def class_map(self) -> ClassMap | None:
        """The map at the layer's size; None where there are many."""

    def record(self) -> dict[str, Any]:
        """Return the explanation as plain values, ready for JSON."""


def build_record(
    explanation: AnyExplanation, map_record: dict[str, Any], *, one_target: bool = True, **own: object
) -> dict[str, Any]:
    """Return an explanation as plain values, ready for JSON.

    Args:
        explanation: of a picture or a clip.
        map_record: entries of ``map`` besides whether it is blank, and why.
        one_target: whether the target is that of every map; otherwise the record has none.
        **own: further keys.
    """
    network, preset, geometry = explanation.session.network, explanation.session.preset, explanation.geometry
    return {
        "input": explanation.input,
        "complete": explanation.complete,
        "model": network.name,
        "weights": {"source": network.weights.source, "sha256": network.weights.sha256()},
        "preprocessing": {
            "fit": geometry.fit,
            "size": list(geometry.input),
            "channels": preset.channels,
            "scale": preset.scale,
            "mean": list(preset.mean),
            "std": list(preset.std),
        },
        "activation": activation_for(network.num_classes, explanation.session.activation),
        "notes": explanation.session.notes,
        "layer": explanation.layer,
        "method": explanation.method,
        "target": explanation.target.record() if one_target else None,
        "predictions": [prediction.record() for prediction in explanation.predictions],
        "map": {**map_record, "blank": explanation.blank is not None, "reason": explanation.blank},
        "geometry": {
            "fit": geometry.fit,
            "source": list(geometry.source),
            "resized": list(geometry.resized),
            "offset": list(geometry.offset),
            "input": list(geometry.input),
            "seen": [round(edge, 3) for edge in geometry.seen],
        },
        **own,
        **_plugins_record(explanation),
        "files": {kind: str(path) for kind, path in explanation.files.items()},
        "seconds": {stage: round(value, 4) for stage, value in explanation.seconds.items()},
        "versions": {"gradcam": __version__, **versions(), "python": platform.python_version()},
    }


def _plugins_record(explanation: AnyExplanation) -> dict[str, list[dict[str, str]]]:
    """Return which packages added the network or the method, where any did."""
    session = explanation.session
    used = [method.plugin for method in session.explainer.methods if method.name == explanation.method]
    found = [plugin.record() for plugin in (session.network.plugin, *used) if plugin is not None]
    return {"plugins": found} if found else {}


@dataclass
class Explanation:
    """Why a network gives a picture a class.

    Attributes:
        input: the picture's path, ``-`` for standard input.
        pixels: the picture, uint8 RGB (H, W, 3).
        session: the network and the settings that it was explained with.
        class_map: the map, at the target layer's size.
        geometry: the part of the picture that the network saw.
        target: the explained class.
        predictions: the five most probable classes.
        settings: how the map is shown.
        seconds: time spent on this picture by stage.
        files: kind of result → where it was written.
        notes: what was done with the picture when it was read.
    """

    input: str
    pixels: npt.NDArray[np.uint8]
    session: Session
    class_map: ClassMap
    geometry: Geometry
    target: Prediction
    predictions: list[Prediction]
    settings: RenderSettings
    seconds: dict[str, float] = field(default_factory=dict)
    files: dict[str, Path] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    @property
    def layer(self) -> str:
        """The target layer's dotted name."""
        return self.class_map.layer

    @property
    def method(self) -> str:
        """Name of the method, with its parameters."""
        return self.class_map.method

    @property
    def complete(self) -> bool:
        """Always: a picture that is cut off is not read."""
        return True

    @cached_property
    def saliency(self) -> SaliencyMap:
        """The map over the whole picture."""
        return SaliencyMap(self.class_map.values, self.geometry, self.settings.normalize)

    @property
    def map(self) -> npt.NDArray[np.float32]:
        """The saliency map, float32 (H, W), in [0, 1] unless ``normalize`` is ``none``."""
        return self.saliency.array()

    @cached_property
    def grayscale(self) -> npt.NDArray[np.uint8]:
        """The saliency map as bytes, uint8 (H, W)."""
        return self.saliency.bytes()

    @cached_property
    def encoded(self) -> bytes:
        """The saliency map as the bytes of a file."""
        return encode(self.grayscale, self.settings.format, quality=self.settings.quality)

    @cached_property
    def shown(self) -> npt.NDArray[np.uint8]:
        """The saliency map as bytes, uint8 (H, W), interpolated as heatmap and overlay show it."""
        if self.settings.upsample == "bilinear":
            return self.grayscale
        return self.saliency.smooth().bytes()

    @property
    def heatmap(self) -> npt.NDArray[np.uint8]:
        """The coloured map, uint8 RGB (H, W, 3)."""
        return self._marked(heatmap(self.shown, colormap(self.settings.colormap)))

    @property
    def overlay(self) -> npt.NDArray[np.uint8]:
        """The coloured map over the picture, uint8 RGB (H, W, 3); the picture alone where the map is blank."""
        if self.blank:
            return self._marked(self.pixels)
        look, table = self.settings, colormap(self.settings.colormap)
        if look.contours:
            return self._marked(draw_contours(self.pixels, self.shown, look.contours, table))
        blended = overlay(self.pixels, self.shown, table, alpha=look.alpha, by_intensity=look.by_intensity)
        return self._marked(blended)

    @property
    def blank(self) -> str | None:
        """Why the map shows nothing, or None when it shows something."""
        return self.class_map.blank

    def _marked(self, picture: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
        return picture if self.geometry.sees_all else mark_unseen(picture, self.saliency.seen_box, self.settings.unseen)

    def record(self) -> dict[str, Any]:
        """Return the explanation as plain values, ready for JSON."""
        low, high = (float(f"{value:.9g}") for value in (self.class_map.low, self.class_map.high))
        scale = self.saliency.scale
        shown = None if scale is None else [float(f"{value:.9g}") for value in scale]
        sides = list(self.class_map.values.shape)
        record = build_record(self, {"min": low, "max": high, "size": sides, "scale": shown})
        return {**record, "notes": [*record["notes"], *self.notes]}


def as_json(record: dict[str, Any]) -> str:
    """Return a record as one line; control characters and undecodable bytes of file names are escaped."""
    return escaped_json(json.dumps(record, ensure_ascii=False, allow_nan=False))
