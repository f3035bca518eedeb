"""The stages of a clip: decode → network → map → outputs, all at work at once.

As many threads as cores take the item that is furthest along: they encode for one of the outputs, turn maps into bytes
and draw them, run the network on a batch, or decode and preprocess. Queues are bounded, so memory does not grow with
the clip.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from gradcam_cli.errors import InputError
from gradcam_cli.media.image.read import resized
from gradcam_cli.models.preprocess import Prepared
from gradcam_cli.pipeline.clips.sources.base import StillFrame
from gradcam_cli.pipeline.clips.temporal import Smoothing
from gradcam_cli.pipeline.concurrency import Stage, StageScheduler, batches, sharing_cores
from gradcam_cli.render.saliency import SaliencyMap

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    import numpy as np
    import numpy.typing as npt

    from gradcam_cli.pipeline.clips.outputs import Sink
    from gradcam_cli.pipeline.clips.survey import Survey
    from gradcam_cli.pipeline.frame import Frame
    from gradcam_cli.pipeline.session import Explained, Session
    from gradcam_cli.pipeline.settings import ClipSettings
    from gradcam_cli.records import Prediction

    Pixels = npt.NDArray[np.uint8]
    Values = npt.NDArray[np.float32]
    Item = tuple[Frame, Prepared | Explained]
    """A frame with the network's input for it, or with its results from the survey."""
    ExplainedFrame = tuple[Frame, Explained | InputError]
    """A frame with its results, or an error."""
    Noted = tuple[Any, list[tuple[Values, Prediction]]]
    """A frame and, for each track, its smoothed map and the class of that map."""


@dataclass(slots=True)
class Tally:
    """The progress of a clip.

    Attributes:
        blank: number of frames with a blank map, by track.
        frames: number of explained frames.
        shown: seconds of the clip up to the end of the last of them.
    """

    blank: list[int]
    frames: int = 0
    shown: float = 0.0


def explain_clip(
    frames: Iterable[Frame],
    sinks: Sequence[Sequence[Sink]],
    session: Session,
    settings: ClipSettings,
    found: Survey,
    advance: Callable[[Tally], None],
) -> Tally:
    """Explain every frame and pass it to every sink, in order.

    Args:
        frames: decoded on demand, by one thread at a time.
        sinks: the outputs of each track, each written to by one thread at a time.
        session: the network.
        settings: how frames are explained and shown.
        found: the result of ``survey``; its ``known`` is emptied.
        advance: called with the tally after each frame, by one of the threads.

    Raises:
        GradcamError: an error of the source, the network or a sink.
    """
    tally = Tally([0] * len(found.tracks))
    smoothings = [Smoothing(settings.smooth) for _ in found.tracks]
    size, threads, known = settings.batch_size, session.explainer.concurrency, found.known
    outputs = [[(sink, _writing(sink, size)) for sink in each] for each in sinks]

    def items() -> Iterator[Item]:
        for frame in frames:
            yield frame, known.pop(frame.time) if frame.time in known else session.prepare_frame(frame)

    def explain_batch(batch: list[Item]) -> Iterator[tuple[Stage, ExplainedFrame]]:
        new = [what for _, what in batch if isinstance(what, Prepared)]
        results = iter(session.explain_batch(new, found.targets) if new else ())
        return ((noting, (frame, next(results) if isinstance(what, Prepared) else what)) for frame, what in batch)

    def note(explained: ExplainedFrame) -> Iterator[tuple[Stage, Noted]]:
        frame, result = explained
        if isinstance(result, InputError):
            raise result
        tally.frames += 1
        tally.shown = float(frame.time + frame.duration)
        tally.blank[:] = [n + (each.blank is not None) for n, each in zip(tally.blank, result.maps, strict=True)]
        steady = [smooth(each.values, frame.duration) for smooth, each in zip(smoothings, result.maps, strict=True)]
        yield drawing, (frame, list(zip(steady, result.targets, strict=True)))
        advance(tally)

    def draw(noted: Noted) -> Iterator[tuple[Stage, object]]:
        frame, maps = noted
        shown = settings.shown(frame.size)
        geometry = session.geometry(frame.size).for_source(shown)
        if shown != frame.size:
            frame = StillFrame(resized(frame.rgb(), shown), frame.time, frame.duration)
        for (values, target), track, each in zip(maps, found.tracks, outputs, strict=True):
            saliency = SaliencyMap(values, geometry, settings.render.normalize, track.scale)
            plain = saliency.bytes()
            coloured = plain if settings.render.upsample == "bilinear" else saliency.smooth().bytes()
            yield from (
                (writing, sink.draw(frame, coloured if sink.coloured else plain, target)) for sink, writing in each
            )

    stages = [writing for each in outputs for _, writing in each]
    drawing = Stage(draw, size, at_once=threads, feeds=stages)
    noting = Stage(note, size, feeds=[drawing])
    explaining = Stage(explain_batch, threads, at_once=threads, feeds=[noting])
    source = batches(items(), size, lambda item: isinstance(item[1], Prepared))
    with sharing_cores(threads):
        StageScheduler(source, [explaining, noting, drawing, *stages]).run()
    known.clear()
    finishing = [sink for each in sinks for sink in each]
    count = len(finishing)  # all take equally long: with two threads, the last of three would leave a core idle
    StageScheduler(finishing, [Stage(_finish, count, at_once=count)], threads=count).run()
    return tally


def _finish(sink: Sink) -> tuple[()]:
    sink.finish()
    return ()


def _writing(sink: Sink, room: int) -> Stage:
    def write(drawn: object) -> tuple[()]:
        sink.write(drawn)
        return ()

    return Stage(write, room)
