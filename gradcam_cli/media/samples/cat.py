"""The packaged photograph of a cat (CC0, see ``sample_images/README.md``), and a slow move towards the cat's face.

The video is 320 pixels wide and lasts three seconds; the GIF is its first half, smaller and at a lower rate.
"""

from __future__ import annotations

from fractions import Fraction
from importlib.resources import files
from typing import TYPE_CHECKING

import cv2
import numpy as np

from gradcam_cli.media.gif.write import GifWriter
from gradcam_cli.media.image.read import read_picture, resized
from gradcam_cli.media.video.write import VideoWriter

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import numpy.typing as npt

SIZE = (212, 320)
GIF_SIZE = (159, 240)
RATE = 24
FRAMES = 72


def photograph() -> bytes:
    """Return the photograph, a JPEG of 451×300 pixels."""
    return files(__package__).joinpath("cat.jpg").read_bytes()


def frames() -> Iterator[npt.NDArray[np.uint8]]:
    """Yield uint8 RGB frames of ``SIZE``: the window over the photograph shrinks and moves to the nose."""
    whole = read_picture(photograph(), "cat.jpg").pixels
    height, width = whole.shape[:2]
    for position in range(FRAMES):
        eased = 0.5 - 0.5 * np.cos(np.pi * position / (FRAMES - 1))
        scale = (1 - 0.45 * eased) * min(width / SIZE[1], height / SIZE[0])
        centre = np.array([width / 2, height / 2]) * (1 - eased) + np.array([250.0, 175.0]) * eased
        left, top = centre - scale * np.array(SIZE[::-1]) / 2
        matrix = np.array([[scale, 0, left], [0, scale, top]])
        flags = cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP
        moved = cv2.warpAffine(whole, matrix, SIZE[::-1], flags=flags, borderMode=cv2.BORDER_REPLICATE)
        yield np.asarray(moved, np.uint8)


def write_video(path: Path) -> None:
    """Write the video as MP4.

    Raises:
        OutputError: it cannot be written.
    """
    tick = Fraction(1, RATE)
    with VideoWriter(path, SIZE, tick=tick, rate=Fraction(RATE), quality=70) as writer:
        for position, pixels in enumerate(frames()):
            writer.write_rgb(pixels, position * tick, tick)


def write_animation(path: Path) -> None:
    """Write the GIF.

    Raises:
        OutputError: it cannot be written.
    """
    tick = Fraction(1, RATE)
    with GifWriter(path, GIF_SIZE) as gif:
        for position, pixels in enumerate(frames()):
            if position % 3 == 0 and position < FRAMES // 2:
                gif.write(resized(pixels, GIF_SIZE), position * tick, 3 * tick)
