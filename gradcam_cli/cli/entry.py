"""The process around the command: closed streams, signals, the exit code. Light, so that signals are handled early."""

from __future__ import annotations

import atexit
import contextlib
import gc
import os
import signal
import sys
import threading
import weakref
from typing import TYPE_CHECKING, NoReturn

from gradcam_cli.cli.console import print_interrupted
from gradcam_cli.errors import ExitCode

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from types import FrameType

SIGNALS = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name))
"""Signals that end a run in an orderly way: part files are removed, finished files stay."""


clean_ups: list[Callable[[], None]] = []
"""What removes temporary files, called before an exit from within an import, which nothing else sees."""

_last: weakref.ref[Stopped] | None = None
"""The exception that the last such signal has raised."""
_number = 0
"""The last such signal's number, 0 before one has come."""


class Stopped(BaseException):
    """A signal has requested the end of the process.

    Not a KeyboardInterrupt: after one that has passed through C code, Python ends by a signal, whatever the exit code.

    Attributes:
        code: exit code that shells report for a process ended by that signal: 130 for Ctrl-C.
    """

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.code = 128 + number


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run the command line and end the process with its exit code.

    Args:
        arguments: without the program's name; the process's own when None.
    """
    gc.disable()  # until `collect_from_now`
    fill_closed_streams()
    try:
        _listen()
        from gradcam_cli.cli.main import run  # here, since Ctrl-C may come while it is imported

        code = run(arguments)
        _handle(_pass_over)  # nothing is left to stop
        if _number and code == ExitCode.FAILED:  # a library took the signal's exception for an error of its own
            print_interrupted()
            code = 128 + _number
    except Stopped as stopped:
        _handle(_pass_over)
        print_interrupted()
        code = stopped.code
    _handle(signal.SIG_IGN)  # even when Python has removed its own handlers
    _leave(code)


def _leave(code: int) -> NoReturn:
    """End the process without an orderly shutdown of libraries, which takes time and memory, torch's above all."""
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):  # it is closed, or the disk is full, as reported before
            stream.flush()
    os._exit(code)


def fill_closed_streams() -> None:
    """Replace standard streams that were closed (``>&-``) by the null device.

    Otherwise the next file to be opened gets the stream's number, and a library's messages are written into it.
    """
    for number, (name, mode) in enumerate((("stdin", "r"), ("stdout", "w"), ("stderr", "w"))):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest free number, which is this one
        if getattr(sys, name) is None:
            stream = open(number, mode, encoding="utf-8", errors="backslashreplace", closefd=False)  # noqa: SIM115
            setattr(sys, name, stream)


def _listen() -> None:
    for number in SIGNALS:
        if signal.getsignal(number) != signal.SIG_IGN:  # set by nohup, and by shells for background jobs
            signal.signal(number, _stop)


def _stop(number: int, frame: FrameType | None) -> None:
    """End the run. Later signals are ignored, since they would interrupt the clean-up, unless the first was lost."""
    global _last, _number
    _number = number
    if threading.active_count() == 1 and _imports(frame):
        # No exception leaves an import safely: libraries swallow it, take it for their own error, or abort. With no
        # other thread at work, no file is half-written.
        print_interrupted()
        sys.stderr.flush()
        for clean_up in clean_ups:
            with contextlib.suppress(Exception):
                clean_up()
        os._exit(128 + number)
    if _last is None or _last() is None:
        stopped = Stopped(number)
        _last = weakref.ref(stopped)
        try:
            raise stopped
        finally:
            del stopped  # its traceback refers to this frame, which would keep it alive even when it is lost


def _imports(frame: FrameType | None) -> bool:
    """Whether a module is being imported at a frame or at one of its callers."""
    while frame is not None and frame.f_code.co_filename != "<frozen importlib._bootstrap>":
        frame = frame.f_back
    return frame is not None


def _pass_over(number: int, frame: FrameType | None) -> None:
    """Do nothing. Unlike SIG_IGN, this may be set while a signal is pending without an error from Python."""


def _handle(handler: Callable[[int, FrameType | None], None] | signal.Handlers) -> None:
    for number in SIGNALS:
        signal.signal(number, handler)
