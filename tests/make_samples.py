"""Makes ``sample_images/cat.mp4`` and ``cat.gif`` from the bundled photograph: a slow move towards the cat's face.

    python tests/make_samples.py

The video is 320 pixels wide and lasts three seconds; the GIF is its first half, smaller and at a lower rate.
"""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np

from gradcam_cli.media.gif.write import GifWriter
from gradcam_cli.media.image.read import read_picture
from gradcam_cli.media.video.write import VideoWriter

if TYPE_CHECKING:
    from collections.abc import Iterator

SAMPLES = Path(__file__).resolve().parents[1] / "sample_images"
SIZE = (212, 320)
GIF_SIZE = (159, 240)
RATE = 24
FRAMES = 72


def frames() -> Iterator[np.ndarray]:
    """Yield uint8 RGB frames of ``SIZE``: the window over the photograph shrinks and moves to the nose."""
    photograph = read_picture(SAMPLES / "cat.jpg", "cat.jpg").pixels
    height, width = photograph.shape[:2]
    for position in range(FRAMES):
        eased = 0.5 - 0.5 * np.cos(np.pi * position / (FRAMES - 1))
        scale = (1 - 0.45 * eased) * min(width / SIZE[1], height / SIZE[0])
        centre = np.array([width / 2, height / 2]) * (1 - eased) + np.array([250.0, 175.0]) * eased
        left, top = centre - scale * np.array(SIZE[::-1]) / 2
        matrix = np.array([[scale, 0, left], [0, scale, top]])
        flags = cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP
        yield cv2.warpAffine(photograph, matrix, SIZE[::-1], flags=flags, borderMode=cv2.BORDER_REPLICATE)


def main() -> None:
    tick = Fraction(1, RATE)
    with VideoWriter(SAMPLES / "cat.mp4", SIZE, tick=tick, rate=Fraction(RATE), quality=70) as writer:
        for position, pixels in enumerate(frames()):
            writer.write_rgb(pixels, position * tick, tick)
    with GifWriter(SAMPLES / "cat.gif", GIF_SIZE) as gif:
        for position, pixels in enumerate(frames()):
            if position % 3 == 0 and position < FRAMES // 2:
                small = cv2.resize(pixels, GIF_SIZE[::-1], interpolation=cv2.INTER_AREA)
                gif.write(small, position * tick, 3 * tick)


if __name__ == "__main__":
    main()
