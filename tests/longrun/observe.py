"""What a process takes while it runs: memory, open files and threads, as Linux tells."""

from __future__ import annotations

import os
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

MEMORY_SHARE, MEMORY_BYTES = 0.03, 8 << 20
"""By how much of itself, and by how much beyond that, memory may grow from a run's second quarter to its last."""
MORE_FILES = 1
"""By how many open files, of which those being read and written differ from moment to moment: the fewest tell."""
MORE_THREADS = 1
"""By how many threads, in the median: those that end a clip are there for a moment, which a look may catch or not."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One look at a process.

    Attributes:
        seconds: since it was started.
        memory: resident, in bytes.
        files: open descriptors.
        threads: of the process.
    """

    seconds: float
    memory: int
    files: int
    threads: int


@dataclass(frozen=True, slots=True)
class Observed:
    """What became of a command.

    Attributes:
        code: its exit code.
        seconds: that it took.
        samples: from its first result on.
        results: how many files it has written.
    """

    code: int
    seconds: float
    samples: list[Sample]
    results: int

    def quarter(self, number: int) -> list[Sample]:
        """Return the samples of one quarter, 0 to 3, of the time from the first result to the end."""
        if not self.samples:
            return []
        first, last = self.samples[0].seconds, self.samples[-1].seconds
        length = (last - first) / 4 or 1.0
        return [each for each in self.samples if min(3, int((each.seconds - first) / length)) == number]


def observe(command: Sequence[str], out: Path, every: float) -> Observed:
    """Run a command that writes into ``out`` to its end, and look at it ``every`` so many seconds."""
    samples = []
    began = time.monotonic()
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL) as child:
        while child.poll() is None:
            if samples or (out.is_dir() and any(each.name != ".gradcam" for each in out.iterdir())):
                sample = _look(child.pid, time.monotonic() - began)
                samples += [sample] if sample is not None else []
            time.sleep(every)
    return Observed(child.returncode, time.monotonic() - began, samples, sum(1 for _ in out.glob("[!.]*")))


def _look(pid: int, seconds: float) -> Sample | None:
    """Return a sample, or None when the process is ending."""
    try:
        status = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
        files = len(os.listdir(f"/proc/{pid}/fd"))
        return Sample(seconds, int(status["VmRSS"].split()[0]) << 10, files, int(status["Threads"]))
    except (OSError, KeyError):
        return None


def growth(observed: Observed) -> list[str]:
    """Say what grew from the second quarter of a run to the last; an empty list is what is wanted."""
    if any(not observed.quarter(number) for number in (1, 3)):
        return ["there are too few samples to tell: make the run longer"]
    second, last = observed.quarter(1), observed.quarter(3)
    grown = []
    before, after = (median(each.memory for each in quarter) for quarter in (second, last))
    if after > before * (1 + MEMORY_SHARE) + MEMORY_BYTES:
        grown.append(f"memory grew from {before / 2**20:.0f} to {after / 2**20:.0f} MiB")
    files = [min(each.files for each in quarter) for quarter in (second, last)]
    if files[1] > files[0] + MORE_FILES:
        grown.append(f"open files grew from {files[0]} to {files[1]}")
    threads = [median(each.threads for each in quarter) for quarter in (second, last)]
    if threads[1] > threads[0] + MORE_THREADS:
        grown.append(f"threads grew from {threads[0]:.0f} to {threads[1]:.0f}")
    return grown
