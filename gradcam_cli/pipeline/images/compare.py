"""Pictures explained in several ways, side by side: methods, layers, classes, networks or pictures in a figure."""

from __future__ import annotations

import statistics
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from gradcam_cli.errors import InputError, UsageError
from gradcam_cli.media.atomic import write_all
from gradcam_cli.media.image.encode import encode_figure
from gradcam_cli.media.image.read import read_picture
from gradcam_cli.pipeline.explanation import TOP, Explanation
from gradcam_cli.pipeline.images.sheet import Place, Sheet
from gradcam_cli.pipeline.outcome import Outcome, one_by_one
from gradcam_cli.pipeline.settings import axes_for, require
from gradcam_cli.records import FIGURE_FORMATS
from gradcam_cli.render.figure import draw
from gradcam_cli.render.figure.fonts import lacking
from gradcam_cli.render.figure.layout import DPI

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable, Iterator, Sequence

    from matplotlib.figure import Figure as Page

    from gradcam_cli.pipeline.images.sheet import Way
    from gradcam_cli.pipeline.session import Session
    from gradcam_cli.pipeline.settings import Axis, CompareSettings
    from gradcam_cli.records import Job, Picture

MM_PER_INCH = 25.4

REPEATS, ENOUGH = 3, 2.0
"""Timed runs of each map after one that is not counted, and the seconds from which one is enough."""


@dataclass(frozen=True, repr=False)
class Comparison:
    """Several maps in one figure.

    Attributes:
        explanations: the maps, row by row.
        about: the origin that the figure's file states: Title, Subject, Creator.
        notes: notes for the user, one line each.
    """

    explanations: list[Explanation]
    about: dict[str, str]
    notes: tuple[str, ...]
    page: Page

    def figure(self) -> Page:
        """Return the figure, a `matplotlib.figure.Figure`; at 300 dpi its pixels are those of the pictures."""
        return self.page

    def encode(self, suffix: str) -> bytes:
        """Return the content of a file: ``png``, ``pdf`` or ``svg``; equal figures give equal bytes.

        Raises:
            UsageError: there is no such format.
        """
        require("format of figures", suffix, FIGURE_FORMATS)
        if suffix == "pdf":
            return draw.as_pdf(self.page, self.about)
        if suffix == "svg":
            return draw.as_svg(self.page, self.about)
        return encode_figure(draw.pixels(self.page), DPI, self.about)

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write the figure, whole or not at all, in the format of the path's suffix, and return the path.

        Raises:
            UsageError: there is no such format.
            OutputError: the file cannot be written.
        """
        written = Path(path)
        write_all({written: self.encode(written.suffix.lower().lstrip("."))})
        return written

    def __repr__(self) -> str:
        return f"<Comparison of {len(self.explanations)} maps: {', '.join(map(repr, self.explanations[:3]))}…>"

    def _repr_png_(self) -> bytes:
        """Return the figure for notebooks."""
        return self.encode("png")


class CompareRun:
    """One run over pictures; iterate over it, once, for the outcomes.

    Args:
        jobs: the inputs, in order, each with the figures to write.
        sessions: the networks, all with the same classes and methods, and with as many layers.
        settings: layout of the figure, and how maps are shown.

    Raises:
        UsageError: the networks have different numbers of layers.
    """

    def __init__(self, jobs: Iterable[Job], sessions: Sequence[Session], settings: CompareSettings) -> None:
        self._jobs = jobs
        self._sessions = sessions
        self._settings = settings
        _check_layers(sessions)

    def __iter__(self) -> Iterator[Outcome]:
        """Yield one outcome an input, in order; after the first error none with ``fail_fast``."""
        return one_by_one(self._jobs, self._compare, fail_fast=self._settings.fail_fast)

    def _compare(self, job: Job) -> Outcome:
        pictures, notes = [], list[str]()
        for each in (job, *job.others):
            if each.input is None:
                raise InputError("a comparison cannot be made of standard input", "save the picture in a file")
            picture = read_picture(each.input, each.name, self._settings.max_pixels)
            notes += [f"{each.name}: {note}" if job.others else note for note in picture.notes]
            pictures.append((each, picture))
        found = compared(pictures, self._sessions, self._settings)
        written = write_all({output.path: found.encode(output.container) for output in job.outputs})
        explanations = [replace(each, files=job.files) for each in found.explanations]
        return Outcome(job, explanations, notes=(*notes, *found.notes), written=written)


def compared(
    pictures: Sequence[tuple[Job, Picture]], sessions: Sequence[Session], settings: CompareSettings
) -> Comparison:
    """Explain pictures in all variants and lay them out in a figure.

    Args:
        pictures: each with its input; several are an axis of the figure.
        sessions: the networks.
        settings: the layout.

    Raises:
        UsageError: an axis varies that has no place.
        InputError: a picture cannot be explained.
    """
    counts = sessions[0].settings.counts(len(sessions), len(pictures))
    _check_layers(sessions)
    rows, columns = axes_for(counts, settings.rows, settings.columns)
    explained = {
        (number, position): _ExplainedNetwork(session, job, picture, settings)
        for number, (job, picture) in enumerate(pictures)
        for position, session in enumerate(sessions)
    }

    def along(axis: Axis | None) -> list[Way]:
        return [{}] if axis is None else [{axis: position} for position in range(counts[axis])]

    places = [
        [
            explained[way.get("inputs", 0), way.get("models", 0)].place(way)
            for way in (row | column for column in along(columns))
        ]
        for row in along(rows)
    ]
    rankings = {key: each.ranking[:TOP] for key, each in explained.items()}
    sheet = Sheet(places, sessions, rankings, counts, rows, columns, settings)
    figure = sheet.figure(round(settings.width / MM_PER_INCH * DPI))
    boxes = lacking(figure.texts)
    notes = (f"no font of this machine has the characters {boxes}: they appear as boxes",) if boxes else ()
    page = draw.page(figure, width=round(settings.width / MM_PER_INCH * DPI))
    return Comparison([place.explanation for row in places for place in row], sheet.about(), notes, page)


def _check_layers(sessions: Sequence[Session]) -> None:
    """Raise UsageError where layers vary and networks have different numbers of them, as of `all`."""
    layers = sorted({len(session.explainer.layers) for session in sessions})
    if len(layers) > 1 and not sessions[0].settings.fusion:
        raise UsageError(
            f"the networks have {' and '.join(map(str, layers))} layers, which leaves no common rows or columns",
            "name as many for each of them with {layer}",
        )


class _ExplainedNetwork:
    """A network and its predictions for a picture, ready to explain it in any variant."""

    def __init__(self, session: Session, job: Job, picture: Picture, settings: CompareSettings) -> None:
        self._session = session
        self._job, self._picture, self._settings = job, picture, settings
        self._prepared = session.prepare(picture.pixels)
        self.ranking = session.only(0, "gradcam").explain_one(self._prepared, job.name).predictions
        self._targets = session.resolve(self.ranking)

    def place(self, way: Way) -> Place:
        """Explain the picture in one variant, alone, so that its time is its own."""
        method = self._session.settings.methods[way.get("methods", 0)]
        layer = None if self._session.settings.fusion else way.get("layers", 0)
        targets = [self._targets[way.get("targets", 0)]]
        session = self._session.only(layer, method)
        result = session.explain_one(self._prepared, self._job.name, targets)
        seconds = None
        if self._settings.times:  # the run above was the warm-up
            runs: list[float] = []
            while len(runs) < REPEATS and sum(runs) < ENOUGH:
                started = time.perf_counter()
                session.explain_one(self._prepared, self._job.name, targets)
                runs.append(time.perf_counter() - started)
            seconds = statistics.median(runs)
        explanation = Explanation(
            self._job.given, self._picture.pixels, self._session, result.maps[0], self._prepared.geometry,
            result.targets[0], self.ranking[:TOP], self._settings.render,
            {"explain": result.seconds if seconds is None else seconds},
        )  # fmt: skip
        return Place(way, explanation, seconds)
