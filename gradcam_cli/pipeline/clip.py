"""A clip: decode → network → map → outputs, all at work at once, each frame decoded once.

One thread decodes and preprocesses; some run the network, each on a batch of its own; one turns maps into bytes; each
output has a thread that blends and encodes. Queues are bounded, so memory does not grow with the clip.
"""

from __future__ import annotations

import math
import threading
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, TypeVar

from gradcam_cli.errors import InputError
from gradcam_cli.pipeline.steady import Smoothing, common_scale, mean_predictions
from gradcam_cli.pipeline.threads import Ahead, Stage, batches, cores_shared, in_order
from gradcam_cli.render.saliency import SaliencyMap

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Sequence
    from fractions import Fraction

    import numpy as np
    import numpy.typing as npt

    from gradcam_cli.cam.maps import ClassMap
    from gradcam_cli.cam.targets import Aim, Ranking
    from gradcam_cli.models.preprocess import Prepared
    from gradcam_cli.pipeline.session import Answer, Session
    from gradcam_cli.pipeline.settings import ClipSettings
    from gradcam_cli.records import Prediction, Size

    Pixels = npt.NDArray[np.uint8]

Frame = TypeVar("Frame", bound="Moving")

SAMPLES = 12
"""Frames, spread over a clip, that its class and its scale are taken from."""


class Moving(Protocol):
    """One frame of a source, a video's or an animation's."""

    @property
    def size(self) -> Size:
        """(height, width)."""

    @property
    def time(self) -> Fraction:
        """Seconds since the first frame."""

    @property
    def duration(self) -> Fraction:
        """Seconds it is shown."""

    def rgb(self, size: Size | None = None) -> Pixels:
        """Return uint8 RGB (h, w, 3), resized with antialiasing when ``size`` is given."""


Taken = TypeVar("Taken", contravariant=True)


class Sink(Protocol[Taken]):
    """An output for one type of frame."""

    def write(self, frame: Taken, grayscale: Pixels, told: Prediction) -> None:
        """Render and encode a frame with its map, uint8 (H, W), and the class that the map is for."""


@dataclass(frozen=True, slots=True)
class Track:
    """What a survey says about one map of a clip: one layer, class and method.

    Attributes:
        layer: dotted name.
        method: a key of ``cam.methods.METHODS``.
        target: the class with its mean probability; where each frame has its own, what the whole clip's would be.
        scale: values that become 0 and 1; None when each frame has its own, or when there is nothing to see.
        blank: why nothing is to be seen in any of the frames, or None.
    """

    layer: str
    method: str
    target: Prediction
    scale: tuple[float, float] | None
    blank: str | None


@dataclass(slots=True)
class Survey:
    """What frames spread over a clip say about it.

    Attributes:
        aims: what to explain; None when each frame has its own.
        predictions: all classes by mean probability.
        tracks: one for each map of a frame, in their order.
    """

    aims: tuple[Aim, ...] | None
    predictions: Ranking
    tracks: list[Track]


@dataclass(slots=True)
class Tally:
    """What was done so far.

    Attributes:
        blank: frames whose map shows nothing, by track.
        frames: how many were explained.
        shown: seconds of presentation.
    """

    blank: list[int]
    frames: int = 0
    shown: float = 0.0


def survey(frames: Iterable[Moving], session: Session, settings: ClipSettings) -> Survey:
    """Look at frames spread over a clip, and decide its class and its scale.

    Raises:
        InputError: there is no frame, or the network's scores are not finite.
        ModelError: the network cannot do what is asked.
    """
    seen: list[tuple[Moving, Prepared]] = []
    answers: list[Answer] = []
    looked_at = ((frame, session.prepare_frame(frame)) for frame in frames)
    batch_size = _evenly(SAMPLES, session.explainer.concurrency, settings.batch_size)
    for frame, prepared, answer in _explained(looked_at, session, None, batch_size):
        seen.append((frame, prepared))
        answers.append(answer)
    if not seen:
        raise InputError("no frame can be read", "check the file and --start, --end")
    ranked = mean_predictions([answer.predictions for answer in answers])
    aims = session.resolve(ranked)
    wanted = session.of_maps(aims)
    if not settings.per_frame_target:
        others = [k for k, answer in enumerate(answers) if [each.aim for each in answer.maps] != wanted]
        batch_size = _evenly(len(others), session.explainer.concurrency, settings.batch_size)
        again = _explained((seen[k] for k in others), session, aims, batch_size)
        for k, (_, _, answer) in zip(others, again, strict=True):
            answers[k] = answer
    maps = zip(*(answer.maps for answer in answers), strict=True)
    tracks = [_track(each, ranked.told(aim), settings) for each, aim in zip(maps, wanted, strict=True)]
    return Survey(None if settings.per_frame_target else aims, ranked, tracks)


def _evenly(count: int, threads: int, most: int) -> int:
    """Return a size for batches, at most ``most``, of which each thread gets as many of ``count`` frames as others."""
    turns = max(1, math.ceil(count / (threads * most)))
    return max(1, math.ceil(count / (threads * turns)))


def _track(maps: Sequence[ClassMap], target: Prediction, settings: ClipSettings) -> Track:
    """Return what frames' maps of one layer, class and method say."""
    reasons = [each.blank for each in maps]
    scale = None
    if settings.normalize_over == "clip":
        scale = common_scale([each.values for each in maps], settings.render.normalize)
    blank = None if None in reasons else reasons[0]
    return Track(maps[0].layer, maps[0].method, target, scale, blank)


def _explained(
    items: Iterable[tuple[Frame, Prepared]], session: Session, aims: tuple[Aim, ...] | None, batch_size: int
) -> Generator[tuple[Frame, Prepared, Answer]]:
    """Ask about frames, some batches at once; yield each, in order, with the answer."""

    def ask(batch: list[tuple[Frame, Prepared]]) -> list[Answer | InputError]:
        return session.ask([prepared for _, prepared in batch], aims)

    threads = session.explainer.concurrency
    with cores_shared(threads), closing(in_order(ask, batches(items, batch_size), threads)) as answered:
        for batch, answers in answered:
            for (frame, prepared), answer in zip(batch, answers, strict=True):
                if isinstance(answer, InputError):
                    raise answer
                yield frame, prepared, answer


def explain_clip(
    frames: Iterable[Frame],
    sinks: Sequence[Sequence[Sink[Frame]]],
    session: Session,
    settings: ClipSettings,
    found: Survey,
    advance: Callable[[Tally], None],
) -> Tally:
    """Explain every frame and hand it to every sink, in order.

    Args:
        frames: decoded as they are asked for, in a thread of their own.
        sinks: the outputs of each track, each written to in a thread of its own.
        session: the network.
        settings: how.
        found: by ``survey``.
        advance: called after each frame.

    Raises:
        GradcamError: whatever the source, the network or a sink raises.
    """
    tally = Tally([0] * len(found.tracks))
    smoothings = [Smoothing(settings.smooth) for _ in found.tracks]
    failed = threading.Event()
    outputs = [
        [Stage(f"output {position}.{k}", sink.write, settings.batch_size, failed) for k, sink in enumerate(each)]
        for position, each in enumerate(sinks)
    ]

    def scale(frame: Frame, values: list[npt.NDArray[np.float32]], prepared: Prepared, told: list[Prediction]) -> None:
        for each, track, target, mine in zip(values, found.tracks, told, outputs, strict=True):
            saliency = SaliencyMap(each, prepared.geometry, settings.render.normalize, track.scale)
            grayscale = saliency.bytes()
            for output in mine:
                output.put(frame, grayscale, target)

    scaling = Stage("scale", scale, settings.batch_size, failed)
    stages = [scaling, *(output for mine in outputs for output in mine)]
    reading = Ahead(((frame, session.prepare_frame(frame)) for frame in frames), settings.batch_size)
    try:
        with closing(_explained(reading, session, found.aims, settings.batch_size)) as explained:
            for frame, prepared, answer in explained:
                if failed.is_set():
                    break
                tally.frames += 1
                tally.shown = float(frame.time + frame.duration)
                for position, class_map in enumerate(answer.maps):
                    tally.blank[position] += class_map.blank is not None
                values = [
                    smooth(each.values, frame.duration) for smooth, each in zip(smoothings, answer.maps, strict=True)
                ]
                scaling.put(frame, values, prepared, answer.targets)
                advance(tally)
    finally:
        # Also after an error: what was handed in is finished, so that a partial file holds all that was done.
        reading.stop()
        for stage in stages:
            stage.finish()
    for stage in stages:
        if stage.error is not None:
            raise stage.error
    return tally
