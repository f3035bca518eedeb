"""The sheet of a comparison: which map is in which place, what is written beside it, what its file states."""

from __future__ import annotations

import json
import math
import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from gradcam_cli._version import __version__
from gradcam_cli.cam.methods.registry import method_named
from gradcam_cli.pipeline.settings import AXES
from gradcam_cli.render.colormap import colormap
from gradcam_cli.render.figure.content import Figure, Panel
from gradcam_cli.render.figure.layout import panel_sizes
from gradcam_cli.render.scale import described, percentile
from gradcam_cli.text import escaped_json, printable

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from gradcam_cli.pipeline.explanation import Explanation
    from gradcam_cli.pipeline.session import Session
    from gradcam_cli.pipeline.settings import Axis, CompareSettings
    from gradcam_cli.records import Prediction, Size
    from gradcam_cli.render.figure.layout import PanelSizes

IN_A_ROW = 4
"""Panels in a row when only one axis varies; more continue in further rows."""
MANY = 12
"""Number of panels from which rows may be longer."""
MAX_PREDICTIONS = 3
"""Number of classes listed under the source."""
LEAST_SHOWN = 0.005
"""Probability below which a further class is not listed: it would be 0 %."""

Way = dict["Axis", int]
"""One variant of an explanation: its position along each axis that varies; along the others it is 0."""


@dataclass(frozen=True, slots=True)
class Place:
    """A map of the sheet.

    Attributes:
        way: its position along the axes.
        explanation: the map.
        seconds: time that it takes, or None where that is not shown.
    """

    way: Way
    explanation: Explanation
    seconds: float | None = None


class Sheet:
    """The content of one figure.

    Args:
        places: the maps, row by row; of one axis alone they are one row, which is broken.
        sessions: the networks.
        rankings: most probable classes, by input and network.
        counts: number of entries on each axis.
        rows: the axis that varies from row to row, or None.
        columns: the axis that varies from column to column, or None.
        settings: the layout.
    """

    def __init__(
        self,
        places: list[list[Place]],
        sessions: Sequence[Session],
        rankings: Mapping[tuple[int, int], Sequence[Prediction]],
        counts: dict[Axis, int],
        rows: Axis | None,
        columns: Axis | None,
        settings: CompareSettings,
    ) -> None:
        self._places, self._sessions, self._rankings, self._counts = places, sessions, rankings, counts
        self._rows, self._columns, self._settings = rows, columns, settings
        self._names = dict(settings.names)
        self._in_rows = rows == "inputs"
        self._flows = rows is None and settings.columns is None
        self._above = rows is not None and not self._in_rows and counts["inputs"] == 1

    def figure(self, width: int) -> Figure:
        """Return the figure, ``width`` dots across at `layout.DPI`, its maps drawn at its own resolution."""
        return self._flowing(width) if self._flows else self._grid(width)

    def _flowing(self, width: int) -> Figure:
        """Lay out the source and the maps of one axis one after the other, each with its name above it."""
        places = self._places[0]
        across = _evenly(1 + len(places))
        lines = math.ceil((1 + len(places)) / across)
        headings = ("",) * lines
        size = self._sizes([places[0]] * lines, across, headings, width).rows[0]
        panels = [self._source(places[0], size), *(self._panel(place, size, named=True) for place in places)]
        rows = tuple(tuple(panels[start : start + across]) for start in range(0, len(panels), across))
        return self._figure(rows, headings)

    def _grid(self, width: int) -> Figure:
        """Lay out rows with headings before them; a source that all share is above, otherwise each row has its own."""
        first = [row[0] for row in self._places]
        headings = tuple(self._name(self._rows, place) for place in first)
        own = not self._above
        sizes = self._sizes(first, len(self._places[0]) + own, headings, width)
        rows: list[tuple[Panel, ...]] = []
        for row, size in zip(self._places, sizes.rows, strict=True):
            source = self._source(row[0], size)
            panels = [self._panel(place, size, named=not rows) for place in row]
            rows.append((replace(source, heading="" if rows else source.heading), *panels) if own else tuple(panels))
        return self._figure(tuple(rows), headings, None if own else self._source(first[0], sizes.source))

    def _sizes(self, first: Sequence[Place], columns: int, headings: Sequence[str], width: int) -> PanelSizes:
        """Return the sizes of the panels of rows that begin with these maps."""
        every = [place for row in self._places for place in row]
        pictures = [(len(place.explanation.pixels), place.explanation.pixels.shape[1]) for place in first]
        return panel_sizes(
            pictures, columns, headings=headings, scale=self._scale(), source=self._above,
            captions=max(len(self._captions(place)) for place in every), width=width,
        )  # fmt: skip

    def _figure(
        self, rows: tuple[tuple[Panel, ...], ...], headings: tuple[str, ...], source: Panel | None = None
    ) -> Figure:
        table = colormap(self._settings.render.colormap)
        return Figure(self._title(), rows, headings, table, source, self._scale())

    def about(self) -> dict[str, str]:
        """Return the origin of the figure for its file: no paths, nothing of this machine."""
        if not self._settings.metadata:
            return {}
        every = [place.explanation for row in self._places for place in row]
        networks = [
            {
                "network": session.network.name,
                "weights": os.path.basename(session.network.weights.source.rstrip("/\\")),
                "sha256": session.network.weights.sha256(),
            }
            for session in self._sessions
        ]
        origin = {
            "gradcam": __version__,
            "networks": networks,
            "layers": list(dict.fromkeys(each.layer for each in every)),
            "methods": list(dict.fromkeys(each.method for each in every)),
            "classes": list(dict.fromkeys(each.target.label for each in every)),
            "inputs": list(dict.fromkeys(os.path.basename(each.input) for each in every)),
        }
        return {
            "Title": printable(self._title() or "gradcam"),
            "Subject": escaped_json(json.dumps(origin, ensure_ascii=False)),
            "Creator": f"gradcam {__version__}",
        }

    @property
    def _listed(self) -> int:
        """Number of classes under a source: more lines than other panels have would push the next row away."""
        if self._in_rows:
            return 1
        several = self._flows and len(self._places[0]) > IN_A_ROW
        return 0 if several and self._counts["targets"] == 1 else 1 if several else MAX_PREDICTIONS

    def _source(self, place: Place, size: Size) -> Panel:
        position = place.way.get("inputs", 0)
        lines: tuple[str, ...] = ()
        if self._counts["models"] == 1:
            likely = self._rankings[position, 0][: self._listed]
            shown = [each for each in likely if each.probability is None or each.probability >= LEAST_SHOWN]
            lines = tuple(each.caption for each in shown or likely[:1])  # the first one however improbable
        return Panel(place.explanation.at(size).pixels, "Input", lines)

    def _panel(self, place: Place, size: Size, *, named: bool) -> Panel:
        drawn = place.explanation.at(size).overlay
        return Panel(drawn, self._name(self._columns, place) if named else "", self._captions(place))

    def _captions(self, place: Place) -> tuple[str, ...]:
        """Return the lines under a map."""
        lines = []
        if self._counts["models"] > 1 or (self._counts["inputs"] > 1 and self._rows != "inputs"):
            lines.append(place.explanation.target.caption)
        if place.seconds is not None:
            lines.append(f"{place.seconds * 1e3:.0f} ms" if place.seconds < 1 else f"{place.seconds:.1f} s")
        if place.explanation.blank:
            lines.append("blank: nothing to see")
        return tuple(lines)

    def _title(self) -> str:
        """Return the title: what all maps share, and nothing else."""
        if self._settings.title is not None:
            return self._settings.title
        place = self._places[0][0]
        varying = {axis for axis in (self._rows, self._columns) if axis is not None and self._counts[axis] > 1}
        shared = [self._name(axis, place) for axis in AXES if axis not in varying]
        return " · ".join(filter(None, shared))

    def _name(self, axis: Axis | None, place: Place) -> str:
        """Return the name of a map's position along an axis, or what stands for all; empty where there is none."""
        explanation, settings = place.explanation, place.explanation.session.settings
        at = place.way.get(axis, 0) if axis else 0
        if axis == "inputs":
            given = os.path.basename(explanation.input)
            stem = os.path.splitext(given)[0]
            return self._called(given, self._names.get(stem, stem)) if self._counts["inputs"] > 1 else ""
        if axis == "models":
            return self._network(place.way.get("models", 0))
        if axis == "layers":
            return self._layer(explanation, at)
        if axis == "methods":
            return self._called(explanation.method, method_named(explanation.method).published)
        if axis == "targets":
            spec = settings.targets[at]
            if self._counts["models"] == 1 and self._counts["inputs"] == 1:
                plain = self._called(spec.name, "") or self._called(explanation.target.label, "")
                return plain or explanation.target.caption
            return "" if spec.rank == 1 and self._counts["targets"] == 1 else self._called(spec.name, spec.name)
        return ""

    def _layer(self, explanation: Explanation, position: int) -> str:
        """Return the layer's name; empty where the one layer of each network is named beside that."""
        sessions, settings = self._sessions, explanation.session.settings
        if settings.fusion:
            return f"{settings.fusion} of {len(explanation.session.explainer.layers)} layers"
        if self._counts["layers"] == 1 and len({_layer_of(session) for session in sessions}) > 1:
            return ""
        if self._counts["layers"] == 1:
            return self._called(explanation.layer, explanation.layer)
        names = dict.fromkeys(session.explainer.layers[position].name for session in sessions)
        return " / ".join(self._called(name, name) for name in names)

    def _network(self, position: int) -> str:
        """Return a network's name, with its weights and layer as far as these distinguish it."""
        sessions, own = self._sessions, self._sessions[position]
        loaded = own.network.weights
        named = isinstance(loaded.path, Path) and loaded.source.endswith(loaded.path.name)  # not bundled, or a hub's
        weights = own.settings.weights or (loaded.path if named else None)
        given = [own.settings.model, own.network.name, *([weights.name, weights.stem] if weights else [])]
        for name in given:
            if name in self._names:
                return self._names[name]
        parts = [own.network.name]
        if [session.network.name for session in sessions].count(own.network.name) > 1 and weights is not None:
            parts.append(weights.name)
        if self._counts["layers"] == 1 and len({_layer_of(session) for session in sessions}) > 1:
            parts.append(_layer_of(own))
        return " · ".join(parts)

    def _called(self, given: str, usual: str) -> str:
        """Return the name that the user has given to something, or its usual one."""
        return self._names.get(given, self._names.get(given.partition(":")[0], usual))

    def _scale(self) -> str:
        """Return the text of the colour bar: how values become colours."""
        ways = {place.explanation.normalization for row in self._places for place in row}
        if len(ways) == 1:
            return described(ways.pop())
        return f"{described('minmax')}, or of pixels to its {percentile('p99'):g}th percentile"


def _layer_of(session: Session) -> str:
    return session.explainer.layers[0].name


def _evenly(count: int) -> int:
    """Return the number of panels in a row, about `IN_A_ROW`, that leaves the fewest places empty."""
    if count <= IN_A_ROW + 1:
        return count
    possible = (IN_A_ROW, IN_A_ROW - 1) if count <= MANY else (IN_A_ROW + 1, IN_A_ROW, IN_A_ROW + 2)
    return min(possible, key=lambda across: -count % across)
