"""What is found out about a clip before its first result is written: its class, and its maps' scale."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from gradcam_cli.errors import InputError
from gradcam_cli.pipeline.steady import common_scale, mean_predictions
from gradcam_cli.pipeline.threads import Crew, Step, batches, cores_shared

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from fractions import Fraction

    import numpy as np
    import numpy.typing as npt

    from gradcam_cli.cam.maps import ClassMap
    from gradcam_cli.cam.targets import Aim, Ranking
    from gradcam_cli.pipeline.session import Answer, Session
    from gradcam_cli.pipeline.settings import ClipSettings
    from gradcam_cli.records import Prediction, Size

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

    def rgb(self, size: Size | None = None) -> npt.NDArray[np.uint8]:
        """Return uint8 RGB (h, w, 3), resized with antialiasing when ``size`` is given."""


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
        known: by time, answers that hold for the whole clip.
    """

    aims: tuple[Aim, ...] | None
    predictions: Ranking
    tracks: list[Track]
    known: dict[Fraction, Answer] = field(default_factory=dict)


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
    seen, answers = _asked(frames, SAMPLES, session, None, settings)
    if not seen:
        raise InputError("no frame can be read", "check the file and --start, --end")
    ranked = mean_predictions([answer.predictions for answer in answers])
    aims = session.resolve(ranked)
    wanted = session.of_maps(aims)
    if not settings.per_frame_target:
        others = [k for k, answer in enumerate(answers) if [each.aim for each in answer.maps] != wanted]
        _, again = _asked([seen[k] for k in others], len(others), session, aims, settings)
        for k, answer in zip(others, again, strict=True):
            answers[k] = answer
    maps = zip(*(answer.maps for answer in answers), strict=True)
    tracks = [_track(each, ranked.told(aim), settings) for each, aim in zip(maps, wanted, strict=True)]
    known = {frame.time: answer for frame, answer in zip(seen, answers, strict=True)}
    return Survey(None if settings.per_frame_target else aims, ranked, tracks, known if recur else {})


def _asked(
    frames: Iterable[Moving], count: int, session: Session, aims: tuple[Aim, ...] | None, settings: ClipSettings
) -> tuple[list[Moving], list[Answer]]:
    """Ask about ``count`` frames, some batches at once; return them, in order, and the answers."""
    seen: list[Moving] = []
    answers: list[Answer] = []
    threads = session.explainer.concurrency

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

    noting = Step(note, count)
    asking = Step(ask, threads, at_once=threads, feeds=[noting])
    with cores_shared(threads):
        Crew(batches(frames, _evenly(count, threads, settings.batch_size)), [asking, noting]).run()
    return seen, answers


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
