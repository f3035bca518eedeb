"""The run over pictures: read → preprocess → network → map → render → write, with all stages at work at once.

Threads read and preprocess ahead. The calling thread collects pictures of one input size into batches and runs the
network, or has it run by several threads that share the cores. Others render, encode and write. Every queue is
bounded, in pictures and in bytes, so that memory does not grow with the number of inputs. Outcomes are yielded in the
order of the inputs. Which pictures form a batch depends on the inputs alone, not on which thread is done first, since
rounding may depend on the rest of the batch.
"""

from __future__ import annotations

import math
import sys
import time
from collections import deque
from concurrent.futures import FIRST_COMPLETED, Executor, Future, ThreadPoolExecutor, wait
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from gradcam_cli.errors import GradcamError, InputError
from gradcam_cli.files import read_at_most, size_of
from gradcam_cli.media.atomic import write_all
from gradcam_cli.pipeline.artifacts.registry import ARTIFACTS
from gradcam_cli.pipeline.concurrency import InlineExecutor, sharing_cores
from gradcam_cli.pipeline.explanation import TOP, Explanation
from gradcam_cli.pipeline.images.batching import Batches
from gradcam_cli.pipeline.images.loading import prepare_picture, read_picture_for
from gradcam_cli.pipeline.outcome import Outcome

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator, Sequence
    from pathlib import Path

    from gradcam_cli.models.preprocess import Prepared
    from gradcam_cli.pipeline.render_settings import RenderSettings
    from gradcam_cli.pipeline.session import Explained, Session
    from gradcam_cli.pipeline.settings import RunSettings
    from gradcam_cli.records import Job, Picture, Size

READERS = 2
WRITERS = 2
MIN_BATCH = 4
"""Pictures in a batch from which it is worth a thread of its own."""
WINDOW = 4
"""Inputs in progress at once, in batches: enough to fill batches of several input sizes."""
MAX_BYTES = 256 << 20
"""Bytes of decoded pictures in memory, including those being read, at which no more are read."""
MAX_STDIN_BYTES = 512 << 20


@dataclass(slots=True)
class _Item:
    """An input in progress."""

    job: Job
    picture: Picture
    prepared: Prepared
    seconds: dict[str, float]
    bytes_read: int | None

    @property
    def nbytes(self) -> int:
        return self.picture.pixels.nbytes

    @property
    def input_size(self) -> Size:
        return self.prepared.geometry.input


def read_job(job: Job, session: Session, settings: RunSettings) -> _Item:
    """Read and preprocess one input.

    Raises:
        InputError: it cannot be read as a picture.
    """
    started, size = time.perf_counter(), size_of(job.input)
    longest = settings.size or settings.max_size
    source = _standard_input(job.name) if job.input is None else job.input
    picture = read_picture_for(session, source, job.name, settings.max_pixels, longest)
    read = time.perf_counter()
    picture, prepared = prepare_picture(session, picture, longest, enlarged=settings.size is not None)
    return _Item(job, picture, prepared, {"read": read - started, "preprocess": time.perf_counter() - read}, size)


def _standard_input(name: str) -> bytes:
    data = read_at_most(sys.stdin.buffer, MAX_STDIN_BYTES)
    if data is None:
        raise InputError(f"{name}: is larger than {MAX_STDIN_BYTES >> 20} MiB", "save it in a file and give its path")
    return data


def finish_job(item: _Item, result: Explained, session: Session, settings: RenderSettings) -> Outcome:
    """Render and write one input's results: all of them or, when anything fails, none.

    Raises:
        OutputError: a result cannot be encoded or written.
    """
    started = time.perf_counter()
    item.seconds["explain"] = result.seconds
    explanations = []
    files: dict[Path, bytes] = {}
    parts = item.job.by_part() or [[] for _ in result.maps]  # without outputs, explanations are all that is wanted
    for outputs, class_map, target in zip(parts, result.maps, result.targets, strict=True):
        explanation = Explanation(
            input=item.job.given,
            pixels=item.picture.pixels,
            session=session,
            class_map=class_map,
            geometry=item.prepared.geometry,
            target=target,
            predictions=result.predictions[:TOP],
            settings=settings,
            seconds=item.seconds,
            notes=item.picture.notes,
        )
        explanation.files = {output.key: output.path for output in outputs}
        files |= {output.path: ARTIFACTS[output.kind].encode(explanation) for output in outputs}
        explanations.append(explanation)
    written = write_all(files)
    item.seconds["render"] = time.perf_counter() - started
    return Outcome(item.job, explanations, notes=item.picture.notes, written=written, input_size=item.bytes_read)


def _network_threads(jobs: int, session: Session, batch_size: int) -> int:
    """Return how many threads run the network; a batch is divided among them, so that they need no more memory.

    One, with all cores, where the inputs fit into one batch, and where a picture takes many forward passes: their
    progress is reported one after the other, and their time is limited by a clock.
    """
    if jobs <= batch_size or session.explainer.takes_many_passes:
        return 1
    return max(1, min(session.explainer.concurrency, batch_size // MIN_BATCH))


@contextmanager
def _pool(threads: int, name: str) -> Iterator[ThreadPoolExecutor]:
    """Yield a pool of threads; at the end, drop calls that have not started, and wait for those that have."""
    pool = ThreadPoolExecutor(threads, name)
    try:
        yield pool
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


class ImageRun:
    """One run over many inputs; iterate over it, once, for the outcomes.

    Args:
        jobs: the inputs, in order.
        session: the network.
        settings: size of a batch, limits, and how maps are shown.
    """

    def __init__(self, jobs: Sequence[Job], session: Session, settings: RunSettings) -> None:
        self._jobs = iter(enumerate(jobs))
        self._session = session
        self._settings = settings
        self._network_threads = _network_threads(len(jobs), session, settings.batch_size)
        self._window = WINDOW * settings.batch_size
        # Half the bytes, so that the next pictures are read while those of a batch are explained and written.
        self._batches: Batches[_Item] = Batches(
            math.ceil(settings.batch_size / self._network_threads), self._window, MAX_BYTES // 2
        )
        self._reading: dict[Future[_Item], tuple[int, Job]] = {}  # in the inputs' order
        self._explaining: dict[Future[list[Explained | InputError]], list[tuple[int, _Item]]] = {}
        self._writing: dict[Future[Outcome], tuple[int, Job]] = {}
        self._held: dict[int, int] = {}  # position → bytes of the decoded picture, until its outcome is yielded
        self._lately: deque[int] = deque(maxlen=self._window)  # bytes of the pictures read last
        self._done: dict[int, Outcome] = {}
        self._next = 0
        self._exhausted = False

    def __iter__(self) -> Generator[Outcome, None, None]:
        """Yield one outcome an input, in the inputs' order.

        Raises:
            ModelError: the network cannot run with these settings, whatever the input.
        """
        with ExitStack() as stack:
            # Closed in the opposite order. Nothing new is started then; results being written are finished, since a
            # file appears whole or not at all.
            readers = stack.enter_context(_pool(READERS, "read"))
            writers = stack.enter_context(_pool(WRITERS, "write"))
            network_pool: Executor = InlineExecutor()
            if self._network_threads > 1:
                stack.enter_context(sharing_cores(self._network_threads))
                network_pool = stack.enter_context(_pool(self._network_threads, "network"))
            while True:
                self._read_ahead(readers)
                if self._exhausted and not self._reading:
                    self._batches.flush()
                self._explain(network_pool)
                if not (self._reading or self._explaining or self._writing):
                    break
                self._wait()
                self._collect(writers)
                yield from self._in_order()
            yield from (self._done[position] for position in sorted(self._done))

    def _read_ahead(self, readers: ThreadPoolExecutor) -> None:
        while not self._exhausted and len(self._held) + len(self._reading) < self._window:
            if self._full():
                return
            following = next(self._jobs, None)
            if following is None:
                self._exhausted = True
                return
            self._reading[readers.submit(read_job, following[1], self._session, self._settings)] = following

    def _full(self) -> bool:
        """Whether one more picture might be too many; its size, and of those being read, is known only afterwards."""
        expected = (len(self._reading) + 1) * max(self._lately, default=MAX_BYTES // READERS)
        busy = self._reading or self._explaining or self._writing or self._batches.due
        return bool(busy) and sum(self._held.values()) + expected > MAX_BYTES

    def _explain(self, network_pool: Executor) -> None:
        while self._batches.due and len(self._explaining) < self._network_threads:
            batch = self._batches.due.popleft()
            self._explaining[network_pool.submit(self._session.explain_batch, [item.prepared for _, item in batch])] = (
                batch
            )

    def _wait(self) -> None:
        under_way: set[Future[Any]] = {*self._explaining, *self._writing}  # not in __iter__, where it would live on
        if self._reading:
            under_way.add(next(iter(self._reading)))  # results of later reads cannot be used before it
        wait(under_way, return_when=FIRST_COMPLETED)

    def _collect(self, writers: Executor) -> None:
        """Collect the threads' results; those of reading in the inputs' order."""
        while self._reading and (reading := next(iter(self._reading))).done():
            position, job = self._reading.pop(reading)
            item = None
            try:
                item = reading.result()
                self._held[position] = item.nbytes
                self._lately.append(item.nbytes)
            except GradcamError as error:
                self._done[position] = Outcome(job, error=error)
            self._batches.add(position, item)
        for explaining in [future for future in self._explaining if future.done()]:
            self._write(self._explaining.pop(explaining), explaining.result(), writers)
        for writing in [future for future in self._writing if future.done()]:
            position, job = self._writing.pop(writing)
            try:
                self._done[position] = writing.result()
            except GradcamError as error:
                self._done[position] = Outcome(job, error=error)

    def _write(self, batch: list[tuple[int, _Item]], results: list[Explained | InputError], writers: Executor) -> None:
        for (position, item), result in zip(batch, results, strict=True):
            if isinstance(result, InputError):
                error = InputError(f"{item.job.name}: {result.message}", result.template)
                self._done[position] = Outcome(item.job, error=error)
                continue
            future = writers.submit(finish_job, item, result, self._session, self._settings.render)
            self._writing[future] = (position, item.job)

    def _in_order(self) -> Iterator[Outcome]:
        while self._next in self._done:
            outcome = self._done.pop(self._next)
            self._held.pop(self._next, None)
            self._next += 1
            yield outcome
            if outcome.error and self._settings.fail_fast:
                self._stop()

    def _stop(self) -> None:
        """Start nothing more; results being written are still finished and yielded."""
        self._exhausted = True
        for future in self._reading:
            future.cancel()
        self._reading.clear()
        self._batches.clear()
