"""Runs the command again and again without importing torch each time: a process that forks itself for each run.

It reads requests from stdin, a line of JSON each, and answers each with a number:

* an object with ``arguments``, ``folder``, ``out`` and ``err`` starts a run; the answer is its process id, given when
  it hears signals;
* a process id waits for that run; the answer is its exit code, or minus the signal that ended it.

Nothing but imports happens before the fork, so that a run has the threads and the memory of the real command.
"""

from __future__ import annotations

import gc
import json
import os
import signal
import sys
from importlib import import_module
from typing import Any

from gradcam_cli.cli import entry

MODULES = ("commands.image", "commands.clips", "runner", "main")
LATE = ("session", "explanation", "recording", "images.run", "images.sweep", "clips.run")
"""What the commands import when they know that they need it."""


def main() -> None:
    """Answer requests until there are no more. In a run's process this is the command itself, exit included."""
    for name in MODULES:
        import_module(f"gradcam_cli.cli.{name}")
    for name in LATE:
        import_module(f"gradcam_cli.pipeline.{name}")
    gc.freeze()  # so that a run's collections do not copy all of these pages
    while line := sys.stdin.readline():
        request = json.loads(line)
        if isinstance(request, int):
            answer = os.waitstatus_to_exitcode(os.waitpid(request, 0)[1])
        else:
            answer = _start(request)
        print(answer, flush=True)


def _start(request: dict[str, Any]) -> int:
    """Fork; return the child's number when it listens to signals. In the child this ends with the process."""
    ready, tell = os.pipe()
    child = os.fork()
    if child:
        os.close(tell)
        os.read(ready, 1)  # ends, too, when the child does
        os.close(ready)
        return child
    os.close(ready)
    signal.signal(signal.SIGINT, signal.default_int_handler)  # which shells switch off for what runs in the background
    os.chdir(request["folder"])
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC
    for number, file in ((0, os.open(os.devnull, os.O_RDONLY)), (1, os.open(request["out"], flags)),
                         (2, os.open(request["err"], flags))):  # fmt: skip
        os.dup2(file, number)
        os.close(file)
    find_metadata = entry._listen

    def listen_and_tell() -> None:
        find_metadata()
        os.close(tell)

    entry._listen = listen_and_tell
    entry.main(request["arguments"])
    raise AssertionError("the command ends its process")


if __name__ == "__main__":
    main()
