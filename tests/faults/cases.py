"""Cases: what is run, what befalls it and when, all drawn from a seed and a number."""

from __future__ import annotations

import os
import shutil
import signal
import time
from contextlib import suppress
from random import Random
from typing import TYPE_CHECKING

from tests.faults import disks, judge
from tests.faults.runs import real_run
from tests.faults.scenes import COMMANDS, INPUTS, OUTPUTS, WAYS, Expected, Scene, scene, undisturbed
from tests.promises import CODES

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.faults.runs import Done, Run, Server

STOPS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGKILL)
LATEST = 1.05
"""Of an undisturbed run's seconds: the last moment at which something may befall a run."""
STARTS = 2.5
"""Seconds in which the real command imports what it needs and explains a picture, or nearly so."""
KILLS = 10
"""In one case of runs that are killed again and again."""
SKIP = "--skip-existing"


class Bench:
    """Where cases are run.

    Args:
        server: runs the commands.
        folder: an empty one, to work in.
    """

    def __init__(self, server: Server, folder: Path) -> None:
        self._server = server
        self._folder = folder
        self._expected: dict[tuple[str, int], Expected] = {}

    def expected(self, command: str, way: int) -> Expected:
        """Return what an undisturbed run makes, which is run once."""
        if (command, way) not in self._expected:
            self._expected[command, way] = undisturbed(scene(command, way), self._server, self._folder / "undisturbed")
        return self._expected[command, way]

    def problems(self, kind: str, seed: int, number: int) -> list[str]:
        """Run a case and return what is wrong: nothing, it is hoped."""
        rng = Random(f"{seed}/{kind}/{number}")
        command = kind if kind in COMMANDS else rng.choice(COMMANDS)
        way = rng.randrange(WAYS)
        found = _Case(self._server, scene(command, way), self.expected(command, way), rng, self._folder / "case")
        try:
            return KINDS[kind](found)
        finally:
            shutil.rmtree(self._folder / "case")


class _Case:
    """What a case works with: a scene laid out in a folder of its own."""

    def __init__(self, server: Server, wanted: Scene, expected: Expected, rng: Random, place: Path) -> None:
        self.scene, self.expected, self.rng = wanted, expected, rng
        self.folder = place / "work"
        self.outputs = self.folder / OUTPUTS
        self._server = server
        wanted.lay(self.folder)

    def begin(self, *more: str, called: str = "run") -> Run:
        return self._server.begin([*self.scene.arguments, *more], self.folder, called)

    def wait(self) -> None:
        """Let a moment of the run pass."""
        time.sleep(self.rng.uniform(0, LATEST) * self.expected.seconds)

    def said(self, done: Done, codes: set[int] | None = None, *, lasting: bool = True) -> list[str]:
        return judge.said(done, self.scene, self.folder, CODES - {2} if codes is None else codes, lasting=lasting)

    def resumed(self) -> list[str]:
        """Return what is wrong after a run that is to do what is missing."""
        done = self.begin(SKIP).end()
        found = judge.said(done, self.scene, self.folder, {0}) + judge.complete(self.folder, self.expected)
        return [f"resumed: {each}" for each in found]


def _codes(*sent: signal.Signals) -> set[int]:
    """Exit codes that are right after signals, which may also have come too late."""
    return {0, *(-each if each == signal.SIGKILL else 128 + each for each in sent)}


def _stopped(case: _Case) -> list[str]:
    """Send a signal at any moment, and perhaps an impatient second one behind it."""
    sent = [case.rng.choice(STOPS)]
    if case.rng.random() < 0.3:
        sent.append(case.rng.choice(STOPS))
    run = case.begin()
    case.wait()
    run.send(sent[0])
    for each in sent[1:]:
        time.sleep(case.rng.choice((0, 0.002, 0.02)))
        run.send(each)
    done = run.end()
    found = case.said(done, _codes(*sent)) + judge.left(case.outputs, case.expected, parts=done.code < 0)
    if done.code == 0:
        found += judge.complete(case.folder, case.expected)
    return found + case.resumed()


def _starting(case: _Case) -> list[str]:
    """Send a signal while the real command, in a process of its own, is imported."""
    stop = case.rng.choice(STOPS)
    done = real_run(case.scene.arguments, case.folder, case.rng.uniform(0, STARTS), stop)
    found = case.said(done, _codes(stop)) + judge.left(case.outputs, case.expected, parts=done.code < 0)
    return found + case.resumed()


def _full(case: _Case) -> list[str]:
    """Give the results a disk that has room for a part of them."""
    needed = sum(map(len, case.expected.results.values()))
    room = round(case.rng.uniform(0, 1.2) * needed)
    with disks.disk(case.outputs, f"size={max(room, 4096)}"):
        done = case.begin().end()
        found = case.said(done) + judge.left(case.outputs, case.expected)
        if done.code == 0:
            found += judge.complete(case.folder, case.expected)
        elif "the disk is full" not in done.err:
            found.append("not told that the disk is full")
        assert disks.change(case.outputs, f"size={disks.ENOUGH}")
        return found + case.resumed()


def _read_only(case: _Case) -> list[str]:
    """Give the results a disk that is read-only from the beginning, or becomes so."""
    early = case.rng.random() < 0.2
    with disks.disk(case.outputs, f"size={disks.ENOUGH}" + (",ro" if early else "")):
        run = case.begin()
        codes = {2} if early else {0, 1, 2, 3}
        if not early:
            case.wait()
            until = time.monotonic() + case.expected.seconds
            while not disks.change(case.outputs, "ro") and time.monotonic() < until:
                pass  # it is refused while a file is open for writing
        done = run.end()
        # What has been written there, but not yet moved to its place, cannot be removed from such a disk.
        found = case.said(done, codes) + judge.left(case.outputs, case.expected, parts=True)
        if done.code and "read-only" not in done.err:
            found.append("not told that the disk is read-only")
        assert disks.change(case.outputs, "rw")
        return found + case.resumed()


def _vanishing(case: _Case) -> list[str]:
    """Remove the output directory or move it away, with or without another thing in its place."""
    away, how = case.folder / "away", case.rng.choice(("removed", "moved", "a file", "a link", "another"))
    run = case.begin()
    case.wait()
    with suppress(FileNotFoundError):  # it is not there yet
        if how == "removed":
            shutil.rmtree(case.outputs, ignore_errors=True)
        else:
            case.outputs.rename(away)
    with suppress(FileExistsError):  # the run was faster
        if how == "a file":
            os.close(os.open(case.outputs, os.O_CREAT | os.O_EXCL))
        elif how == "a link":
            (case.folder / "elsewhere").mkdir()
            case.outputs.symlink_to("elsewhere")
        elif how == "another":
            case.outputs.mkdir()
    codes = {0, 1, 2, 3} if how == "a file" else {0, 1, 3}
    found = case.said(run.end(), codes, lasting=False)
    for place in (case.outputs, away):
        if place.is_dir():  # what is unfinished in a directory that has been moved cannot be found any more
            found += judge.left(place, case.expected, parts=place == away, moved=True)
    if case.outputs.is_file():
        case.outputs.unlink()
    return found + case.resumed()


def _changing(case: _Case) -> list[str]:
    """Cut, remove, replace or overwrite inputs before they are read, or meanwhile."""
    names = case.rng.sample(sorted(case.scene.inputs), case.rng.randint(1, 2))
    run = case.begin()
    case.wait()
    for name in names:
        _change(case.folder / INPUTS / name, case.rng, case.scene.inputs)
    besides = [os.path.splitext(name)[0] + "_" for name in names]
    found = case.said(run.end()) + judge.left(case.outputs, case.expected, besides)
    for name in names:
        path = case.folder / INPUTS / name
        if path.is_dir():
            path.rmdir()
        path.unlink(missing_ok=True)
    case.scene.lay(case.folder)
    for path in list(case.outputs.rglob("*_*")):
        if any(str(path.relative_to(case.outputs)).startswith(each) for each in besides):
            path.unlink()
    return found + case.resumed()


def _change(path: Path, rng: Random, others: dict[str, bytes]) -> None:
    other = others[rng.choice(sorted(others))]
    how = rng.choice(("cut", "cut", "cut", "emptied", "removed", "replaced", "overwritten", "a folder"))
    if how in ("cut", "emptied"):
        os.truncate(path, rng.randrange(path.stat().st_size) if how == "cut" else 0)
    elif how == "overwritten":
        path.write_bytes(other)
    elif how == "replaced":
        new = path.with_name("new")
        new.write_bytes(other)
        new.replace(path)
    else:
        path.unlink()
        if how == "a folder":
            path.mkdir()


def _twice(case: _Case) -> list[str]:
    """Let two runs work on the same inputs into one directory, and perhaps stop one of them."""
    runs = [case.begin(*case.rng.choice(((), (SKIP,))), called="first")]
    time.sleep(case.rng.choice((0, 0, 0.1, 0.3, 0.6)) * case.expected.seconds)
    runs.append(case.begin(*case.rng.choice(((), (SKIP,))), called="second"))
    codes = [{0}, {0}]
    if case.rng.random() < 0.5:
        stop, stopped = case.rng.choice(STOPS), case.rng.randrange(2)
        case.wait()
        runs[stopped].send(stop)
        codes[stopped] = _codes(stop)
    done = [run.end() for run in runs]
    found = [each for one, right in zip(done, codes, strict=True) for each in case.said(one, right)]
    found += judge.left(case.outputs, case.expected, parts=any(one.code < 0 for one in done))
    return found + case.resumed()


def _killed(case: _Case) -> list[str]:
    """Kill two runs at once, again and again: what is recorded is whole after each, and in the end all is there."""
    found = []
    for _ in range(KILLS // 2):
        runs = [case.begin(SKIP, called=name) for name in ("first", "second")]
        case.wait()
        for run in runs:
            run.send(signal.SIGKILL)
            time.sleep(case.rng.choice((0, 0.002, 0.02)))
        for run in runs:
            found += case.said(run.end(), _codes(signal.SIGKILL))
        found += judge.left(case.outputs, case.expected, parts=True)
    return found + case.resumed()


KINDS: dict[str, Callable[[_Case], list[str]]] = {
    **dict.fromkeys(COMMANDS, _stopped),
    "start": _starting,
    "full": _full,
    "readonly": _read_only,
    "vanish": _vanishing,
    "inputs": _changing,
    "twice": _twice,
    "killed": _killed,
}
MOUNTED = frozenset({"full", "readonly"})
"""Kinds that need a disk of their own."""
