"""Upright frames: every display matrix, and the crop that a container states."""

from __future__ import annotations

import io
import shutil
import subprocess
from typing import TYPE_CHECKING

import av
import numpy as np
import pytest

from gradcam_cli.media.video.read import VideoReader
from tests.media.clips import Clip, make
from tests.media.containers import set_aperture, set_crop, set_matrix

if TYPE_CHECKING:
    from pathlib import Path

SIZE = (48, 64)
CORNERS = np.array([[[255, 0, 0], [0, 255, 0]], [[0, 0, 255], [255, 255, 255]]])
"""Colours of the quarters of the coded frame."""

MATRICES = {
    (1, 0, 0, 1): "",
    (-1, 0, 0, 1): "mirrored",
    (1, 0, 0, -1): "flipped top to bottom",
    (-1, 0, 0, -1): "180°",
    (0, 1, -1, 0): "90° clockwise",
    (0, -1, 1, 0): "90° counterclockwise",
    (0, 1, 1, 0): "mirrored",
    (0, -1, -1, 0): "mirrored",
    (0.98, 0.17, -0.17, 0.98): "",  # 10 degrees
    (-2, 0, 0, 2): "mirrored",
}


def quarters() -> av.VideoFrame:
    pixels = CORNERS.repeat(SIZE[0] // 2, 0).repeat(SIZE[1] // 2, 1).astype(np.uint8)
    return av.VideoFrame.from_ndarray(pixels, "rgb24").reformat(
        format="yuv444p", dst_colorspace="ITU709", dst_color_range="MPEG"
    )


def clip_of(path: Path, frame: av.VideoFrame) -> Path:
    frame.colorspace = 1
    return make(path, Clip(frames=[frame] * 12, form=frame.format.name, options={"crf": "4"}))


def colours(pixels: np.ndarray) -> np.ndarray:
    """Return the colours in the middle of the quarters (2, 2, 3)."""
    height, width = pixels.shape[:2]
    return pixels[height // 4 :: height // 2, width // 4 :: width // 2].astype(int)


@pytest.mark.parametrize("matrix", MATRICES)
def test_every_display_matrix(tmp_path, matrix):
    a, b, c, d = matrix
    path = set_matrix(clip_of(tmp_path / "a.mp4", quarters()), (a, b, 0, c, d, 0, 0, 0, 1))
    with VideoReader(path) as reader:
        first, notes = next(reader), reader.info.notes
    expected = {}
    for row in (0, 1):
        for column in (0, 1):  # where the matrix takes the middle of each quarter, by the definition in ISO 14496-12
            x, y = column - 0.5, row - 0.5
            expected[b * x + d * y > 0, a * x + c * y > 0] = CORNERS[row, column]
    assert first.size == (SIZE if abs(a) > abs(b) else SIZE[::-1])
    found = colours(first.rgb())
    for (row, column), colour in expected.items():
        assert np.abs(found[int(row), int(column)] - colour).max() < 30
    words = MATRICES[matrix]
    assert any("upright" in note and words in note for note in notes) == bool(words)


@pytest.mark.parametrize("matrix", [m for m in MATRICES if set(m) <= {0, 1, -1}])
def test_ffmpeg_turns_it_the_same_way(tmp_path, matrix):
    if shutil.which("ffmpeg") is None:
        pytest.skip("there is no ffmpeg here")
    a, b, c, d = matrix
    path = set_matrix(clip_of(tmp_path / "a.mp4", quarters()), (a, b, 0, c, d, 0, 0, 0, 1))
    with VideoReader(path) as reader:
        mine = next(reader).rgb()
    raw = ("-f", "rawvideo", "-pix_fmt", "rgb24", "-frames:v", "1", "-")
    done = subprocess.run(["ffmpeg", "-v", "error", "-i", str(path), *raw], capture_output=True, check=True)
    theirs = np.frombuffer(done.stdout, np.uint8).reshape(mine.shape)
    assert np.abs(colours(mine) - colours(theirs)).max() < 30


def framed(top: int, bottom: int, left: int, right: int) -> av.VideoFrame:
    """Return a white picture in a black frame."""
    pixels = np.full((*SIZE, 3), 255, np.uint8)
    pixels[:top] = pixels[SIZE[0] - bottom :] = 0
    pixels[:, :left] = pixels[:, SIZE[1] - right :] = 0
    return av.VideoFrame.from_ndarray(pixels, "rgb24").reformat(
        format="yuv420p", dst_colorspace="ITU709", dst_color_range="MPEG"
    )


SIDES = [(8, 4, 0, 0), (0, 0, 10, 2), (6, 6, 12, 4), (1, 0, 0, 0), (0, 3, 5, 0)]


def shows_only_white(path: Path, size: tuple[int, int], **options) -> None:
    with VideoReader(path, **options) as reader:
        assert reader.info.size == size
        assert any(f"cropped to {size[1]}×{size[0]}" in note for note in reader.info.notes)
        frames = list(reader)
    assert all(frame.rgb().shape == (*size, 3) for frame in frames)
    assert min(frame.rgb()[1:-1, 1:-1].min() for frame in frames) > 200
    assert frames


class Pipe(io.BytesIO):
    def seekable(self):
        return False


@pytest.mark.parametrize("sides", SIDES)
def test_matroskas_crop(tmp_path, sides):
    source = clip_of(tmp_path / "a.mkv", framed(*sides))
    pipe = Pipe()
    with av.open(str(source)) as container, av.open(pipe, "w", "matroska") as output:
        stream = output.add_stream_from_template(container.streams.video[0])
        for packet in container.demux(video=0):
            if packet.size:
                packet.stream = stream
                output.mux(packet)
    top, bottom, left, right = sides
    path = tmp_path / "b.mkv"
    path.write_bytes(set_crop(pipe.getvalue(), *sides))
    shows_only_white(path, (SIZE[0] - top - bottom, SIZE[1] - left - right))
    shows_only_white(path, (SIZE[0] - top - bottom, SIZE[1] - left - right), start=0.5)


@pytest.mark.parametrize("sides", SIDES)
def test_the_clean_aperture_of_mp4(tmp_path, sides):
    top, bottom, left, right = sides
    path = clip_of(tmp_path / "a.mp4", framed(*sides))
    size = SIZE[0] - top - bottom, SIZE[1] - left - right
    set_aperture(path, size[1], size[0], (left - right) // 2, (top - bottom) // 2)
    shows_only_white(path, size)


@pytest.mark.parametrize("sides", [(0, 0, 63, 0), (47, 0, 0, 0), (24, 23, 32, 31)])
def test_a_crop_that_leaves_a_pixel(tmp_path, sides):
    top, bottom, left, right = sides
    path = clip_of(tmp_path / "a.mp4", framed(0, 0, 0, 0))
    set_aperture(path, SIZE[1] - left - right, SIZE[0] - top - bottom, (left - right) // 2, (top - bottom) // 2)
    with VideoReader(path) as reader:
        assert min(reader.info.size) >= 1
        assert len(list(reader)) == 12


def test_a_crop_that_leaves_nothing_is_ignored(tmp_path):
    path = set_aperture(clip_of(tmp_path / "a.mp4", framed(0, 0, 0, 0)), 200, 100, 0, 0)
    with VideoReader(path) as reader:
        assert reader.info.size == SIZE
        assert reader.info.notes == ()
