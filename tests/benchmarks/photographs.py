"""Folders of photographs through the real command: 200 of 12 megapixels and 1000 of 0.2, three PNGs each.

Printed for each folder: pictures a second; cores busy, which is CPU seconds ÷ wall seconds of the whole process, and
without its start-up, which is what a folder of one picture takes; CPU milliseconds a picture, which a machine shared
with others disturbs least; and peak memory for all pictures and for a quarter of them. Peak memory is also divided by
baseline + queues. Baseline is the peak of a process that imports the same, loads the network and explains one batch.
Queues are what the run may hold beyond that, by its own constants, for pictures of P decoded bytes whose results have
F bytes as files, and of which the network sees T bytes:

    decoded pictures   min(pictures, WINDOW × batch) × P, at most MOST_BYTES
    prepared pictures  min(pictures, WINDOW × batch) × T
    readers at work    READERS × 4/3 P: the decoder's own copy has four bytes a pixel
    writers at work    WRITERS × (7/3 P + F): map, overlay, the overlay as the encoder wants it, and the files

Each command is run some rounds, and the best of each figure is taken, of memory the worst.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import resource
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

SAMPLES = Path(__file__).resolve().parents[2] / "sample_images"
DISTINCT = 12
"""Files that lie under all the names."""
LARGE, SMALL = (3000, 4000), (384, 520)
"""Sizes (height, width) of 12 and of 0.2 megapixels; every fourth photograph is upright."""
BATCH_SIZE = 8

# Nothing heavy is imported here: a child's peak memory, as the kernel counts it, begins with its parent's.


@dataclass(frozen=True, slots=True)
class Spent:
    """What a process took: seconds, CPU seconds of user and system, bytes at most."""

    wall: float
    user: float
    system: float
    peak: int

    @property
    def cpu(self) -> float:
        return self.user + self.system


def elsewhere(work: Callable[..., Any], *arguments: object) -> Any:
    """Call a function in a process of its own."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        return pool.submit(work, *arguments).result()


def make_originals(folder: Path, size: tuple[int, int]) -> None:
    """Write a dozen JPEGs of ``size``: the bundled pictures enlarged, with grain that no enlarging brings."""
    import cv2
    import numpy as np

    folder.mkdir()
    sources = [cv2.imread(str(path)) for path in sorted(SAMPLES.glob("*.jpg"))]
    random = np.random.default_rng(0)
    for position in range(DISTINCT):
        height, width = size[::-1] if position % 4 == 3 else size
        pixels = cv2.resize(sources[position % len(sources)], (width, height), interpolation=cv2.INTER_CUBIC)
        grain = cv2.GaussianBlur(random.normal(0, 28, (height, width, 1)).astype(np.float32), (0, 0), 0.8)
        pixels = np.clip(pixels + np.roll(grain, position, 1)[..., None], 0, 255).astype(np.uint8)
        cv2.imwrite(str(folder / f"{position:02}.jpg"), pixels, [cv2.IMWRITE_JPEG_QUALITY, 90])


def save_checkpoint(network: str, path: Path) -> None:
    """Write a network's state dict, as it is initialised."""
    import torch
    import torchvision

    torch.save(torchvision.models.get_model(network, weights=None).state_dict(), path)


def link(originals: Path, folder: Path, count: int) -> None:
    """Put ``count`` names of the originals into a folder."""
    folder.mkdir()
    files = sorted(originals.iterdir())
    for position in range(count):
        os.link(files[position % len(files)], folder / f"{position:04}.jpg")


def run(folder: Path, out: Path, network: list[str], extra: list[str]) -> Spent:
    """Explain a folder with the real command."""
    command = [sys.executable, "-m", "gradcam_cli", "image", str(folder), *network, "-q", "-o", str(out), *extra]
    started = time.perf_counter()
    child = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    _, status, used = os.wait4(child.pid, 0)
    wall = time.perf_counter() - started
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode:
        raise SystemExit(f"{' '.join(command)} ended with exit code {child.returncode}")
    return Spent(wall, used.ru_utime, used.ru_stime, used.ru_maxrss << 10)


def baseline(network: str, weights: Path | None, size: tuple[int, int]) -> tuple[int, int]:
    """Peak memory of a process that loads the network as the command does and explains one batch; a picture's T."""
    import numpy as np

    import gradcam_cli.cli.main
    import gradcam_cli.pipeline.images.run  # noqa: F401
    from gradcam_cli.cli.tuning import hold_memory
    from gradcam_cli.pipeline.session import Session
    from gradcam_cli.pipeline.settings import ModelSettings

    hold_memory()
    session = Session(ModelSettings(model=network, weights=weights))
    height, width = size
    prepared = session.prepare(np.zeros((height // 8, width // 8, 3), np.uint8))  # the same input, no large picture
    session.explain_batch([prepared] * BATCH_SIZE)
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10, prepared.tensor.nbytes


def queues(count: int, decoded: int, seen: int, files: int) -> int:
    """Bytes that a run holds beyond the network and a batch, at most; see the formula above."""
    from gradcam_cli.pipeline.images.run import MAX_BYTES, READERS, WINDOW, WRITERS

    window = min(count, WINDOW * BATCH_SIZE)
    held = min(window * decoded, MAX_BYTES) + window * seen
    return held + READERS * decoded * 4 // 3 + WRITERS * (decoded * 7 // 3 + files)


def best(spent: list[Spent]) -> Spent:
    """Return the shortest run, with the highest peak of all."""
    shortest = min(spent, key=lambda each: each.wall)
    return Spent(shortest.wall, shortest.user, shortest.system, max(each.peak for each in spent))


def measure(label: str, size: tuple[int, int], count: int, scratch: Path, options: argparse.Namespace) -> None:
    """Run a folder, a quarter of it and one picture of it, and print what they took."""
    weights = None if options.network == "tiny" else scratch / "weights.pth"
    network = ["-m", options.network, *([] if weights is None else ["-w", str(weights)])]
    originals = scratch / f"originals-{label}"
    elsewhere(make_originals, originals, size)
    mean = sum(path.stat().st_size for path in originals.iterdir()) / DISTINCT
    print(f"{count} photographs of {size[1]}×{size[0]}, {mean / 1e6:.2f} MB each", flush=True)
    counts = (1, max(2, count // 4), count)
    spent: dict[int, list[Spent]] = {each: [] for each in counts}
    largest = 0
    for each in counts:
        link(originals, scratch / f"{label}-{each}", each)
    for _ in range(options.rounds):
        for each in spent:
            with tempfile.TemporaryDirectory(dir=scratch) as out:
                spent[each].append(run(scratch / f"{label}-{each}", Path(out), network, options.extra))
                sizes: dict[str, int] = {}
                for path in Path(out).iterdir():
                    stem = path.name.partition("_")[0]
                    sizes[stem] = sizes.get(stem, 0) + path.stat().st_size
                largest = max(largest, *sizes.values())
    one, quarter, whole = (best(spent[each]) for each in counts)
    base, seen = elsewhere(baseline, options.network, weights, size)
    allowed = base + elsewhere(queues, count, size[0] * size[1] * 3, seen, largest)
    steady = Spent(whole.wall - one.wall, whole.user - one.user, whole.system - one.system, 0)
    print(f"  pictures a second    {count / whole.wall:6.2f}, without start-up {(count - 1) / steady.wall:.2f}")
    print(f"  cores busy           {whole.cpu / whole.wall:6.2f}, without start-up {steady.cpu / steady.wall:.2f}")
    user, system = (seconds / (count - 1) * 1e3 for seconds in (steady.user, steady.system))
    print(f"  CPU ms a picture     {user:6.1f} user, {system:.1f} system")
    print(f"  start-up             {one.wall:6.2f} s, {one.cpu:.2f} CPU s")
    print(f"  peak memory          {whole.peak >> 20:6d} MiB; of a quarter of them {quarter.peak >> 20} MiB")
    print(
        f"  ÷ baseline + queues  {whole.peak / allowed:6.2f}: {base >> 20} MiB + {(allowed - base) >> 20} MiB",
        flush=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--network", default="squeezenet1_0")
    parser.add_argument(
        "--large", type=int, default=200, metavar="N", help="photographs of 12 megapixels; fewer than 8: none"
    )
    parser.add_argument("--small", type=int, default=1000, metavar="N", help="photographs of 0.2; fewer than 8: none")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("extra", nargs="*", metavar="OPTION", help="for the command, after --")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        scratch = Path(name)
        if options.network != "tiny":
            elsewhere(save_checkpoint, options.network, scratch / "weights.pth")
        for label, size, count in (("large", LARGE, options.large), ("small", SMALL, options.small)):
            if count >= 8:
                measure(label, size, count, scratch, options)


if __name__ == "__main__":
    main()
