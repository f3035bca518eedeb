"""What is found out about a clip before its first result is written: its class, and its maps' scale."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from gradcam_cli.errors import InputError
from gradcam_cli.pipeline.clips.temporal import common_scale, mean_predictions
from gradcam_cli.pipeline.concurrency import Crew, Step, batches, cores_shared
from gradcam_cli.pipeline.session import Resizable

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from fractions import Fraction

    from gradcam_cli.cam.maps import ClassMap
    from gradcam_cli.cam.predictions import Ranking
    from gradcam_cli.cam.targets import Aim
    from gradcam_cli.models.preprocess import Prepared
    from gradcam_cli.pipeline.session import Answer, Session
    from gradcam_cli.pipeline.settings import ClipSettings
    from gradcam_cli.records import Prediction

SAMPLES = 12
"""Frames, spread over a clip, that its class and its scale are taken from."""

READY_BYTES = 64 << 20
"""Of frames that are prepared before their turn."""


class Moving(Resizable, Protocol):
    """One frame of a source, a video's or an animation's."""

    @property
    def time(self) -> Fraction:
        """Seconds since the first frame."""

    @property
    def duration(self) -> Fraction:
        """Seconds it is shown."""


@dataclass(frozen=True, slots=True)
class Track:
    """What a survey says about one map of a clip: one layer, class and method.

    Attributes:
        layer: dotted name.
        method: a key of ``cam.methods.registry.METHODS``.
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
        known: by time, answers that hold for the whole clip, and frames that are prepared but not asked about.
    """

    aims: tuple[Aim, ...] | None
    predictions: Ranking
    tracks: list[Track]
    known: dict[Fraction, Answer | Prepared] = field(default_factory=dict)


def survey(
    frames: Iterable[tuple[Moving, bool]], session: Session, settings: ClipSettings, *, recur: bool = False
) -> Survey:
    """Look at frames spread over a clip, and decide its class and its scale.

    Args:
        frames: to look at, with True; with False those that are passed by on the way.
        session: the network.
        settings: how.
        recur: whether `explain_clip` will be given the same pictures at the same times; then it need not ask about
            them once more, and those passed by are prepared for it while there is nothing else to do.

    Raises:
        InputError: there is no frame, or the network's scores are not finite.
        ModelError: the network cannot do what is asked.
    """
    known: dict[Fraction, Answer | Prepared] = {}
    seen, answers = _asked(_batched(frames, settings.batch_size), session, None, known if recur else None)
    if not seen:
        raise InputError("no frame can be read", "check the file and --start, --end")
    ranked = mean_predictions([answer.predictions for answer in answers])
    aims = session.resolve(ranked)
    wanted = session.of_maps(aims)
    if not settings.per_frame_target:
        others = [k for k, answer in enumerate(answers) if [each.aim for each in answer.maps] != wanted]
        _, again = _asked(batches((seen[k] for k in others), settings.batch_size), session, aims)
        for k, answer in zip(others, again, strict=True):
            answers[k] = answer
    maps = zip(*(answer.maps for answer in answers), strict=True)
    tracks = [_track(each, ranked.told(aim), settings) for each, aim in zip(maps, wanted, strict=True)]
    if recur:
        known.update((frame.time, answer) for frame, answer in zip(seen, answers, strict=True))
    return Survey(None if settings.per_frame_target else aims, ranked, tracks, known)


def _batched(frames: Iterable[tuple[Moving, bool]], size: int) -> Iterator[list[Moving] | Moving]:
    """Yield lists of ``size`` frames to look at, the last maybe fewer, and one by one those that are passed by."""
    batch: list[Moving] = []
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


def _asked(
    frames: Iterable[list[Moving] | Moving],
    session: Session,
    aims: tuple[Aim, ...] | None,
    ready: dict[Fraction, Answer | Prepared] | None = None,
) -> tuple[list[Moving], list[Answer]]:
    """Ask about the frames in lists, some lists at once; return them, in order, and the answers.

    The other frames are prepared, some `READY_BYTES` of them, while there is nothing else to do: ``ready`` has them.
    """
    seen: list[Moving] = []
    answers: list[Answer] = []
    threads, room = session.explainer.concurrency, READY_BYTES

    def ask(batch: list[Moving]) -> Iterator[tuple[Step, tuple[Moving, Answer | InputError]]]:
        found = session.ask([session.prepare_frame(frame) for frame in batch], aims)
        return ((noting, pair) for pair in zip(batch, found, strict=True))

    def note(asked: tuple[Moving, Answer | InputError]) -> tuple[()]:
        frame, answer = asked
        if isinstance(answer, InputError):
            raise answer
        seen.append(frame)
        answers.append(answer)
        return ()

    def prepare(frame: Moving) -> tuple[()]:
        nonlocal room
        if ready is not None and room > 0:
            ready[frame.time] = prepared = session.prepare_frame(frame)
            room -= prepared.tensor.nbytes
        return ()

    preparing = Step(prepare, 1, at_once=threads)
    noting = Step(note, 2 * SAMPLES)
    asking = Step(ask, threads, at_once=threads, feeds=[noting])
    with cores_shared(threads):
        Crew(frames, [asking, noting], preparing, lambda item: not isinstance(item, list)).run()
    return seen, answers


def _track(maps: Sequence[ClassMap], target: Prediction, settings: ClipSettings) -> Track:
    """Return what frames' maps of one layer, class and method say."""
    reasons = [each.blank for each in maps]
    scale = None
    if settings.normalize_over == "clip":
        scale = common_scale([each.values for each in maps], settings.render.normalize)
    blank = None if None in reasons else reasons[0]
    return Track(maps[0].layer, maps[0].method, target, scale, blank)
