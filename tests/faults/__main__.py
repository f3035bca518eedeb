"""``python -m tests.faults``: runs that are stopped, disks that fill up, inputs that change; nothing is to be lost.

What befalls a run, and when, is drawn from the seed; moments are fractions of an undisturbed run's time, so that a case
that is run again is disturbed at about the same place, not at the very same.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from tests import module_environment
from tests.faults.disks import may_mount
from tests.faults.runs import Server

if TYPE_CHECKING:
    from tests.faults.cases import Bench

_INSIDE = "GRADCAM_TEST_FAULTS_INSIDE"
"""Set where mounts are seen by this process and its children alone."""


def main() -> int:
    """Run the cases that are asked for; 1 if any fails."""
    if _INSIDE not in os.environ and (alone := _alone()):
        command = [*alone, sys.executable, "-m", "tests.faults", *sys.argv[1:]]
        os.execvpe(command[0], command, {**module_environment(), _INSIDE: "1"})
    with tempfile.TemporaryDirectory() as folder, Server() as server:
        from tests.faults.cases import KINDS, MOUNTED, Bench  # imports torch, while the server does the same

        chosen = _arguments(tuple(KINDS))
        kinds = chosen.kind or list(KINDS)
        mounts = _INSIDE in os.environ and may_mount()
        failed = 0
        bench = Bench(server, Path(folder).resolve())
        for position, kind in enumerate(kinds):
            if kind in MOUNTED and not mounts:
                print(f"{kind}: skipped, a disk of our own cannot be mounted here", flush=True)
                continue
            count = chosen.cases // len(kinds) + (position < chosen.cases % len(kinds))
            failed += _run(bench, kind, chosen.seed, range(chosen.first, chosen.first + count))
    return 1 if failed else 0


def _run(bench: Bench, kind: str, seed: int, numbers: range) -> int:
    """Run cases of one kind, say which fail, and return how many."""
    started = time.monotonic()
    failed = 0
    for number in numbers:
        found = bench.problems(kind, seed, number)
        if found:
            failed += 1
            called = f"--kind {kind} --seed {seed} --first {number} --cases 1"
            print(f"{called}: {'; '.join(found)}".encode("unicode_escape").decode(), flush=True)
    print(f"{kind}: {len(numbers)} cases in {time.monotonic() - started:.0f} s, {failed} failed", flush=True)
    return failed


def _alone() -> list[str]:
    """Return how to run a command where it may mount disks that nobody else sees; empty where that is impossible."""
    for command in (["unshare", "--mount"], ["unshare", "--mount", "--map-root-user"]):
        if (
            shutil.which(command[0])
            and subprocess.run([*command, "true"], check=False, capture_output=True).returncode == 0
        ):
            return command
    return []


def _arguments(kinds: tuple[str, ...]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument("--cases", type=int, default=450, help="in all, shared among the kinds (default 450)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--first", type=int, default=0, help="number of the first case, to run one again")
    parser.add_argument("--kind", action="append", choices=kinds)
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
