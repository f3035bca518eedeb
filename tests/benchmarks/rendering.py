"""From a map to files at 12 megapixels, stage by stage, on one thread, against the peer's overlay."""

from __future__ import annotations

import statistics
import time
from typing import TYPE_CHECKING

import cv2
import numpy as np

from gradcam_cli.media.image.encode import encode
from gradcam_cli.records import Geometry
from gradcam_cli.render.colormap import colormap
from gradcam_cli.render.overlay import overlay
from gradcam_cli.render.saliency import SaliencyMap

if TYPE_CHECKING:
    from collections.abc import Callable

SIZE = (3000, 4000)


def milliseconds(call: Callable[[], object], rounds: int = 5) -> float:
    values = []
    for _ in range(rounds + 1):
        started = time.perf_counter()
        call()
        values.append((time.perf_counter() - started) * 1e3)
    return statistics.median(values[1:])


def main() -> None:
    cv2.setNumThreads(1)
    random = np.random.default_rng(0)
    small = random.integers(0, 255, (60, 80, 3), np.uint8)
    pixels = cv2.resize(small, SIZE[::-1], interpolation=cv2.INTER_CUBIC)
    values = random.random((13, 17)).astype(np.float32)
    geometry = Geometry("whole", SIZE, (256, 352), (0, 0), (256, 352))
    gray, table = SaliencyMap(values, geometry).bytes(), colormap("jet")
    blended = overlay(pixels, gray, table)
    timed: dict[str, Callable[[], object]] = {
        "map → grayscale": lambda: SaliencyMap(values, geometry).bytes(),
        "map → float32 array": lambda: SaliencyMap(values, geometry).array(),
        "overlay": lambda: overlay(pixels, gray, table),
        "overlay, alpha by intensity": lambda: overlay(pixels, gray, table, by_intensity=True),
        "grayscale PNG": lambda: encode(gray, "png"),
        "heatmap PNG": lambda: encode(gray, "png", table),
        "overlay PNG": lambda: encode(blended, "png"),
        "overlay JPEG": lambda: encode(blended, "jpg"),
    }
    try:
        from pytorch_grad_cam.utils.image import show_cam_on_image

        resized = SaliencyMap(values, geometry).array()
        timed["pytorch-grad-cam's overlay"] = lambda: show_cam_on_image(pixels / 255.0, resized, use_rgb=True)
    except ImportError:
        pass
    for label, call in timed.items():
        print(f"{label:30s} {milliseconds(call):8.1f} ms")


if __name__ == "__main__":
    main()
