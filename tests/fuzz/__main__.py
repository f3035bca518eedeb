"""``python -m tests.fuzz``: some thousands of damaged files and odd options; zero crashes is what is wanted.

Cases run in child processes, a batch each, so that a crash within a C library is noticed and told with its case.
"""

from __future__ import annotations

import argparse
import os
import shlex
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from tests import module_environment

BATCH = 200


def main() -> int:
    """Run the cases that are asked for; 1 if any fails."""
    chosen = _arguments()
    if chosen.batch:
        return _run_batch(chosen.kind[0], chosen.seed, *map(int, chosen.batch.split("-")), chosen.keep)
    failures: Counter[str] = Counter()
    kinds = chosen.kind or ["pictures", "gifs", "videos", "weights", "labels", "options"]
    for kind in kinds:
        started = time.perf_counter()
        first = chosen.first
        end = first + chosen.cases // len(kinds) + (kinds.index(kind) < chosen.cases % len(kinds))
        count = end - first
        while first < end:
            first, failed = _in_a_child(kind, chosen.seed, first, min(end, first + BATCH), chosen.keep)
            failures[kind] += failed
        print(f"{kind}: {count} cases in {time.perf_counter() - started:.0f} s, {failures[kind]} failed", flush=True)
    return 1 if failures.total() else 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--cases", type=int, default=3000, help="in all, shared among the kinds (default 3000)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--first", type=int, default=0, help="number of the first case, to run one again")
    parser.add_argument(
        "--kind", action="append", choices=("pictures", "gifs", "videos", "weights", "labels", "options")
    )
    parser.add_argument("--keep", type=Path, default=Path("fuzz_failures"), help="where files of failures are kept")
    parser.add_argument("--batch", help=argparse.SUPPRESS)
    return parser.parse_args()


def _in_a_child(kind: str, seed: int, first: int, end: int, keep: Path) -> tuple[int, int]:
    """Run cases in a process of their own; return the number to go on with, and how many failed."""
    command = [sys.executable, "-m", "tests.fuzz", "--kind", kind, "--seed", str(seed), "--keep", str(keep)]
    command += ["--batch", f"{first}-{end}"]
    with subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True, env=module_environment()
    ) as child:
        assert child.stdout is not None
        at, failed = first, 0
        for line in child.stdout:
            if line.startswith("at "):
                at = int(line.split()[1])
            else:
                failed += 1
                print(line, end="", flush=True)
    if child.returncode == 0:
        return end, failed
    print(f"{_called(kind, seed, at)}: the process ended with {child.returncode}", flush=True)
    _keep(kind, seed, at, keep)
    return at + 1, failed + 1


def _called(kind: str, seed: int, number: int) -> str:
    return f"--kind {kind} --seed {seed} --first {number} --cases 1"


def _run_batch(kind: str, seed: int, first: int, end: int, keep: Path) -> int:
    """Run cases in this process, saying on stdout which one is run and what is wrong with it."""
    import torch

    from tests.fuzz.cases import make_case
    from tests.fuzz.judge import problems

    torch.set_num_threads(1)
    for name in [name for name in os.environ if name.startswith("GRADCAM_")]:
        del os.environ[name]
    for number in range(first, end):
        print(f"at {number}", flush=True)
        case = make_case(kind, seed, number)
        with tempfile.TemporaryDirectory() as folder:
            found = problems(case, Path(folder).resolve())
        if found:
            shown = shlex.join(case.arguments).encode("unicode_escape").decode()
            text = "; ".join(found).encode("unicode_escape").decode()
            print(f"{_called(kind, seed, number)}: {text}  [gradcam {shown}]", flush=True)
            _keep(kind, seed, number, keep)
    return 0


def _keep(kind: str, seed: int, number: int, folder: Path) -> None:
    """Write a case's files where they can be looked at."""
    from tests.fuzz.cases import make_case

    place = folder / f"{kind}-{seed}-{number}"
    for name, content in make_case(kind, seed, number).files.items():
        path = place / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


if __name__ == "__main__":
    sys.exit(main())
