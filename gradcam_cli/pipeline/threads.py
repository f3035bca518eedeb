"""Work in several threads at once: stages with bounded queues, reading ahead, answers in order."""

from __future__ import annotations

import queue
import threading
from collections import deque
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import cv2

from gradcam_cli.cam.replica import torch_cores_shared

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Iterator

Item = TypeVar("Item")
Result = TypeVar("Result")


@contextmanager
def cores_shared(threads: int) -> Iterator[None]:
    """Let the threads that run the network share the cores; OpenCV's own, which spin between calls, would disturb."""
    before = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        with torch_cores_shared(threads):
            yield
    finally:
        cv2.setNumThreads(before)


def batches(items: Iterable[Item], size: int) -> Iterator[list[Item]]:
    """Yield lists of ``size`` items, the last may be shorter; what ``items`` raises comes out behind them."""
    batch: list[Item] = []
    try:
        for item in items:
            batch.append(item)
            if len(batch) == size:
                yield batch
                batch = []
    except Exception:
        if batch:
            yield batch
        raise
    if batch:
        yield batch


def in_order(work: Callable[[Item], Result], items: Iterable[Item], threads: int) -> Generator[tuple[Item, Result]]:
    """Yield each item with what ``work`` makes of it, in order, while ``threads`` work on the following ones.

    What ``items`` raises comes out behind the results of those before.
    """
    pool = ThreadPoolExecutor(threads, "network")
    source = iter(items)
    failure: Exception | None = None
    under_way: deque[tuple[Item, Future[Result]]] = deque()

    def begin_another() -> bool:
        nonlocal failure
        try:
            item = next(source)
        except StopIteration:
            return False
        except Exception as error:
            failure = error
            return False
        under_way.append((item, pool.submit(work, item)))
        return True

    try:
        more = True
        while more or under_way:
            while more and len(under_way) <= threads:
                more = begin_another()
            if under_way:
                first, done = under_way.popleft()
                yield first, done.result()
        if failure is not None:
            raise failure
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


class Caller(Executor):
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

    def __iter__(self) -> Iterator[Item]:
        """Yield the items; what the iterator raises comes out behind them."""
        while not isinstance(item := self._queue.get(), _End):
            yield item
        if item.error is not None:
            raise item.error

    def stop(self) -> None:
        """End the thread, whatever it still has to do."""
        self._stopped.set()
        while self._thread.is_alive():
            with suppress(queue.Empty):
                self._queue.get(timeout=0.05)


@dataclass(frozen=True, slots=True)
class _End:
    error: BaseException | None = field(default=None)
