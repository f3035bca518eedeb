"""What explanations have in common: their record, which goes into JSON, and their one line of text."""

from __future__ import annotations

import json
import os
import platform
from typing import TYPE_CHECKING, Any, Protocol

from gradcam_cli._version import __version__
from gradcam_cli.cam.predictions import activation_for
from gradcam_cli.models.load import versions
from gradcam_cli.text import escaped_json, printable

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from gradcam_cli.cam.maps import ClassMap
    from gradcam_cli.pipeline.session import Session
    from gradcam_cli.records import Geometry, Prediction


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


def rounded(values: Iterable[float]) -> list[float]:
    """Return values of a map for a record: nine digits, as many as a float32 has."""
    return [float(f"{value:.9g}") for value in values]


def as_json(record: dict[str, Any]) -> str:
    """Return a record as one line; control characters and undecodable bytes of file names are escaped."""
    return escaped_json(json.dumps(record, ensure_ascii=False, allow_nan=False))


def one_line(explanation: AnyExplanation) -> str:
    """Return an explanation in a few words: ``<Explanation of cat.jpg: cat 77.4% by gradcam at layer3.1>``."""
    target, name = explanation.target, printable(os.path.basename(explanation.input))
    blank = ", blank" if explanation.blank else ""
    return (
        f"<{type(explanation).__name__} of {name}: {target.label} {target.value()} by {explanation.method} "
        f"at {explanation.layer}{blank}>"
    )
