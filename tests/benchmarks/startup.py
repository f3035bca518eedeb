"""Cold starts as whole processes, against ``import torch``: ``--help``, and one picture.

With the bundled network, and with resnet50 and a checkpoint of 100 MB on the disk.
"""

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
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        weights = f"{scratch}/resnet50.pth"
        saved = "import sys, torch, torchvision; torch.save(torchvision.models.resnet50().state_dict(), sys.argv[1])"
        seconds("-c", saved, weights)
        image = ("-m", "gradcam_cli", "image", str(CAT), "-o", scratch)
        timed = {
            "python -c pass": ("-c", "pass"),
            "gradcam --help": ("-m", "gradcam_cli", "--help"),
            "import torch": ("-c", "import torch"),
            "import torch, torchvision": ("-c", "import torch, torchvision"),
            "gradcam image, tiny": (*image, "-m", "tiny"),
            "gradcam image, resnet50 by file": (*image, "-m", "resnet50", "-w", weights),
        }
        found: dict[str, list[float]] = {label: [] for label in timed}
        for turn in range(options.rounds + 1):
            for label, arguments in timed.items():
                value = seconds(*arguments)
                if turn:
                    found[label].append(value)
    medians = {label: statistics.median(values) for label, values in found.items()}
    for label, value in medians.items():
        over = f"   {value - medians['import torch']:+.3f} s over import torch" if "image" in label else ""
        print(f"{label:32s} {value:6.3f} s{over}")


if __name__ == "__main__":
    main()
