"""One picture explained in several ways, side by side: methods, layers, classes or networks in rows and columns."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

import cv2
import numpy as np

from gradcam_cli.errors import InputError
from gradcam_cli.media.atomic import write_all
from gradcam_cli.media.image.encode import encode_figure
from gradcam_cli.media.image.read import read_picture
from gradcam_cli.pipeline.artifacts.overlay import format_prediction
from gradcam_cli.pipeline.explanation import TOP, Explanation
from gradcam_cli.pipeline.outcome import Outcome, one_by_one
from gradcam_cli.pipeline.settings import AXES, axes_for
from gradcam_cli.render.colormap import colormap
from gradcam_cli.render.figure.figure import Cell, Figure, cell_size, draw

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    import numpy.typing as npt

    from gradcam_cli.pipeline.session import Session
    from gradcam_cli.pipeline.settings import Axis, CompareSettings
    from gradcam_cli.records import Job, Picture, Prediction, Size

    Pixels = npt.NDArray[np.uint8]

DPI = 300
MM_PER_INCH = 25.4
IN_A_ROW = 4
"""Maps in a row when only one axis varies; more continue in further rows."""
MAX_PREDICTIONS = 3
"""Number of classes listed under the source."""

SCALE = {
    "auto": "each map from its lowest to its highest value",
    "minmax": "each map from its lowest to its highest value",
    "max": "each map up to its highest value",
    "none": "maps as they are",
}
"""Label of the colour bar, by normalisation."""

Way = dict["Axis", int]
"""One variant of an explanation: its position along each axis that varies; along the others it is 0."""


class CompareRun:
    """One run over pictures; iterate over it, once, for the outcomes.

    Args:
        jobs: the inputs, in order, each with the figures to write.
        sessions: the networks, all with the same layers, classes and methods.
        settings: layout of the figure, and how maps are shown.

    Raises:
        UsageError: an axis varies that has no place: more than two vary, or others than those requested.
    """

    def __init__(self, jobs: Iterable[Job], sessions: Sequence[Session], settings: CompareSettings) -> None:
        self._jobs = jobs
        self._sessions = sessions
        self._settings = settings
        self._counts = sessions[0].settings.counts(len(sessions))
        self._rows, self._columns = axes_for(self._counts, settings.rows, settings.columns)

    def __iter__(self) -> Iterator[Outcome]:
        """Yield one outcome an input, in order; after the first error none with ``fail_fast``."""
        return one_by_one(self._jobs, self._compare, fail_fast=self._settings.fail_fast)

    def _compare(self, job: Job) -> Outcome:
        if job.input is None:
            raise InputError("a comparison cannot be made of standard input", "save the picture in a file")
        picture = read_picture(job.input, job.name, self._settings.max_pixels)
        explained = [_ExplainedNetwork(session, job, picture, self._settings) for session in self._sessions]
        rows = self._ways()
        cells = [[explained[way.get("models", 0)].explained(way) for way in row] for row in rows]
        figure = _Sheet(self._counts, self._rows, self._columns, explained, wrapped=self._wrapped)
        width = round(self._settings.width / MM_PER_INCH * DPI)
        pixels = figure.drawn(picture, rows, cells, width, self._settings)
        figures = {
            output.path: encode_figure(pixels, "pdf" if output.container == "pdf" else "png", DPI)
            for output in job.outputs
        }
        written = write_all(figures)
        explanations = [replace(cell, files=job.files) for row in cells for cell in row]
        return Outcome(job, explanations, notes=picture.notes, written=written)

    @property
    def _wrapped(self) -> bool:
        """Whether the one axis that varies fills several rows."""
        return self._rows is None and self._columns is not None and self._settings.columns is None

    def _ways(self) -> list[list[Way]]:
        """Return the variant of each cell, as a list of rows."""
        across = self._along(self._columns)
        if self._wrapped:
            count = math.ceil(len(across) / math.ceil(len(across) / IN_A_ROW))
            return [across[start : start + count] for start in range(0, len(across), count)]
        return [[row | column for column in across] for row in self._along(self._rows)]

    def _along(self, axis: Axis | None) -> list[Way]:
        return [{}] if axis is None else [{axis: position} for position in range(self._counts[axis])]


class _ExplainedNetwork:
    """A network and its predictions for the picture, ready to explain it in any variant."""

    def __init__(self, session: Session, job: Job, picture: Picture, settings: CompareSettings) -> None:
        self.session = session
        self._job, self._picture, self._settings = job, picture, settings
        self._prepared = session.prepare(picture.pixels)
        # This pass finds the classes, and is the warm-up, so that the times of the maps are not those of a first run.
        self.ranking = session.only(0, "gradcam").explain_one(self._prepared, job.name).predictions
        self.targets = session.resolve(self.ranking)

    def for_target(self, way: Way) -> Prediction:
        """Return the class that a variant explains."""
        return self.ranking.for_target(self.targets[way.get("targets", 0)])

    def explained(self, way: Way) -> Explanation:
        """Explain the picture in one variant alone, so that its time is its own."""
        method = self.session.settings.methods[way.get("methods", 0)]
        layer = None if self.session.settings.fusion else way.get("layers", 0)
        targets = [self.targets[way.get("targets", 0)]]
        result = self.session.only(layer, method).explain_one(self._prepared, self._job.name, targets)
        return Explanation(
            self._job.given, self._picture.pixels, self.session, result.maps[0], self._prepared.geometry,
            result.targets[0], self.ranking[:TOP], self._settings.render, {"explain": result.seconds},
        )  # fmt: skip


class _Sheet:
    """The texts of the figure, and their places."""

    def __init__(
        self,
        counts: dict[Axis, int],
        rows: Axis | None,
        columns: Axis | None,
        explained: Sequence[_ExplainedNetwork],
        *,
        wrapped: bool,
    ) -> None:
        self._constant = [axis for axis in AXES if axis not in (rows, columns)]
        self._rows, self._columns, self._explained, self._wrapped = rows, columns, explained, wrapped
        self._counts = counts

    def drawn(
        self,
        picture: Picture,
        ways: list[list[Way]],
        cells: list[list[Explanation]],
        width: int,
        settings: CompareSettings,
    ) -> Pixels:
        """Return the figure, uint8 RGB, ``width`` pixels across or less."""
        rows = tuple("" if self._wrapped else self._name(self._rows, row[0]) for row in ways)
        columns = tuple("" if self._wrapped else self._name(self._columns, way) for way in ways[0])
        scale = SCALE[settings.render.normalize]
        size = cell_size(picture.size, len(columns), rows=rows, scale=scale, width=width, dpi=DPI)
        small = _resized(picture.pixels, size)
        figure = Figure(
            title=" · ".join(filter(None, (self._name(axis, {}) for axis in self._constant))),
            source=Cell(small, self._predicted()),
            rows=rows,
            columns=columns,
            cells=tuple(
                tuple(Cell(_overlay(cell, small), self._caption(way, cell)) for way, cell in zip(*row, strict=True))
                for row in zip(ways, cells, strict=True)
            ),
            scale=scale,
        )
        return draw(figure, colormap(settings.render.colormap), dpi=DPI)

    def _name(self, axis: Axis | None, way: Way) -> str:
        """Return the name of a position along an axis; empty where the cells show it, or there is no axis."""
        session = self._explained[way.get("models", 0)].session
        if axis == "models":
            return session.network.name
        if axis == "layers":
            names = [layer.name for layer in session.explainer.layers]
            return (
                f"{session.settings.fusion} of {len(names)} layers"
                if session.settings.fusion
                else names[way.get(axis, 0)]
            )
        if axis == "methods":
            return session.settings.methods[way.get(axis, 0)]
        if axis == "targets":
            if self._counts["models"] > 1:
                return session.settings.targets[way.get(axis, 0)].name if self._counts[axis] > 1 else ""
            return format_prediction(self._explained[0].for_target(way))
        return ""

    def _caption(self, way: Way, cell: Explanation) -> tuple[str, ...]:
        """Return the lines under a cell."""
        lines = [self._name(self._columns, way)] if self._wrapped else []
        if self._counts["models"] > 1:
            lines.append(format_prediction(cell.target))
        seconds = cell.seconds["explain"]
        time = f"{seconds * 1e3:.0f} ms" if seconds < 1 else f"{seconds:.1f} s"
        return (*lines, f"{time}, nothing to see" if cell.blank else time)

    def _predicted(self) -> tuple[str, ...]:
        """Return the lines under the source: its most probable classes."""
        if self._counts["models"] > 1:
            return ()
        return tuple(format_prediction(prediction) for prediction in self._explained[0].ranking[:MAX_PREDICTIONS])


def _resized(pixels: Pixels, size: Size) -> Pixels:
    smaller = size[0] < pixels.shape[0]
    how = cv2.INTER_AREA if smaller else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(pixels, size[::-1], interpolation=how), np.uint8)


def _overlay(cell: Explanation, small: Pixels) -> Pixels:
    """Draw an overlay at the figure's own resolution, so that the map is as smooth as it can be."""
    geometry = cell.geometry.for_source((small.shape[0], small.shape[1]))
    return replace(cell, pixels=small, geometry=geometry).overlay
