"""An animated still picture: its feature maps, layers, classes or methods, one after another, as a GIF."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import TYPE_CHECKING

from gradcam_cli.cam.channel_maps import channel_maps
from gradcam_cli.cam.methods.registry import method_named, quick
from gradcam_cli.errors import InputError
from gradcam_cli.media.gif.write import GifWriter
from gradcam_cli.media.image.read import read_picture, resized
from gradcam_cli.models.preprocess import collate
from gradcam_cli.pipeline.artifacts.overlay import Overlay
from gradcam_cli.pipeline.clips.outputs import smaller
from gradcam_cli.pipeline.explanation import TOP, Explanation
from gradcam_cli.pipeline.outcome import Outcome, one_by_one
from gradcam_cli.records import GIF_WIDTH
from gradcam_cli.render.saliency import SaliencyMap
from gradcam_cli.text import counted

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    import numpy as np
    import numpy.typing as npt

    from gradcam_cli.cam.maps import ClassMap
    from gradcam_cli.models.preprocess import Prepared
    from gradcam_cli.pipeline.images.sweep_settings import SweepSettings
    from gradcam_cli.pipeline.session import Explained, Session
    from gradcam_cli.pipeline.settings import ClipSettings
    from gradcam_cli.records import FileState, Job, Prediction, Size

    Pixels = npt.NDArray[np.uint8]

SECONDS = {"channels": Fraction(1, 4), "layers": Fraction(3, 5), "classes": Fraction(1), "methods": Fraction(1)}
"""Seconds for which each map of a sweep is shown."""

MAX_BYTES, BYTES_PER_PIXEL = 10_000_000, 1.0
"""Bytes that a GIF of the usual width may have, and what a pixel takes: of noise 0.86, of photographs half of it."""

USUAL_FRAMES, LEAST_WIDTH = 65, 64
"""Frames of the longest usual sweep, for which a GIF is made smaller, and its least width in pixels."""


@dataclass(frozen=True, slots=True)
class _SweepFrame:
    """One map of a sweep and its caption."""

    text: str
    values: npt.NDArray[np.float32]


class SweepRun:
    """One run over still pictures; iterate over it, once, for the outcomes.

    Args:
        jobs: the inputs, in order, each with one GIF to write.
        session: the network, with one layer, target and method, but for those that change from frame to frame.
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
        shown, notes = self._frames(prepared, result)
        if not shown:
            raise InputError(
                f"{job.name}: there is no positive evidence for {result.targets[0].label}", "try another {target}"
            )
        (output,) = job.outputs
        size = self._size(picture.size, len(shown))
        pixels = resized(picture.pixels, size)
        notes = (*picture.notes, *notes, *smaller(size, picture.size))
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
            {f"{output.key}_{self._sweep}": output.path}, notes,
        )  # fmt: skip
        return Outcome(job, [explanation], notes=notes, written=written)

    def _size(self, whole: Size, frames: int) -> Size:
        """Return the size (height, width) of the picture in the GIF; the usual one keeps the file below `MAX_BYTES`."""
        settings = self._settings
        if settings.size is not None:
            return settings.shown(whole)
        if settings.gif_width is not None:
            return settings.gif_size(whole)
        width = min(GIF_WIDTH, whole[1])
        while width > LEAST_WIDTH:
            size = replace(settings, gif_width=width).gif_size(whole)
            height, across = self._overlay(blank=False).size(size)
            if height * across * min(frames, USUAL_FRAMES) * BYTES_PER_PIXEL <= MAX_BYTES:
                break
            width -= 8
        return replace(settings, gif_width=width).gif_size(whole)

    def _drawn(self, pixels: Pixels, each: _SweepFrame, prepared: Prepared) -> Pixels:
        geometry = prepared.geometry.for_source((pixels.shape[0], pixels.shape[1]))
        saliency = SaliencyMap(each.values, geometry, self._settings.render.normalize)
        grayscale = (saliency if self._settings.render.upsample == "bilinear" else saliency.smooth()).bytes()
        return self._overlay(blank=not each.values.any()).captioned(pixels, grayscale, each.text)

    def _overlay(self, *, blank: bool) -> Overlay:
        return Overlay(replace(self._settings, render=replace(self._settings.render, caption=True)), blank=blank)

    def _frames(self, prepared: Prepared, result: Explained) -> tuple[list[_SweepFrame], tuple[str, ...]]:
        """Return the maps with their captions, and notes."""
        if self._sweep == "channels":
            return self._channels(prepared, result)
        if self._sweep == "classes":
            maps, classes = self._classes(prepared, result)
            texts = [f"{each.caption}{_blank(one)}" for each, one in zip(classes, maps, strict=True)]
        else:
            maps, label = self._each(prepared, result), result.targets[0].caption
            names = [_published(each) if self._sweep == "methods" else each.layer for each in maps]
            texts = [f"{name} · {label}{_blank(each)}" for name, each in zip(names, maps, strict=True)]
        return [_SweepFrame(text, each.values) for text, each in zip(texts, maps, strict=True)], ()

    def _channels(self, prepared: Prepared, result: Explained) -> tuple[list[_SweepFrame], tuple[str, ...]]:
        whole = result.maps[0]
        found = channel_maps(self._session.explainer, collate([prepared]), whole.target, self._count)
        strongest = found.strongest
        if not strongest:
            return [], ()
        shown = [
            _SweepFrame(
                f"all {found.total} channels of {whole.layer} · {_published(whole)}{_blank(whole)}", whole.values
            )
        ]
        shown += [
            _SweepFrame(f"channel {each.channel} · weight {each.weight:+.2g} · share {each.share:.1%}", each.values)
            for each in strongest
        ]
        shows = f"{len(strongest)} of {counted(found.total, 'channel')}"
        shows += f", with {sum(each.share for each in strongest):.0%} of the evidence for the class"
        without, weaker = found.total - found.positive, found.positive - len(strongest)
        out = [f"{without} without evidence for it"] * bool(without) + [f"{weaker} weaker ones"] * bool(weaker)
        return shown, (
            f"{shows}; left out: {' and '.join(out)}" if out else shows,
            "weight is the channel's in Grad-CAM, its mean gradient; share is its part of all positive contributions, "
            "which are weight times sum of the channel's map",
        )

    def _classes(self, prepared: Prepared, result: Explained) -> tuple[list[ClassMap], list[Prediction]]:
        if len(result.maps) > 1:
            return result.maps, result.targets
        top = result.predictions[: self._count]
        found = self._session.explainer(collate([prepared]), lambda logits: [each.index for each in top])[0]
        return found.maps, top

    def _each(self, prepared: Prepared, result: Explained) -> list[ClassMap]:
        """Return the map of each layer, or by each method: of those that are named, or else of the usual ones."""
        if len(result.maps) > 1:
            return result.maps
        session, size = self._session, prepared.geometry.input
        if self._sweep == "methods":
            explainer = session.explainer_on(size, (session.explainer.layers[0].name,), quick())
        else:
            explainer = session.explainer_on(size, ("blocks",), session.settings.methods)
        return explainer(collate([prepared]), result.maps[0].target)[0].maps


def _published(class_map: ClassMap) -> str:
    return method_named(class_map.method).published


def _blank(class_map: ClassMap) -> str:
    return " · blank" if class_map.blank else ""
