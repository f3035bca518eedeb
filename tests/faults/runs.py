"""Runs of the command as the cases need them: begun, disturbed while they work, ended."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from typing_extensions import Self

SECONDS = 120
"""After which a run that does not end is killed; it then counts as hanging."""
HANGS = -1000
"""Its exit code."""


@dataclass
class Done:
    """How a run ended: its exit code (minus the signal that ended it), what it said, and after how many seconds."""

    code: int
    out: str
    err: str
    seconds: float


ROOT = Path(__file__).resolve().parents[2]


def environment() -> dict[str, str]:
    """Return this process's own, without settings of the command, with this package; one thread is enough for tiny."""
    own = {name: value for name, value in os.environ.items() if not name.startswith("GRADCAM_")}
    return {**own, "OMP_NUM_THREADS": "1"}


class Server:
    """The process of ``server.py``; a context manager."""

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.faults.server"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            env=environment() | {"PYTHONSAFEPATH": ""}, cwd=ROOT,
        )  # fmt: skip
        return self

    def __exit__(self, *error: object) -> None:
        with self._process:
            pass  # its stdin is closed, and it ends

    def ask(self, request: object) -> int:
        """Send a request and return the answer."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        return int(self._process.stdout.readline())

    def begin(self, arguments: Sequence[str], folder: Path, called: str = "run") -> Run:
        """Begin a run in ``folder``, with files beside it for what it says."""
        out, err = (folder.parent / f"{called}.{name}" for name in ("out", "err"))
        request = {"arguments": list(arguments), "folder": str(folder), "out": str(out), "err": str(err)}
        return Run(self, self.ask(request), out, err)

    def done(self, arguments: Sequence[str], folder: Path) -> Done:
        """Run to the end."""
        return self.begin(arguments, folder).end()


class Run:
    """A run that has begun and hears signals."""

    def __init__(self, server: Server, number: int, out: Path, err: Path) -> None:
        self._server, self._number, self._out, self._err = server, number, out, err
        self._began = time.monotonic()

    def send(self, number: signal.Signals) -> None:
        """Send a signal; also to one that has ended, which is not gone before `end`."""
        os.kill(self._number, number)

    def end(self) -> Done:
        """Wait for the end of it."""
        hangs = threading.Event()

        def kill() -> None:
            hangs.set()
            self.send(signal.SIGKILL)

        timer = threading.Timer(SECONDS, kill)
        timer.start()
        code = self._server.ask(self._number)
        timer.cancel()
        seconds = time.monotonic() - self._began
        texts = (path.read_bytes().decode("utf-8", "surrogateescape") for path in (self._out, self._err))
        return Done(HANGS if hangs.is_set() else code, *texts, seconds)


def real_run(arguments: Sequence[str], folder: Path, wait: float, stop: signal.Signals) -> Done:
    """Run the command as a process of its own, and stop it ``wait`` seconds after it hears signals."""
    from tests.conftest import heed_interrupts  # here, since it imports torch

    with subprocess.Popen(
        [sys.executable, "-m", "gradcam_cli", *arguments], cwd=folder, env=environment(), text=True,
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, preexec_fn=heed_interrupts,
    ) as process:  # fmt: skip
        began = time.monotonic()
        while process.poll() is None and not _hears(process.pid):
            time.sleep(0.001)
        time.sleep(wait)
        process.send_signal(stop)
        out, err = process.communicate(timeout=SECONDS)
    return Done(process.returncode, out, err, time.monotonic() - began)


def _hears(number: int) -> bool:
    """Whether a process catches SIGTERM, which Python itself does not; where that cannot be told, after a while."""
    try:
        lines = Path(f"/proc/{number}/status").read_text().splitlines()
    except OSError:
        time.sleep(0.3)
        return True
    caught = next(int(line.split()[1], 16) for line in lines if line.startswith("SigCgt"))
    return bool(caught >> (signal.SIGTERM - 1) & 1)
