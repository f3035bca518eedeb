"""``python -m tests.longrun``: ten thousand pictures, hundreds of clips and a ten-minute video, watched as they run.

The real command runs as a child process; its memory, open files and threads are looked at all along and must be in the
last quarter of a run what they were in the second. Linux only.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from fractions import Fraction
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

from tests.longrun.observe import Observed, growth, observe
from tests.longrun.sources import make_clips, make_pictures, make_video

if TYPE_CHECKING:
    from collections.abc import Iterator


def main() -> int:
    """Do the runs that are asked for; 1 if any fails or grows."""
    chosen = _arguments()
    failed = 0
    with tempfile.TemporaryDirectory(prefix="gradcam-longrun-") as scratch:
        for name, expected, arguments in _runs(chosen, Path(scratch)):
            out = Path(scratch) / f"{name}-results"
            command = [sys.executable, "-m", "gradcam_cli", *arguments, "--model", "tiny", "--quiet", "-o", str(out)]
            observed = observe(command, out, chosen.every)
            wrong = growth(observed)
            if observed.code or observed.results != expected:
                wrong.append(f"exit code {observed.code}, {observed.results} results of {expected}")
            _tell(name, observed, wrong)
            failed += bool(wrong)
    return 1 if failed else 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.longrun", description=__doc__)
    parser.add_argument("--pictures", type=int, default=10_000, help="how many (default 10000); 0 for none")
    parser.add_argument("--clips", type=int, default=400, help="how many, half a second each (default 400)")
    parser.add_argument("--seconds", type=int, default=600, help="of the long video (default 600)")
    parser.add_argument("--every", type=float, default=0.25, help="seconds between two looks (default 0.25)")
    return parser.parse_args()


def _runs(chosen: argparse.Namespace, scratch: Path) -> Iterator[tuple[str, int, list[str]]]:
    """Make the inputs of one run after another; yield its name, the number of results and the arguments."""
    if chosen.pictures:
        make_pictures(scratch / "pictures", chosen.pictures)
        yield (
            "pictures",
            4 * chosen.pictures,
            ["image", str(scratch / "pictures"), "--save", "grayscale,heatmap,overlay,json"],
        )
    if chosen.clips:
        make_clips(scratch / "clips", chosen.clips)
        yield "clips", 3 * chosen.clips, ["video", str(scratch / "clips")]
    if chosen.seconds:
        make_video(scratch / "long.mp4", Fraction(chosen.seconds))
        yield "video", 4, ["video", str(scratch / "long.mp4"), "--gif"]


def _tell(name: str, observed: Observed, wrong: list[str]) -> None:
    print(f"{name}: {observed.results} results in {observed.seconds:.0f} s", flush=True)
    for number in range(4):
        if samples := observed.quarter(number):
            memory, files, threads = (
                [getattr(each, what) for each in samples] for what in ("memory", "files", "threads")
            )
            print(
                f"  quarter {number + 1}: {median(memory) / 2**20:5.0f} MiB (most {max(memory) / 2**20:.0f})"
                f"  {median(files):3.0f} open files (most {max(files)})  {max(threads):2} threads"
            )
    for each in wrong:
        print(f"  FAILED: {each}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
