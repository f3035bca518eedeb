"""What records cost: a run with them ÷ the same run without, in turn, and how long a million of them take to read.

The run explains photographs of 0.2 megapixels, three PNGs each, as ``photographs`` does. Seconds of the machine's whole
CPU time are compared, which others on a shared machine disturb least, and wall seconds; medians of the rounds. Reading
is divided by the time in which the same bytes go past line by line.
"""

from __future__ import annotations

import argparse
import resource
import statistics
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from gradcam_cli.records import FileState
from gradcam_cli.store.checking import check
from gradcam_cli.store.reading import Records
from gradcam_cli.store.record import FOLDER, line
from tests.benchmarks.photographs import SMALL, elsewhere, link, make_originals, run, save_checkpoint

if TYPE_CHECKING:
    from collections.abc import Callable

KINDS = ("grayscale", "heatmap", "overlay")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pictures", type=int, default=1000)
    parser.add_argument("--records", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--network", default="squeezenet1_0")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        scratch = Path(name)
        _print_run(scratch, options.network, options.pictures, options.rounds)
        elsewhere(_print_reading, scratch / "many", options.records)


def _print_run(scratch: Path, network: str, count: int, rounds: int) -> None:
    elsewhere(make_originals, scratch / "originals", SMALL)
    link(scratch / "originals", scratch / "in", count)
    names = ["-m", network]
    if network != "tiny":
        elsewhere(save_checkpoint, network, scratch / "weights.pth")
        names += ["-w", str(scratch / "weights.pth")]
    walls: list[float] = []
    cpus: list[float] = []
    for number in range(rounds):
        spent = {
            extra: run(scratch / "in", scratch / f"{number}{bool(extra)}", names, list(extra))
            for extra in ((), ("--no-records",))[:: -1 if number % 2 else 1]
        }
        walls.append(spent[()].wall / spent[("--no-records",)].wall)
        cpus.append(spent[()].cpu / spent[("--no-records",)].cpu)
    print(
        f"{count} photographs, {network}, with records ÷ without: {_shown(walls)} of wall, {_shown(cpus)} of CPU time"
    )
    out = scratch / "0False"
    kept = sum(path.stat().st_size for path in (out / FOLDER).iterdir())
    results = sum(path.stat().st_size for path in out.glob("*.png"))
    found = check(Records(out))
    print(
        f"{kept / count:.0f} bytes a picture of records, {results / count:.0f} of results; problems: {found.problems}"
    )


def _shown(ratios: list[float]) -> str:
    return f"{statistics.median(ratios):.3f} ({min(ratios):.3f} to {max(ratios):.3f})"


def _print_reading(directory: Path, count: int) -> None:
    records = Records(directory)
    path = directory / FOLDER / "20260101T000000.000000000-00000000.jsonl"
    path.parent.mkdir(parents=True)
    with path.open("wb") as file:
        for number in range(count):
            file.write(_line(number))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    past = _seconds(lambda: sum(1 for _ in path.open("rb", 1 << 20)))
    for what, read in (("which hold", records.current), ("what they say of files", records.claims)):
        seconds = _seconds(lambda read=read: sum(1 for _ in read()))  # type: ignore[misc]
        grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) >> 10
        print(f"{count} records, {what}: {seconds:.1f} s, {seconds / past:.1f} × the bytes alone, {grown} MiB more")


def _line(number: int) -> bytes:
    prediction = {"index": 3, "label": "golden retriever", "probability": 0.7719436926366041, "score": 3.784382343292}
    record = {
        "model": "resnet50",
        "layer": "layer4.2",
        "method": "gradcam",
        "target": prediction,
        "predictions": [prediction] * 5,
        "map": {"min": -0.0164101999, "max": 0.14284341, "size": [8, 16], "blank": False, "reason": None},
        "notes": ["x" * 600],
        "map_bytes": {"size": [8, 16], "range": [0, 0.14284341], "data": "x" * 172},
    }
    files = {kind: (f"photo_{number:07}_{kind}.png", FileState(200_000, "ab" * 32, 10**18)) for kind in KINDS}
    return line(
        record, settings_hash="ab" * 16, settings={"model": "resnet50"}, complete=True,
        source=f"../photos/photo_{number:07}.jpg", source_size=40_000, cell=0, files=files,
    )  # fmt: skip


def _seconds(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


if __name__ == "__main__":
    main()
