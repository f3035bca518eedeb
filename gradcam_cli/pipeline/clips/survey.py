"""The survey of a clip, before its first result is written: it finds the clip's class and its maps' scale."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from gradcam_cli.errors import InputError
from gradcam_cli.pipeline.clips.sources.base import SAMPLES
from gradcam_cli.pipeline.clips.temporal import common_scale, mean_predictions
from gradcam_cli.pipeline.concurrency import Stage, StageScheduler, batches, sharing_cores
from gradcam_cli.render.scale import normalization_for, seen_cells

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from fractions import Fraction

    from gradcam_cli.cam.maps import ClassMap
    from gradcam_cli.cam.predictions import Ranking
    from gradcam_cli.cam.targets import Target
    from gradcam_cli.models.preprocess import Prepared
    from gradcam_cli.pipeline.frame import Frame
    from gradcam_cli.pipeline.session import Explained, Session
    from gradcam_cli.pipeline.settings import ClipSettings
    from gradcam_cli.records import Geometry, Prediction

READY_BYTES = 64 << 20
"""Bytes of frames that are prepared before their turn."""


@dataclass(frozen=True, slots=True)
class Track:
    """A survey's results for one map of a clip: one layer, class and method.

    Attributes:
        layer: dotted name.
        method: name of the method.
        target: the class with its mean probability; where each frame has its own, the class that the whole clip would
            have.
        scale: values that become 0 and 1; None when each frame has its own, or when there is nothing to scale.
        blank: why the maps of all frames are blank, or None.
    """

    layer: str
    method: str
    target: Prediction
    scale: tuple[float, float] | None
    blank: str | None


@dataclass(slots=True)
class Survey:
    """The results of frames spread over a clip.

    Attributes:
        targets: what to explain; None when each frame has its own.
        predictions: all classes by mean probability.
        tracks: one for each map of a frame, in their order.
        known: by time, results that hold for the whole clip, and frames that are prepared but not explained.
    """

    targets: tuple[Target, ...] | None
    predictions: Ranking
    tracks: list[Track]
    known: dict[Fraction, Explained | Prepared] = field(default_factory=dict)


def survey(
    frames: Iterable[tuple[Frame, bool]], session: Session, settings: ClipSettings, *, recur: bool = False
) -> Survey:
    """Explain frames spread over a clip, and decide its class and its scale.

    Args:
        frames: frames to explain, with True; with False other frames that are decoded on the way.
        session: the network.
        settings: how the clip is explained.
        recur: whether `explain_clip` will be given the same pictures at the same times; then it reuses the results, and
            the other frames are prepared for it while there is nothing else to do.

    Raises:
        InputError: there is no frame, or the network's scores are not finite.
        ModelError: the network cannot run with these settings.
    """
    known: dict[Fraction, Explained | Prepared] = {}
    seen, results = _explained(_batched(frames, settings.batch_size), session, None, known if recur else None)
    if not seen:
        raise InputError("no frame can be read", "check the file and {start}, {end}")
    ranked = mean_predictions([result.predictions for result in results])
    targets = session.resolve(ranked)
    wanted = session.of_maps(targets)
    if not settings.per_frame_target:
        others = [k for k, result in enumerate(results) if [each.target for each in result.maps] != wanted]
        _, again = _explained(batches((seen[k] for k in others), settings.batch_size), session, targets)
        for k, result in zip(others, again, strict=True):
            results[k] = result
    maps = zip(*(result.maps for result in results), strict=True)
    geometry = session.geometry(seen[0].size)
    tracks = [
        _track(each, ranked.for_target(target), settings, geometry) for each, target in zip(maps, wanted, strict=True)
    ]
    if recur:
        known.update((frame.time, result) for frame, result in zip(seen, results, strict=True))
    return Survey(None if settings.per_frame_target else targets, ranked, tracks, known)


def _batched(frames: Iterable[tuple[Frame, bool]], size: int) -> Iterator[list[Frame] | Frame]:
    """Yield lists of ``size`` frames to explain, the last maybe fewer, and the other frames one by one."""
    batch: list[Frame] = []
    for frame, is_sample in frames:
        if not is_sample:
            yield frame
            continue
        batch.append(frame)
        if len(batch) == size:
            yield batch
            batch = []
    if batch:
        yield batch


def _explained(
    frames: Iterable[list[Frame] | Frame],
    session: Session,
    targets: tuple[Target, ...] | None,
    ready: dict[Fraction, Explained | Prepared] | None = None,
) -> tuple[list[Frame], list[Explained]]:
    """Explain the frames in lists, several lists at once; return these frames, in order, and their results.

    About `READY_BYTES` of the other frames are prepared while there is nothing else to do, and put into ``ready``.
    """
    seen: list[Frame] = []
    results: list[Explained] = []
    threads, room = session.explainer.concurrency, READY_BYTES

    def explain_batch(batch: list[Frame]) -> Iterator[tuple[Stage, tuple[Frame, Explained | InputError]]]:
        found = session.explain_batch([session.prepare_frame(frame) for frame in batch], targets)
        return ((noting, pair) for pair in zip(batch, found, strict=True))

    def note(explained: tuple[Frame, Explained | InputError]) -> tuple[()]:
        frame, result = explained
        if isinstance(result, InputError):
            raise result
        seen.append(frame)
        results.append(result)
        return ()

    def prepare(frame: Frame) -> tuple[()]:
        nonlocal room
        if ready is not None and room > 0:
            ready[frame.time] = prepared = session.prepare_frame(frame)
            room -= prepared.tensor.nbytes
        return ()

    preparing = Stage(prepare, 1, at_once=threads)
    noting = Stage(note, 2 * SAMPLES)
    explaining = Stage(explain_batch, threads, at_once=threads, feeds=[noting])
    with sharing_cores(threads):
        StageScheduler(frames, [explaining, noting], preparing, lambda item: not isinstance(item, list)).run()
    return seen, results


def _track(maps: Sequence[ClassMap], target: Prediction, settings: ClipSettings, geometry: Geometry) -> Track:
    """Summarise the frames' maps of one layer, class and method."""
    reasons = [each.blank for each in maps]
    scale = None
    if settings.normalize_over == "clip":
        way = normalization_for(settings.render.normalize, maps[0].values.shape, geometry)
        scale = common_scale([seen_cells(each.values, geometry) for each in maps], way)
    blank = None if None in reasons else reasons[0]
    return Track(maps[0].layer, maps[0].method, target, scale, blank)
