"""From the outcomes of a run to the records in its output directory."""

from __future__ import annotations

import base64
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from gradcam_cli.files import size_of
from gradcam_cli.models.sources.user_code.spec import code_file
from gradcam_cli.pipeline.json_record import rounded
from gradcam_cli.store.record import Places, line

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from gradcam_cli.cam.maps import ClassMap
    from gradcam_cli.pipeline.json_record import AnyExplanation
    from gradcam_cli.pipeline.outcome import Outcome
    from gradcam_cli.pipeline.result_settings import ResultSettings
    from gradcam_cli.records import Part
    from gradcam_cli.store.writing import Recorder

MAX_SIDE = 64
"""Longest side of a recorded map; those of the pixels are reduced, as pictures give them back."""


class RunRecords:
    """The records of one run.

    Args:
        recorder: takes the lines.
        directory: the output directory.
        results: what the results depend on.
        hash_of: returns the hash of a part's settings.
    """

    def __init__(
        self, recorder: Recorder, directory: Path, results: ResultSettings, hash_of: Callable[[Part], str]
    ) -> None:
        self._recorder = recorder
        self._places = Places(directory)
        self._parts = results.parts or ()
        self._hash_of = hash_of
        self._relative = self._places.relative(_paths(results))
        stated = self._places.relative(_paths(results), alone=True)
        self._stated = cache(lambda part, model: stated(results.stated(part, model)))

    def add(self, outcome: Outcome) -> None:
        """Record an input's results.

        Raises:
            OutputError: they cannot be recorded.
        """
        together = len(self._parts) == 1
        lines = []
        for position, explanation in enumerate(outcome.explanations):
            part = self._parts[0 if together else position]
            own = explanation.input == outcome.job.given  # a figure may show several inputs
            files = {key: (self._places.result(path), outcome.written[path]) for key, path in explanation.files.items()}
            lines.append(
                line(
                    self._record(explanation),
                    settings_hash=self._hash_of(part),
                    settings=self._stated(part, explanation.session.settings.model),
                    complete=explanation.complete,
                    source=self._places.input(outcome.job.input if own else Path(explanation.input)),
                    source_size=outcome.input_size if own else size_of(Path(explanation.input)),
                    cell=position if together else 0,
                    files=files,
                )
            )
        self._recorder.add(lines)

    def _record(self, explanation: AnyExplanation) -> dict[str, Any]:
        record = explanation.record()
        named = {key: record[key] for key in ("model", "weights", "notes")}
        class_map = explanation.class_map
        return {
            **record,
            **self._relative(named),
            "map_bytes": None if class_map is None or class_map.blank else map_bytes(class_map),
        }


def map_bytes(class_map: ClassMap) -> dict[str, Any]:
    """Return a map in bytes: ``size`` (h, w), the ``range`` of 0 to 255, and the ``data``, rows in base64."""
    values = class_map.values
    scale = MAX_SIDE / max(values.shape)
    if scale < 1:
        height, width = (max(1, round(side * scale)) for side in values.shape)
        values = np.asarray(cv2.resize(values, (width, height), interpolation=cv2.INTER_AREA), np.float32)
    low, high = float(values.min()), float(values.max())
    levels = np.rint((values - low) * (255 / (high - low or 1))).astype(np.uint8)
    return {
        "size": list(values.shape),
        "range": rounded((low, high)),
        "data": base64.b64encode(levels.tobytes()).decode(),
    }


def _paths(results: ResultSettings) -> Iterator[Path]:
    """Yield the paths that are named in settings, and so in what is recorded of a network."""
    for model in results.models:
        kind, _, folder = model.model.partition(":")
        named = (model.weights, model.labels, code_file(model.model), Path(folder) if kind == "hf" else None)
        yield from (path for path in named if path is not None)
