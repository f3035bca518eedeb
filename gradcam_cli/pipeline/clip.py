"""A clip: decode → network → map → outputs, all at work at once.

As many threads as cores do what is furthest along: blend and encode for one of the outputs, turn maps into bytes, run
the network on a batch, decode and preprocess. Queues are bounded, so memory does not grow with the clip.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from gradcam_cli.errors import InputError
from gradcam_cli.models.preprocess import Prepared
from gradcam_cli.pipeline.steady import Smoothing
from gradcam_cli.pipeline.survey import Moving
from gradcam_cli.pipeline.threads import Crew, Step, batches, cores_shared
from gradcam_cli.render.saliency import SaliencyMap

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    import numpy as np
    import numpy.typing as npt

    from gradcam_cli.pipeline.session import Answer, Session
    from gradcam_cli.pipeline.settings import ClipSettings
    from gradcam_cli.pipeline.survey import Survey
    from gradcam_cli.records import Prediction

    Pixels = npt.NDArray[np.uint8]
    Item = tuple[Moving, Prepared | Answer]
    """A frame, and how the network sees it, or what it has said of it before."""
    Asked = tuple[Moving, Answer | InputError]
    """A frame, and what the network says."""
    Shown = tuple[Moving, Pixels, Prediction]
    """A frame, its map and the class it is for, as a sink takes them."""

Frame = TypeVar("Frame", bound=Moving)

Taken = TypeVar("Taken", contravariant=True)


class Sink(Protocol[Taken]):
    """An output for one type of frame."""

    def write(self, frame: Taken, grayscale: Pixels, told: Prediction) -> None:
        """Render and encode a frame with its map, uint8 (H, W), and the class that the map is for."""

    def finish(self) -> None:
        """Encode what is held back: no frame follows."""


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
    size, threads, known = settings.batch_size, session.explainer.concurrency, found.known
    outputs = [[_writing(sink, size) for sink in each] for each in sinks]

    def items() -> Iterator[Item]:
        for frame in frames:
            yield frame, known.pop(frame.time) if frame.time in known else session.prepare_frame(frame)

    def ask(batch: list[Item]) -> Iterator[tuple[Step, Asked]]:
        new = [what for _, what in batch if isinstance(what, Prepared)]
        answers = iter(session.ask(new, found.aims) if new else ())
        return ((scaling, (frame, next(answers) if isinstance(what, Prepared) else what)) for frame, what in batch)

    def scale(asked: Asked) -> Iterator[tuple[Step, Shown]]:
        frame, answer = asked
        if isinstance(answer, InputError):
            raise answer
        geometry = session.geometry(frame.size)
        tally.frames += 1
        tally.shown = float(frame.time + frame.duration)
        for k, (class_map, track, target) in enumerate(zip(answer.maps, found.tracks, answer.targets, strict=True)):
            tally.blank[k] += class_map.blank is not None
            values = smoothings[k](class_map.values, frame.duration)
            shown = frame, SaliencyMap(values, geometry, settings.render.normalize, track.scale).bytes(), target
            yield from ((output, shown) for output in outputs[k])
        advance(tally)

    steps = [output for each in outputs for output in each]
    scaling = Step(scale, size, feeds=steps)
    asking = Step(ask, threads, at_once=threads, feeds=[scaling])
    source = batches(items(), size, lambda item: isinstance(item[1], Prepared))
    with cores_shared(threads):
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
