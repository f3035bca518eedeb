"""Work in several threads at once: the steps of a line, done by as many threads as there are cores."""

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
    """Let the threads that run the network share the cores; OpenCV's own, which spin between calls, would disturb."""
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
    """Yield lists with ``size`` items that count, the last maybe fewer; what ``items`` raises comes out behind them."""
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
    """Has whoever hands in work do it at once, where signals reach it; what is returned is done."""

    def submit(self, work: Callable[..., Result], /, *arguments: Any, **named: Any) -> Future[Result]:  # noqa: ANN401
        """Call ``work``, and return a future that holds what it returns or raises."""
        future: Future[Result] = Future()
        try:
            future.set_result(work(*arguments, **named))
        except Exception as error:
            future.set_exception(error)
        return future


class Stage:
    """One step of a line: what is done with each item, for a `StageScheduler` to do.

    Args:
        work: called with an item; returns what it makes of it for the steps behind: pairs of step and item.
        room: items that may wait here before those who hand them in pause.
        at_once: how many threads may be at it. What they make is handed on in the items' order all the same.
        feeds: the steps behind.
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
        self._made: dict[int, list[tuple[Stage, object]]] = {}  # by those who were quicker than the one before
        self._begun = self._handed_on = 0
        self._busy = 0
        self._closed = False

    @property
    def has_room(self) -> bool:
        """Whether an item may be handed in."""
        return len(self._waiting) < self._room

    @property
    def idle(self) -> bool:
        """Whether there is nothing to do, nor being done."""
        return not (self._waiting or self._busy)

    def put(self, item: object) -> None:
        """Hand in an item."""
        if not self._closed:
            self._waiting.append(item)

    def close(self) -> None:
        """Begin nothing more."""
        self._closed = True
        self._waiting.clear()

    def take(self) -> tuple[int, object] | None:
        """Begin with the next item, its number beside it; None where that is not possible or not yet wanted."""
        ahead = self._busy + len(self._made)
        if not self._waiting or self._busy == self.at_once or ahead >= 2 * self.at_once:
            return None
        if not all(stage.has_room for stage in self._feeds):
            return None
        self._busy += 1
        self._begun += 1
        return self._begun - 1, self._waiting.popleft()

    def finish(self, number: int, made: list[tuple[Stage, object]] | None) -> None:
        """Hand on what was made of an item, when its turn has come; None is never handed on, nor what is behind it."""
        self._busy -= 1
        if made is None:
            return
        self._made[number] = made
        while self._handed_on in self._made:
            for stage, item in self._made.pop(self._handed_on):
                stage.put(item)
            self._handed_on += 1


class StageScheduler:
    """As many threads as cores, which do the steps of a line together.

    Each takes what is furthest along, and nobody waits for a core. A thread for each step would be put aside by others
    in the middle of its work, and find in the caches what they have left there.

    Args:
        source: iterated over by one thread at a time, as long as the first step has room.
        stages: in the order of the way. The first is handed the source's items.
        spare: done while there is nothing else to do; what waits there when all else is done is left.
        is_spare: whether an item of the source's is for that step, not for the first.
        threads: how many there are; None is as many as cores.
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
        self._end_of_work = threading.Condition(lock)  # apart, so that each change does not wake who waits for the end
        self._reading = self._read = False
        self._error: BaseException | None = None
        self._at_work = 0

    def run(self) -> None:
        """Do it all; return when it is done.

        Also after an error, and when a signal ends the run, what is behind the step in question is finished, so that a
        partial result holds all that was done.

        Raises:
            Exception: the first that the source or a step has raised.
        """
        most = 1 + sum(stage.at_once for stage in self._stages)
        threads = [
            threading.Thread(target=self._work, name=f"crew {k}", daemon=True) for k in range(min(most, self._threads))
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
        """Wait for something to do; None when all is done."""
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
        """Read no more, and begin nothing more of the first ``count`` steps; what is behind them goes on."""
        self._error = self._error or error
        self._read = True
        for stage in self._stages[:count]:
            stage.close()
        if count and self._spare is not None:
            self._spare.close()
