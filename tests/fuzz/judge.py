"""Runs a case as a user would, and says what is wrong with what came of it."""

from __future__ import annotations

import contextlib
import faulthandler
import os
import resource
import signal
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from gradcam_cli.cli.main import run
from gradcam_cli.models.checkpoints.input_record import SUFFIX
from tests.fuzz.samples import MARKER
from tests.promises import told_json, told_paths, told_wrong, unreadable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.fuzz.cases import Case

SECONDS = 30
"""For one case; one that hangs in a library, where no signal is heard, ends the process after twice as long."""
MEBIBYTES = 2048
"""By which a case may raise the most memory that the process has held."""

_LISTS = {"layers", "models", "methods"}


class _TooLongError(BaseException):
    """The case's time is up."""


def problems(case: Case, folder: Path) -> list[str]:
    """Run a case in an empty folder and return what is wrong: nothing, for most."""
    for name, content in case.files.items():
        path = folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content)
    before = _peak()
    with _at(folder), _limited(), _streams(case.stdin) as streams:
        try:
            code = run(case.arguments)
        except _TooLongError:
            return [f"not over after {SECONDS} s"]
        except BaseException as error:
            return [f"raised {type(error).__name__}: {error}"]
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
    out, err = streams
    grown = _peak() - before
    found = [f"took {grown} MiB"] if grown > MEBIBYTES else []
    return found + told_wrong(code, err) + _left_wrong(case, code, out, folder)


def _left_wrong(case: Case, code: int, out: bytes, folder: Path) -> list[str]:
    """Return what is wrong with the files that are there, and with what stdout says of them."""
    left = {path for path in folder.rglob("*") if not path.is_dir() and path.parent.name != ".gradcam"}
    left = {path for path in left if "__pycache__" not in path.parts}
    given = {folder / name: content for name, content in case.files.items()}
    found = [f"left {path.name}" for path in left if path.name.endswith(".part") or path.name == MARKER]
    found += [f"changed {path.name}" for path, content in given.items() if path.read_bytes() != content]
    if code == 2 and out:
        found.append("a usage error, but something on stdout")
    if case.arguments[0] in _LISTS:
        wanted = SUFFIX if "--write-config" in case.arguments else MARKER
        return found + [f"left {path}" for path in left - set(given) if not path.name.endswith(wanted)]
    made = left - set(given)
    text = out.decode("utf-8", "surrogateescape")
    told, wrong = told_json(text) if "--json" in case.arguments else told_paths(text, made, folder)
    found += wrong
    if code in {0, 3} and not told and "--skip-existing" not in case.arguments:
        found.append(f"exit code {code} without a result")
    if "--keep-partial" not in case.arguments:
        found += [f"written but not told: {path}" for path in made - {folder / name for name in told}]
    found += [f"told but not there: {name}" for name in told if folder / name not in left]
    return found + [f"{path.name} cannot be read: {why}" for path in made if (why := unreadable(path))]


def _peak() -> int:
    """Return the most memory that the process has held, in MiB."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak >> (20 if sys.platform == "darwin" else 10)


@contextlib.contextmanager
def _at(folder: Path) -> Iterator[None]:
    before = Path.cwd()
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)


@contextlib.contextmanager
def _limited() -> Iterator[None]:
    def stop(number: int, frame: object) -> None:
        raise _TooLongError

    usual = signal.signal(signal.SIGALRM, stop)
    signal.alarm(SECONDS)
    stderr = os.dup(2)
    faulthandler.dump_traceback_later(2 * SECONDS, exit=True, file=stderr)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, usual)
        faulthandler.cancel_dump_traceback_later()
        os.close(stderr)


@contextlib.contextmanager
def _streams(stdin: bytes) -> Iterator[list]:
    """Put files in the place of the standard streams, for C libraries too; [stdout, stderr] are there at the end."""
    found: list = []
    with contextlib.ExitStack() as stack:
        files = [stack.enter_context(tempfile.TemporaryFile()) for _ in range(3)]
        files[0].write(stdin)
        files[0].seek(0)
        kept = [os.dup(number) for number in range(3)]
        own = sys.stdin, sys.stdout, sys.stderr
        for number, file in enumerate(files):
            os.dup2(file.fileno(), number)
        sys.stdin, sys.stdout, sys.stderr = (
            open(number, mode, encoding="utf-8", errors="backslashreplace", closefd=False)  # noqa: SIM115
            for number, mode in enumerate("rww")
        )
        try:
            yield found
        finally:
            sys.stdin, sys.stdout, sys.stderr = own
            for number, before in enumerate(kept):
                os.dup2(before, number)
                os.close(before)
            for file in files[1:]:
                file.seek(0)
            found += [files[1].read(), files[2].read().decode("utf-8", "backslashreplace")]
