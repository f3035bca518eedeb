"""A scheduler's promises: order, bounds, nobody waits for ever, and what is finished after a failure."""

from __future__ import annotations

import os
import random
import threading
import time

import pytest

from gradcam_cli.pipeline import concurrency as threads
from gradcam_cli.pipeline.concurrency import InlineExecutor, Stage, StageScheduler, batches


@pytest.fixture(autouse=True)
def _four_cores(monkeypatch):
    monkeypatch.setattr(threads, "cores", lambda: 4)


def line(work, kept: list, *, room: int = 2, at_once: int = 1, delay: float = 0.0) -> list[Stage]:
    """Make a step that does some work, and one that keeps what comes out of it."""

    def keep(item):
        time.sleep(delay)
        kept.append(item)
        return ()

    keeping = Stage(keep, room)
    return [Stage(lambda item: [(keeping, work(item))], room, at_once=at_once, feeds=[keeping]), keeping]


def test_everything_comes_out_in_order_however_long_it_takes():
    random.seed(3)
    times = [random.choice((0, 0, 0.001, 0.01)) for _ in range(200)]

    def work(k: int) -> int:
        time.sleep(times[k])
        return k * k

    kept: list[int] = []
    StageScheduler(range(200), line(work, kept, at_once=3)).run()
    assert kept == [k * k for k in range(200)]


def test_several_are_worked_on_at_once_and_no_more_than_allowed():
    lock, now, most, together = threading.Lock(), 0, 0, threading.Barrier(3, timeout=10)

    def work(k: int) -> int:
        nonlocal now, most
        with lock:
            now += 1
            most = max(most, now)
        together.wait()  # for ever, if fewer were worked on at once
        with lock:
            now -= 1
        return k

    kept: list[int] = []
    StageScheduler(range(30), line(work, kept, at_once=3)).run()
    assert most == 3
    assert kept == list(range(30))


def test_what_is_under_way_is_bounded():
    """By the slowest step, the last one here."""
    read, most, kept = 0, 0, []

    def source():
        nonlocal read, most
        for k in range(60):
            read += 1
            most = max(most, read - len(kept))
            yield k

    StageScheduler(source(), line(lambda k: k, kept, room=2, at_once=2, delay=0.002)).run()
    assert kept == list(range(60))
    assert most <= 2 + 4 + 2 + 1 + 1  # they wait, are worked on or wait for their turn, wait again, are kept, are read


def test_one_item_may_become_many_for_several_steps():
    kept: dict[str, list[int]] = {"a": [], "b": []}

    def keeping(name: str) -> Stage:
        return Stage(lambda item: kept[name].append(item) or (), 1)

    a, b = keeping("a"), keeping("b")
    first = Stage(lambda k: [*[(a, k)] * k, (b, -k)], 1, feeds=[a, b])
    StageScheduler(range(5), [first, a, b]).run()
    assert kept == {"a": [1, 2, 2, 3, 3, 3, 4, 4, 4, 4], "b": [0, -1, -2, -3, -4]}


def test_after_a_failure_what_was_before_it_is_finished():
    def work(k: int) -> int:
        if k == 5:
            raise ValueError("five")
        time.sleep(0.01 if k == 4 else 0)
        return k

    kept: list[int] = []
    with pytest.raises(ValueError, match="five"):
        StageScheduler(range(50), line(work, kept, at_once=3, delay=0.002)).run()
    assert kept == [0, 1, 2, 3, 4]


def test_what_the_source_raises_comes_out_behind_what_it_gave():
    def source():
        yield from range(7)
        raise OSError("gone")

    kept: list[list[int]] = []
    with pytest.raises(OSError, match="gone"):
        StageScheduler(batches(source(), 3), line(lambda batch: batch, kept)).run()
    assert kept == [[0, 1, 2], [3, 4, 5], [6]]


def test_a_failure_at_the_end_stops_all():
    read = 0

    def source():
        nonlocal read
        for k in range(1000):
            read += 1
            yield k

    def full(item):
        raise OSError("full")

    last = Stage(full, 1)
    with pytest.raises(OSError, match="full"):
        StageScheduler(source(), [Stage(lambda k: [(last, k)], 1, feeds=[last]), last]).run()
    assert read < 20
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("stage") and thread.is_alive()]


def test_when_whoever_waits_is_interrupted_what_is_under_way_is_finished():
    class Stopped(BaseException):
        pass

    read, kept = 0, []

    def source():
        nonlocal read
        for k in range(10_000):
            read += 1
            yield k

    scheduler = StageScheduler(source(), line(lambda k: k, kept, delay=0.001))
    waits, wait = [], scheduler._wait

    def interrupted():
        waits.append(len(kept))
        if len(waits) == 1:
            time.sleep(0.05)
            raise Stopped
        wait()

    scheduler._wait = interrupted
    with pytest.raises(Stopped):
        scheduler.run()
    assert len(waits) == 2
    assert 0 < len(kept) < read < 10_000
    assert kept == list(range(len(kept)))


def test_what_is_spare_is_done_while_there_is_nothing_else():
    """While the source lets wait, and the last of it never holds up the end."""
    spared, kept = [], []

    def spare(k):
        spared.append(k)
        time.sleep(0.002)
        return ()

    sparing = Stage(spare, 1)
    keeping = Stage(lambda k: kept.append((k, len(spared))) or (), 1)
    sorting = Stage(lambda k: [(keeping if k % 10 == 9 else sparing, k)], 1, feeds=[keeping])

    def source():
        for k in range(10):
            time.sleep(0.004)
            yield k
        yield from range(10, 1000)

    StageScheduler(source(), [sorting, keeping], sparing).run()
    assert [k for k, _ in kept] == list(range(9, 1000, 10))
    assert kept[0][1] >= 3
    assert spared == sorted(spared)
    assert len(spared) < 800


def test_a_failure_of_what_is_spare_comes_out():
    def fail(k):
        raise OSError("gone")

    sparing = Stage(fail, 1)
    kept = []
    keeping = Stage(lambda k: kept.append(k) or (), 1)

    def source():
        for k in range(100):
            time.sleep(0.001)
            yield k

    with pytest.raises(OSError, match="gone"):
        StageScheduler(
            source(), [Stage(lambda k: [(sparing if k < 50 else keeping, k)], 1, feeds=[keeping]), keeping], sparing
        ).run()
    assert not kept


def test_nothing_at_all():
    kept: list[int] = []
    StageScheduler((), line(lambda k: k, kept)).run()
    assert kept == []


def test_the_caller_does_the_work():
    assert InlineExecutor().submit(threading.get_ident).result() == threading.get_ident()
    with pytest.raises(ZeroDivisionError):
        InlineExecutor().submit(lambda: 1 // 0).result()


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="processes cannot be bound to cores here")
def test_cores_are_those_the_process_may_use():
    from gradcam_cli.machine import cores

    before = os.sched_getaffinity(0)
    try:
        os.sched_setaffinity(0, {min(before)})
        assert cores() == 1
    finally:
        os.sched_setaffinity(0, before)
    assert cores() == len(before)
