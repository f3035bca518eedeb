"""A clip: decode → network → map → outputs, all at work at once.

As many threads as cores do what is furthest along: blend and encode for one of the outputs, turn maps into bytes, run
the network on a batch, decode and preprocess. Queues are bounded, so memory does not grow with the clip.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from gradcam_cli.errors import InputError
from gradcam_cli.pipeline.steady import Smoothing, common_scale, mean_predictions
from gradcam_cli.pipeline.threads import Crew, Step, batches, cores_shared
from gradcam_cli.render.saliency import SaliencyMap

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
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
    Item = tuple["Moving", Prepared, Answer | None]
    """A frame, as the network sees it, and what it says, where it was asked before."""
    Asked = tuple["Moving", Prepared, Answer | InputError]
    """A frame, as the network sees it, and what it says."""
    Shown = tuple["Moving", Pixels, Prediction]
    """A frame, its map and the class it is for, as a sink takes them."""

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

    def finish(self) -> None:
        """Encode what is held back: no frame follows."""


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
        known: by time, the frames looked at as the network sees them, and its answers, which hold for the whole clip.
    """

    aims: tuple[Aim, ...] | None
    predictions: Ranking
    tracks: list[Track]
    known: dict[Fraction, tuple[Prepared, Answer]] = field(default_factory=dict)


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


def survey(frames: Iterable[Moving], session: Session, settings: ClipSettings, *, recur: bool = False) -> Survey:
    """Look at frames spread over a clip, and decide its class and its scale.

    Args:
        frames: to look at.
        session: the network.
        settings: how.
        recur: whether `explain_clip` will be given the same pictures at the same times; then it need not ask about
            them once more.

    Raises:
        InputError: there is no frame, or the network's scores are not finite.
        ModelError: the network cannot do what is asked.
    """
    looked_at = ((frame, session.prepare_frame(frame), None) for frame in frames)
    seen, answers = _explained(looked_at, SAMPLES, session, None, settings)
    if not seen:
        raise InputError("no frame can be read", "check the file and --start, --end")
    ranked = mean_predictions([answer.predictions for answer in answers])
    aims = session.resolve(ranked)
    wanted = session.of_maps(aims)
    if not settings.per_frame_target:
        others = [k for k, answer in enumerate(answers) if [each.aim for each in answer.maps] != wanted]
        _, again = _explained(((*seen[k], None) for k in others), len(others), session, aims, settings)
        for k, answer in zip(others, again, strict=True):
            answers[k] = answer
    maps = zip(*(answer.maps for answer in answers), strict=True)
    tracks = [_track(each, ranked.told(aim), settings) for each, aim in zip(maps, wanted, strict=True)]
    known = {frame.time: (prepared, answer) for (frame, prepared), answer in zip(seen, answers, strict=True)}
    return Survey(None if settings.per_frame_target else aims, ranked, tracks, known if recur else {})


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


def _asking(session: Session, aims: tuple[Aim, ...] | None, following: Step) -> Step:
    """Return the step that explains batches, and hands on each frame with the answer to it."""

    def ask(batch: list[Item]) -> Iterator[tuple[Step, Asked]]:
        new = [prepared for _, prepared, answer in batch if answer is None]
        answers = iter(session.ask(new, aims) if new else ())
        return ((following, (frame, prepared, answer or next(answers))) for frame, prepared, answer in batch)

    threads = session.explainer.concurrency
    return Step(ask, threads, at_once=threads, feeds=[following])


def _explained(
    items: Iterable[Item],
    count: int,
    session: Session,
    aims: tuple[Aim, ...] | None,
    settings: ClipSettings,
) -> tuple[list[tuple[Moving, Prepared]], list[Answer]]:
    """Ask about ``count`` frames, some batches at once; return them, in order, and the answers."""
    seen: list[tuple[Moving, Prepared]] = []
    answers: list[Answer] = []

    def note(asked: Asked) -> tuple[()]:
        frame, prepared, answer = asked
        if isinstance(answer, InputError):
            raise answer
        seen.append((frame, prepared))
        answers.append(answer)
        return ()

    noting = Step(note, count)
    asking = _asking(session, aims, noting)
    with cores_shared(asking.at_once):
        Crew(batches(items, _evenly(count, asking.at_once, settings.batch_size)), [asking, noting]).run()
    return seen, answers


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
        frames: decoded as they are asked for, by one thread at a time.
        sinks: the outputs of each track, each written to by one thread at a time.
        session: the network.
        settings: how.
        found: by ``survey``; what is ``known`` is forgotten.
        advance: called after each frame, by one of the threads.

    Raises:
        GradcamError: whatever the source, the network or a sink raises.
    """
    tally = Tally([0] * len(found.tracks))
    smoothings = [Smoothing(settings.smooth) for _ in found.tracks]
    size = settings.batch_size
    outputs = [[_writing(sink, size) for sink in each] for each in sinks]

    def scale(asked: Asked) -> Iterator[tuple[Step, Shown]]:
        frame, prepared, answer = asked
        if isinstance(answer, InputError):
            raise answer
        tally.frames += 1
        tally.shown = float(frame.time + frame.duration)
        for k, (class_map, track, target) in enumerate(zip(answer.maps, found.tracks, answer.targets, strict=True)):
            tally.blank[k] += class_map.blank is not None
            values = smoothings[k](class_map.values, frame.duration)
            saliency = SaliencyMap(values, prepared.geometry, settings.render.normalize, track.scale)
            shown = frame, saliency.bytes(), target
            yield from ((output, shown) for output in outputs[k])
        advance(tally)

    steps = [output for each in outputs for output in each]
    scaling = Step(scale, size, feeds=steps)
    known = found.known

    def items() -> Iterator[Item]:
        for frame in frames:
            yield (frame, *(known.pop(frame.time, None) or (session.prepare_frame(frame), None)))

    source = batches(items(), size, lambda item: item[2] is None)
    asking = _asking(session, found.aims, scaling)
    with cores_shared(asking.at_once):
        Crew(source, [asking, scaling, *steps]).run()
    known.clear()
    finishing = [sink for each in sinks for sink in each]
    Crew(finishing, [Step(_finish, len(finishing), at_once=len(finishing))]).run()
    return tally


def _finish(sink: Sink[Any]) -> tuple[()]:
    sink.finish()
    return ()


def _writing(sink: Sink[Any], room: int) -> Step:
    def write(shown: Shown) -> tuple[()]:
        sink.write(*shown)
        return ()

    return Step(write, room)
