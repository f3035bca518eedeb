"""Cold starts as whole processes: ``--help``, and one picture with the bundled network against ``import torch``."""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

CAT = Path(__file__).resolve().parents[2] / "sample_images" / "cat.jpg"


def seconds(*arguments: str) -> float:
    started = time.perf_counter()
    subprocess.run([sys.executable, *arguments], check=True, capture_output=True)
    return time.perf_counter() - started


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        timed = {
            "python -c pass": ("-c", "pass"),
            "gradcam --help": ("-m", "gradcam_cli", "--help"),
            "import torch": ("-c", "import torch"),
            "gradcam image cat.jpg -m tiny": ("-m", "gradcam_cli", "image", str(CAT), "-m", "tiny", "-o", scratch),
        }
        found: dict[str, list[float]] = {label: [] for label in timed}
        for turn in range(options.rounds + 1):
            for label, arguments in timed.items():
                value = seconds(*arguments)
                if turn:
                    found[label].append(value)
    medians = {label: statistics.median(values) for label, values in found.items()}
    for label, value in medians.items():
        print(f"{label:32s} {value:6.3f} s")
    print(f"one picture over import torch: {medians['gradcam image cat.jpg -m tiny'] - medians['import torch']:.3f} s")


if __name__ == "__main__":
    main()
