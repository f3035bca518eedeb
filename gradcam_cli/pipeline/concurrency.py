"""Pipelines of stages, run by as many threads as there are cores."""

from __future__ import annotations

import threading
from collections import deque
from concurrent.futures import Executor, Future
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

import cv2

from gradcam_cli.cam.execution.replica import torch_cores_shared
from gradcam_cli.machine import cores

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

Item = TypeVar("Item")
Result = TypeVar("Result")


@contextmanager
def sharing_cores(threads: int) -> Iterator[None]:
    """Divide the cores among threads that run the network; switch off OpenCV's threads, which spin between calls."""
    before = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        with torch_cores_shared(threads):
            yield
    finally:
        cv2.setNumThreads(before)


def batches(
    items: Iterable[Item], size: int, counts: Callable[[Item], bool] = lambda item: True
) -> Iterator[list[Item]]:
    """Yield lists with ``size`` counted items, the last maybe fewer; errors of ``items`` are raised after the last."""
    batch: list[Item] = []
    room = size
    try:
        for item in items:
            batch.append(item)
            room -= counts(item)
            if not room:
                yield batch
                batch, room = [], size
    except Exception:
        if batch:
            yield batch
        raise
    if batch:
        yield batch


class InlineExecutor(Executor):
    """Runs each call at once in the calling thread, where signals arrive; the returned future is done."""

    def submit(self, work: Callable[..., Result], /, *arguments: Any, **named: Any) -> Future[Result]:  # noqa: ANN401
        """Call ``work`` and return a future with its result or exception."""
        future: Future[Result] = Future()
        try:
            future.set_result(work(*arguments, **named))
        except Exception as error:
            future.set_exception(error)
        return future


class Stage:
    """One stage of a pipeline: a function and the items that wait for it, run by a `StageScheduler`.

    Args:
        work: called with an item; returns the results for the following stages as pairs (stage, item).
        room: number of waiting items at which the stages in front pause.
        at_once: number of threads that may run ``work`` at once; results still leave in the items' order.
        feeds: the following stages.
    """

    def __init__(
        self,
        work: Callable[[Any], Iterable[tuple[Stage, object]]],
        room: int,
        *,
        at_once: int = 1,
        feeds: Sequence[Stage] = (),
    ) -> None:
        self.work = work
        self.at_once = at_once
        self._room = room
        self._feeds = feeds
        self._waiting: deque[object] = deque()
        self._made: dict[int, list[tuple[Stage, object]]] = {}  # results that wait for an earlier item's
        self._begun = self._handed_on = 0
        self._busy = 0
        self._closed = False

    @property
    def has_room(self) -> bool:
        """Whether another item may be added."""
        return len(self._waiting) < self._room

    @property
    def idle(self) -> bool:
        """Whether no item waits and none is being worked on."""
        return not (self._waiting or self._busy)

    def put(self, item: object) -> None:
        """Add an item, unless the stage is closed."""
        if not self._closed:
            self._waiting.append(item)

    def close(self) -> None:
        """Drop the waiting items and start no more."""
        self._closed = True
        self._waiting.clear()

    def take(self) -> tuple[int, object] | None:
        """Start the next item and return (its number, item), or None where no item waits or a limit is reached."""
        ahead = self._busy + len(self._made)
        if not self._waiting or self._busy == self.at_once or ahead >= 2 * self.at_once:
            return None
        if not all(stage.has_room for stage in self._feeds):
            return None
        self._busy += 1
        self._begun += 1
        return self._begun - 1, self._waiting.popleft()

    def finish(self, number: int, made: list[tuple[Stage, object]] | None) -> None:
        """Pass on an item's results in the items' order; None (an error) stops the results of all later items too."""
        self._busy -= 1
        if made is None:
            return
        self._made[number] = made
        while self._handed_on in self._made:
            for stage, item in self._made.pop(self._handed_on):
                stage.put(item)
            self._handed_on += 1


class StageScheduler:
    """Runs the stages of a pipeline with as many threads as cores.

    Each thread takes the item that is furthest along, so no thread waits for a core. With a thread for each stage,
    threads would interrupt each other in the middle of an item, and replace each other's data in the caches.

    Args:
        source: iterated over by one thread at a time, while the first stage has room.
        stages: in the order of processing. The first gets the source's items.
        spare: stage that runs while there is nothing else to do; items that still wait there at the end are dropped.
        is_spare: whether an item of the source goes to ``spare`` instead of the first stage.
        threads: number of threads; None is as many as cores.
    """

    def __init__(
        self,
        source: Iterable[object],
        stages: Sequence[Stage],
        spare: Stage | None = None,
        is_spare: Callable[[Any], bool] = lambda item: False,
        *,
        threads: int | None = None,
    ) -> None:
        self._source = iter(source)
        self._stages = stages
        self._spare = spare
        self._is_spare = is_spare
        self._threads = threads or max(2, cores())  # two with one core: one may wait for another device
        lock = threading.Lock()
        self._change = threading.Condition(lock)
        self._end_of_work = threading.Condition(lock)  # separate, so that changes do not wake run()
        self._reading = self._read = False
        self._error: BaseException | None = None
        self._at_work = 0

    def run(self) -> None:
        """Process all items and return when they are done.

        After an error, or when a signal ends the run, the stages behind still finish their items, so that a partial
        result contains everything that was done.

        Raises:
            Exception: the first exception of the source or of a stage.
        """
        most = 1 + sum(stage.at_once for stage in self._stages)
        threads = [
            threading.Thread(target=self._work, name=f"stage {k}", daemon=True) for k in range(min(most, self._threads))
        ]
        self._at_work = len(threads)
        for thread in threads:
            thread.start()
        try:
            self._wait()
        except BaseException:
            with self._change:
                self._end(1)
            self._wait()
            raise
        for thread in threads:
            thread.join()
        if self._error is not None:
            raise self._error

    def _wait(self) -> None:
        with self._change:
            while self._at_work:
                self._end_of_work.wait()

    def _work(self) -> None:
        while (task := self._next()) is not None:
            task()

    def _next(self) -> Callable[[], None] | None:
        """Wait for a task and return it; None when all is done."""
        with self._change:
            while True:
                task = self._task()
                if task is not None:
                    return task
                if self._is_over():
                    self._at_work -= 1
                    self._change.notify_all()
                    self._end_of_work.notify_all()
                    return None
                self._change.wait()

    def _task(self) -> Callable[[], None] | None:
        for stage in reversed(self._stages):
            if (taken := stage.take()) is not None:
                return partial(self._do, stage, *taken)
        if not self._read and not self._reading and self._stages[0].has_room:
            self._reading = True
            return self._read_one
        if self._spare is not None and not self._is_over() and (taken := self._spare.take()) is not None:
            return partial(self._do, self._spare, *taken)
        return None

    def _is_over(self) -> bool:
        return self._read and not self._reading and all(stage.idle for stage in self._stages)

    def _read_one(self) -> None:
        error: BaseException | None = None
        try:
            item = next(self._source)
        except BaseException as caught:
            error = caught
        with self._change:
            self._reading = False
            if error is None:
                stage = self._spare if self._spare is not None and self._is_spare(item) else self._stages[0]
                stage.put(item)
            else:
                self._end(0, None if isinstance(error, StopIteration) else error)
            self._change.notify_all()

    def _do(self, stage: Stage, number: int, item: object) -> None:
        made, error = None, None
        try:
            made = list(stage.work(item))
        except BaseException as caught:
            error = caught
        with self._change:
            if error is not None:
                self._end(self._stages.index(stage) + 1 if stage is not self._spare else 1, error)
            stage.finish(number, made)
            self._change.notify_all()

    def _end(self, count: int, error: BaseException | None = None) -> None:
        """Stop reading, and close the first ``count`` stages; the stages behind them go on."""
        self._error = self._error or error
        self._read = True
        for stage in self._stages[:count]:
            stage.close()
        if count and self._spare is not None:
            self._spare.close()
