"""A clip: decode → network → map → outputs, all at work at once, each frame decoded once.

One thread decodes and preprocesses; the caller's runs the network on batches; one turns maps into bytes; each output
has a thread that blends and encodes. Queues are bounded, so memory does not grow with the clip.
"""

from __future__ import annotations

import contextlib
import queue
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

from gradcam_cli.cam.targets import Target
from gradcam_cli.errors import InputError
from gradcam_cli.pipeline.steady import Smoothing, common_scale, mean_predictions
from gradcam_cli.render.saliency import SaliencyMap

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from fractions import Fraction

    import numpy as np
    import numpy.typing as npt

    from gradcam_cli.models.preprocess import Prepared
    from gradcam_cli.pipeline.session import Answer, Session
    from gradcam_cli.pipeline.settings import ClipSettings
    from gradcam_cli.records import Prediction, Size

    Pixels = npt.NDArray[np.uint8]

Item = TypeVar("Item")
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


@dataclass(slots=True)
class Survey:
    """What frames spread over a clip say about it.

    Attributes:
        target: the class to explain, with its mean probability; None when each frame has its own.
        predictions: all classes by mean probability.
        scale: values that become 0 and 1; None when each frame has its own, or when there is nothing to see.
        blank: why nothing is to be seen in any of the frames, or None.
    """

    target: Prediction | None
    predictions: list[Prediction]
    scale: tuple[float, float] | None
    blank: str | None


@dataclass(slots=True)
class Tally:
    """What was done so far."""

    frames: int = 0
    blank: int = 0
    shown: float = 0.0
    """Seconds of presentation."""


def survey(frames: Sequence[Pixels], session: Session, settings: ClipSettings) -> Survey:
    """Look at frames, uint8 RGB (H, W, 3), spread over a clip, and decide its class and its scale.

    Raises:
        InputError: there is no frame, or the network's scores are not finite.
        ModelError: the network cannot do what is asked.
    """
    if not frames:
        raise InputError("no frame can be read", "check the file and --start, --end")
    prepared = [session.prepare(frame) for frame in frames]
    answers = _asked(session, prepared, session.settings.targets)
    ranked = mean_predictions([answer.predictions for answer in answers])
    target = None
    if not settings.per_frame_target:
        index = session.resolve(ranked)
        target = next(each for each in ranked if each.index == index)
        if any(each.index != index for answer in answers for each in answer.targets):
            answers = _asked(session, prepared, (Target(index=index),))
    reasons = [answer.maps[0].blank for answer in answers]
    scale = None
    if settings.normalize_over == "clip":
        scale = common_scale([answer.maps[0].values for answer in answers], settings.render.normalize)
    return Survey(target, ranked, scale, None if None in reasons else reasons[0])


def _asked(session: Session, prepared: Sequence[Prepared], targets: tuple[Target, ...]) -> list[Answer]:
    answers = session.ask(prepared, targets)
    for answer in answers:
        if isinstance(answer, InputError):
            raise answer
    return [answer for answer in answers if not isinstance(answer, InputError)]


def explain_clip(
    frames: Iterable[Frame],
    sinks: Sequence[Sink[Frame]],
    session: Session,
    settings: ClipSettings,
    found: Survey,
    advance: Callable[[Tally], None],
) -> Tally:
    """Explain every frame and hand it to every sink, in order.

    Args:
        frames: decoded as they are asked for, in a thread of their own.
        sinks: the outputs, each written to in a thread of its own.
        session: the network.
        settings: how.
        found: by ``survey``.
        advance: called after each batch.

    Raises:
        GradcamError: whatever the source, the network or a sink raises.
    """
    tally = Tally()
    smoothing = Smoothing(settings.smooth)
    targets = session.settings.targets if found.target is None else (Target(index=found.target.index),)
    failed = threading.Event()
    outputs = [Stage(f"output {k}", sink.write, settings.batch_size, failed) for k, sink in enumerate(sinks)]

    def scale(frame: Frame, values: npt.NDArray[np.float32], prepared: Prepared, told: Prediction) -> None:
        grayscale = SaliencyMap(values, prepared.geometry, settings.render.normalize, found.scale).bytes()
        for output in outputs:
            output.put(frame, grayscale, told)

    scaling = Stage("scale", scale, settings.batch_size, failed)
    stages = [scaling, *outputs]
    reading = Ahead(((frame, session.prepare_frame(frame)) for frame in frames), settings.batch_size)
    try:
        for batch in reading.batches(settings.batch_size):
            if failed.is_set():
                break
            answers = _asked(session, [prepared for _, prepared in batch], targets)
            for (frame, prepared), answer in zip(batch, answers, strict=True):
                tally.frames += 1
                tally.blank += answer.maps[0].blank is not None
                tally.shown = float(frame.time + frame.duration)
                values = smoothing(answer.maps[0].values, frame.duration)
                scaling.put(frame, values, prepared, answer.targets[0])
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


class Stage:
    """A thread that works on what it is handed, in order, from a queue of bounded length.

    Args:
        name: of the thread.
        work: called with what ``put`` is given.
        length: of the queue.
        failed: set when any stage fails; all then throw away what they are handed, so that nobody waits for ever.
    """

    def __init__(self, name: str, work: Callable[..., None], length: int, failed: threading.Event) -> None:
        self.error: BaseException | None = None
        self._queue: queue.Queue[tuple[object, ...] | None] = queue.Queue(length)
        self._work = work
        self._failed = failed
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while (item := self._queue.get()) is not None:
            if self._failed.is_set():
                continue
            try:
                self._work(*item)
            except BaseException as error:
                self.error = error
                self._failed.set()

    def put(self, *item: object) -> None:
        """Hand in what ``work`` is called with; waits while the queue is full."""
        self._queue.put(item)

    def finish(self) -> None:
        """Wait until all that was handed in is worked on."""
        self._queue.put(None)
        self._thread.join()


class Ahead(Generic[Item]):
    """Runs an iterator in a thread, a bounded number of items ahead of who takes them."""

    def __init__(self, items: Iterator[Item], length: int) -> None:
        self._items = items
        self._queue: queue.Queue[Item | _End] = queue.Queue(length)
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="read", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        error: BaseException | None = None
        try:
            for item in self._items:
                if self._stopped.is_set():
                    return
                self._queue.put(item)
        except BaseException as caught:
            error = caught
        self._queue.put(_End(error))

    def batches(self, size: int) -> Iterator[list[Item]]:
        """Yield lists of ``size`` items, the last may be shorter; what the iterator raises comes out behind them."""
        batch: list[Item] = []
        while not isinstance(item := self._queue.get(), _End):
            batch.append(item)
            if len(batch) == size:
                yield batch
                batch = []
        if batch:
            yield batch
        if item.error is not None:
            raise item.error

    def stop(self) -> None:
        """End the thread, whatever it still has to do."""
        self._stopped.set()
        while self._thread.is_alive():
            with contextlib.suppress(queue.Empty):
                self._queue.get(timeout=0.05)


@dataclass(frozen=True, slots=True)
class _End:
    error: BaseException | None = field(default=None)
