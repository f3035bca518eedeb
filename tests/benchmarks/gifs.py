"""Size, likeness and time of overlay GIFs: ours, and those of ffmpeg, gifsicle and gifski where they are installed.

Frames are overlays as `gradcam video --gif` draws them, at most 480 pixels wide, 10 a second, under a map that moves.
Every program gets the same, as PNG files. Likeness is the mean SSIM of luma (Wang et al. 2004; Gaussian, 1.5 pixels).
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import tempfile
import time
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from gradcam_cli.media.gif.read import AnimationReader
from gradcam_cli.media.gif.write import GifWriter
from gradcam_cli.media.video.read import VideoReader
from gradcam_cli.records import fitted
from gradcam_cli.render.colormap import colormap
from gradcam_cli.render.overlay import overlay

Frames = list[np.ndarray]
RATE, WIDTH = 10, 480

FFMPEG = {
    "ffmpeg palettegen, paletteuse": "split[a][b];[a]palettegen[p];[b][p]paletteuse",
    "the same, dither=bayer:bayer_scale=5": "split[a][b];[a]palettegen[p];[b][p]"
    "paletteuse=dither=bayer:bayer_scale=5:diff_mode=rectangle",
}


def overlays(path: Path) -> Frames:
    """Return frames under a map that moves and breathes, drawn as the command draws them."""
    table, found = colormap("jet"), []
    with VideoReader(path, fps=Fraction(RATE)) as reader:
        height, width = fitted(reader.info.size, round(WIDTH * max(1, reader.info.size[0] / reader.info.size[1])))
        y, x = np.mgrid[0:8, 0:8] / 7
        for frame in reader:
            at = float(frame.time)
            small = np.exp(-8 * ((x - 0.5 - 0.2 * np.sin(at)) ** 2 + (y - 0.4 - 0.1 * np.cos(2 * at)) ** 2))
            gray = cv2.resize((255 * small).astype(np.uint8), (width, height), interpolation=cv2.INTER_LINEAR)
            found.append(overlay(frame.rgb((height, width)), gray, table))
    return found


def likeness(one: np.ndarray, other: np.ndarray) -> float:
    """Return the mean SSIM of two pictures' luma."""
    a, b = (cv2.cvtColor(each, cv2.COLOR_RGB2GRAY).astype(np.float32) for each in (one, other))

    def blurred(values: np.ndarray) -> np.ndarray:
        return cv2.GaussianBlur(values, (11, 11), 1.5)

    mean_a, mean_b = blurred(a), blurred(b)
    var_a, var_b, both = blurred(a * a) - mean_a**2, blurred(b * b) - mean_b**2, blurred(a * b) - mean_a * mean_b
    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    top = (2 * mean_a * mean_b + c1) * (2 * both + c2)
    return float((top / ((mean_a**2 + mean_b**2 + c1) * (var_a + var_b + c2))).mean())


def ours(frames: Frames, path: Path) -> None:
    with GifWriter(path, frames[0].shape[:2]) as writer:
        for k, frame in enumerate(frames):
            writer.write(frame, Fraction(k, RATE), Fraction(1, RATE))


def report(label: str, frames: Frames, path: Path, seconds: float) -> None:
    with AnimationReader(path, label) as reader:
        shown = [(frame.time, frame.pixels.copy()) for frame in reader]
    like = []
    for k in range(0, len(frames), 3):
        latest = [pixels for at, pixels in shown if at <= Fraction(k, RATE) + Fraction(1, 1000)][-1]
        like.append(likeness(frames[k], latest))
    print(f"{label:40} {path.stat().st_size / 1e6:6.2f} MB   SSIM {np.mean(like):.3f}   {seconds:5.1f} s", flush=True)


def timed(label: str, frames: Frames, path: Path, *command: str) -> None:
    if shutil.which(command[0]) is None:
        print(f"{label:40} not installed")
        return
    started = time.perf_counter()
    subprocess.run(command, check=True, capture_output=True)
    report(label, frames, path, time.perf_counter() - started)


def measure(source: Path, folder: Path) -> None:
    frames = overlays(source)
    height, width = frames[0].shape[:2]
    print(f"{source.name}: {len(frames)} frames of {width}×{height}")
    for k, frame in enumerate(frames):
        Image.fromarray(frame).save(folder / f"{k:04d}.png", compress_level=1)
    path = folder / "a.gif"
    started = time.perf_counter()
    ours(frames, path)
    report("gradcam", frames, path, time.perf_counter() - started)
    images = ("ffmpeg", "-v", "error", "-y", "-framerate", str(RATE), "-i", str(folder / "%04d.png"))
    for label, filters in FFMPEG.items():
        timed(label, frames, path, *images, "-filter_complex", filters, str(path))
    for lossy in (20, 80):
        ours(frames, path)
        timed(f"gradcam, then gifsicle -O3 --lossy={lossy}", frames, path, "gifsicle", "-w", "-b", "-O3",
              f"--lossy={lossy}", str(path))  # fmt: skip
    pictures = sorted(map(str, folder.glob("*.png")))
    timed("gifski", frames, path, "gifski", "--fps", str(RATE), "--width", str(width), "-o", str(path), *pictures)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("clips", nargs="*", type=Path, default=[Path("sample_images/cat.mp4")])
    for source in parser.parse_args().clips:
        with tempfile.TemporaryDirectory() as folder:
            measure(source, Path(folder))


if __name__ == "__main__":
    main()
