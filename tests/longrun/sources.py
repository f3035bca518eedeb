"""Inputs for a long run: many names for a few small pictures or clips, and one long video."""

from __future__ import annotations

import os
from fractions import Fraction
from typing import TYPE_CHECKING

import av
import numpy as np
from PIL import Image

if TYPE_CHECKING:
    from pathlib import Path

    import numpy.typing as npt

RATE = 10
"""Frames a second of every clip."""
SOUND_RATE = 16_000


def make_pictures(folder: Path, count: int) -> None:
    """Put ``count`` pictures into a folder: four files of three formats and shapes, each under many names."""
    folder.mkdir()
    shapes = (((72, 96), "jpg"), ((96, 72), "png"), ((64, 64), "webp"), ((90, 120), "jpg"))
    originals = []
    for seed, (size, suffix) in enumerate(shapes):
        path = folder.parent / f"picture{seed}.{suffix}"
        Image.fromarray(_scene(size, seed * 7)).save(path)
        originals.append(path)
    _link(originals, folder, count)


def make_clips(folder: Path, count: int) -> None:
    """Put ``count`` videos of half a second into a folder: two files, with sound and without, under many names."""
    folder.mkdir()
    originals = [folder.parent / f"clip{seed}.mp4" for seed in range(2)]
    for seed, path in enumerate(originals):
        make_video(path, Fraction(1, 2), (48, 64), sound=bool(seed))
    _link(originals, folder, count)


def _link(originals: list[Path], folder: Path, count: int) -> None:
    for position in range(count):
        original = originals[position % len(originals)]
        os.link(original, folder / f"{position:06}{original.suffix}")


def make_video(path: Path, seconds: Fraction, size: tuple[int, int] = (96, 128), *, sound: bool = True) -> None:
    """Write an H.264 video of so many seconds, ``size`` (height, width), in which something moves, with a tone."""
    with av.open(str(path), "w") as output:
        height, width = size
        stream = output.add_stream("libx264", rate=RATE, width=width, height=height, options={"preset": "ultrafast"})
        stream.pix_fmt = "yuv420p"
        tone = output.add_stream("aac", rate=SOUND_RATE, layout="mono") if sound else None
        wave = np.sin(np.arange(SOUND_RATE // RATE) * (2 * np.pi * 440 / SOUND_RATE)).astype(np.float32)[None] / 4
        for position in range(int(seconds * RATE)):
            output.mux(stream.encode(av.VideoFrame.from_ndarray(_scene(size, position), "rgb24")))
            if tone is not None:
                part = av.AudioFrame.from_ndarray(wave, "fltp", "mono")
                part.sample_rate, part.pts = SOUND_RATE, position * wave.shape[1]
                output.mux(tone.encode(part))
        for each in (stream, tone):
            if each is not None:
                output.mux(each.encode(None))


def _scene(size: tuple[int, int], moment: int) -> npt.NDArray[np.uint8]:
    """Return a bright square that wanders over waves, uint8 RGB (H, W, 3)."""
    height, width = size
    rows, columns = np.mgrid[0:height, 0:width]
    waves = [127 + 90 * np.sin(rows / a + columns / b + moment / 9) for a, b in ((5, 9), (11, 4), (3, 17))]
    pixels = np.stack(waves, axis=2).astype(np.uint8)
    top, left = moment * 3 % (height - 16), moment * 5 % (width - 16)
    pixels[top : top + 16, left : left + 16] = (250, 220, 30)
    return pixels
