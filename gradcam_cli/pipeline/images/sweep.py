"""An animated still picture: its feature maps, layers, classes or methods, one after another, as a GIF."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import TYPE_CHECKING

from gradcam_cli.cam.channel_maps import channel_maps
from gradcam_cli.cam.methods.registry import quick
from gradcam_cli.errors import InputError
from gradcam_cli.media.gif.write import GifWriter
from gradcam_cli.media.image.read import read_picture, resized
from gradcam_cli.models.preprocess import collate
from gradcam_cli.pipeline.artifacts.overlay import Overlay
from gradcam_cli.pipeline.explanation import TOP, Explanation
from gradcam_cli.pipeline.outcome import Outcome, one_by_one
from gradcam_cli.render.saliency import SaliencyMap

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    import numpy as np
    import numpy.typing as npt

    from gradcam_cli.cam.maps import ClassMap
    from gradcam_cli.models.preprocess import Prepared
    from gradcam_cli.pipeline.session import Explained, Session
    from gradcam_cli.pipeline.settings import ClipSettings, SweepSettings
    from gradcam_cli.records import FileState, Job

    Pixels = npt.NDArray[np.uint8]

SECONDS = {"channels": Fraction(1, 4), "layers": Fraction(3, 5), "classes": Fraction(1), "methods": Fraction(1)}
"""Seconds for which each map of a sweep is shown."""


@dataclass(frozen=True, slots=True)
class _SweepFrame:
    """One map of a sweep and its caption."""

    text: str
    values: npt.NDArray[np.float32]


class SweepRun:
    """One run over still pictures; iterate over it, once, for the outcomes.

    Args:
        jobs: the inputs, in order, each with one GIF to write.
        session: the network, with one layer and one target.
        settings: how maps are shown.
        sweep: what changes from frame to frame.
    """

    def __init__(self, jobs: Iterable[Job], session: Session, settings: ClipSettings, sweep: SweepSettings) -> None:
        self._jobs = jobs
        self._session = session
        self._settings = settings
        self._sweep = sweep.sweep
        self._count = sweep.count

    def __iter__(self) -> Iterator[Outcome]:
        """Yield one outcome an input, in order; after the first error none with ``fail_fast``."""
        return one_by_one(self._jobs, self._explain, fail_fast=self._settings.fail_fast)

    def _explain(self, job: Job) -> Outcome:
        if job.input is None:
            raise InputError("a sweep cannot be made of standard input", "save the picture in a file")
        started = time.perf_counter()
        picture = read_picture(job.input, job.name, self._settings.max_pixels)
        prepared = self._session.prepare(picture.pixels)
        result = self._session.explain_one(prepared, job.name)
        shown = list(self._maps(prepared, result))
        if not shown:
            raise InputError(
                f"{job.name}: there is no positive evidence for {result.targets[0].label}", "try another {target}"
            )
        (output,) = job.outputs
        size = self._settings.gif_size(picture.size)
        pixels = resized(picture.pixels, size)
        seconds = SECONDS[self._sweep]
        written: dict[Path, FileState] = {}
        with GifWriter(
            output.path, self._overlay(blank=False).size(size), keep_partial=self._settings.keep_partial,
            written=written,
        ) as writer:  # fmt: skip
            for position, each in enumerate(shown):
                writer.write(self._drawn(pixels, each, prepared), position * seconds, seconds)
        explanation = Explanation(
            job.given, picture.pixels, self._session, result.maps[0], prepared.geometry, result.targets[0],
            result.predictions[:TOP], self._settings.render, {"total": time.perf_counter() - started},
            {f"{output.key}_{self._sweep}": output.path},
        )  # fmt: skip
        return Outcome(job, [explanation], notes=picture.notes, written=written)

    def _drawn(self, pixels: Pixels, each: _SweepFrame, prepared: Prepared) -> Pixels:
        geometry = prepared.geometry.for_source((pixels.shape[0], pixels.shape[1]))
        grayscale = SaliencyMap(each.values, geometry, self._settings.render.normalize).bytes()
        return self._overlay(blank=not each.values.any()).captioned(pixels, grayscale, each.text)

    def _overlay(self, *, blank: bool) -> Overlay:
        return Overlay(replace(self._settings, render=replace(self._settings.render, caption=True)), blank=blank)

    def _maps(self, prepared: Prepared, result: Explained) -> Iterator[_SweepFrame]:
        session, explained_class, target = self._session, result.targets[0], result.maps[0].target
        batch = collate([prepared])
        layer = session.explainer.layers[0].name
        if self._sweep == "channels":
            for each in channel_maps(session.explainer, batch, target, self._count):
                yield _SweepFrame(f"{layer} · channel {each.channel} · {each.share:.1%}", each.values)
            return
        if self._sweep == "classes":
            top = result.predictions[: self._count]
            found = session.explainer(batch, lambda logits: [each.index for each in top])[0]
            for each_class, class_map in zip(top, found.maps, strict=True):
                yield _SweepFrame(f"{each_class.label} · {each_class.value()}", class_map.values)
            return
        if self._sweep == "methods":
            explainer = session.explainer_on(prepared.geometry.input, (layer,), quick())
            for class_map in explainer(batch, target)[0].maps:
                yield _SweepFrame(f"{class_map.method} · {explained_class.label}{_blank(class_map)}", class_map.values)
            return
        explainer = session.explainer_on(prepared.geometry.input, ("blocks",), session.settings.methods)
        for class_map in explainer(batch, target)[0].maps:
            yield _SweepFrame(f"{class_map.layer} · {explained_class.label}{_blank(class_map)}", class_map.values)


def _blank(class_map: ClassMap) -> str:
    return " · blank" if class_map.blank else ""
