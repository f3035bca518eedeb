"""GIFs out: exact colours for maps, steady ones for overlays, the right times, whole or not at all."""

from __future__ import annotations

import tracemalloc
from fractions import Fraction
from itertools import pairwise
from typing import TYPE_CHECKING

import av
import cv2
import numpy as np
import pytest
from PIL import Image

from gradcam_cli.errors import OutputError
from gradcam_cli.media.gif.changes import NEAR, in_runs
from gradcam_cli.media.gif.palette import Quantizer
from gradcam_cli.media.gif.read import AnimationReader
from gradcam_cli.media.gif.write import GifWriter
from tests.media.pictures import scene

if TYPE_CHECKING:
    from pathlib import Path

JET = cv2.applyColorMap(np.arange(256, dtype=np.uint8)[:, None], cv2.COLORMAP_JET)[:, 0, ::-1].copy()
RAMP = np.arange(256, dtype=np.uint8).reshape(8, 32)


def write(path: Path, count: int, rate: Fraction | int = 10, **options: object) -> None:
    """Write a clip of that many different frames."""
    with GifWriter(path, RAMP.shape, palette=JET, **options) as writer:
        for i in range(count):
            writer.write_indexed(np.roll(RAMP, i, 1), Fraction(i) / rate, 1 / Fraction(rate))


def read(path: Path) -> list:
    with AnimationReader(path, path.name) as animation:
        frames = list(animation)
        assert animation.damage == ""
        return frames


def test_palette_frames_are_exact(tmp_path):
    write(tmp_path / "a.gif", 5)
    frames = read(tmp_path / "a.gif")
    assert len(frames) == 5
    for i, frame in enumerate(frames):
        assert np.array_equal(frame.pixels, JET[np.roll(RAMP, i, 1)])
    with Image.open(tmp_path / "a.gif") as image:
        assert np.array_equal(np.asarray(image), RAMP)
        assert image.getpalette() == JET.ravel().tolist()


def test_an_independent_reader_agrees(tmp_path):
    av = pytest.importorskip("av")
    write(tmp_path / "a.gif", 30, 30)
    with av.open(str(tmp_path / "a.gif")) as container:
        stream = container.streams.video[0]
        frames = list(container.decode(stream))
    assert [round(float(frame.pts * frame.time_base) * 100) for frame in frames] == [
        round(i * 100 / 30) for i in range(30)
    ]
    for i, frame in enumerate(frames):
        assert np.array_equal(frame.to_ndarray(format="rgba")[..., :3], JET[np.roll(RAMP, i, 1)])


@pytest.mark.parametrize(
    ("rate", "count", "written"),
    [(30, 300, 300), (50, 50, 50), (60, 600, 400), (100, 201, 100), (144, 301, None), (Fraction(30000, 1001), 60, 60),
     (1000, 10, 1), (1, 1, 1)],
)  # fmt: skip
def test_total_duration(tmp_path, rate, count, written):
    write(tmp_path / "a.gif", count, rate)
    frames = read(tmp_path / "a.gif")
    assert frames[-1].time + frames[-1].duration == max(
        Fraction(round(Fraction(count) / rate * 100), 100), Fraction(1, 50)
    )
    assert all(frame.duration >= Fraction(1, 50) for frame in frames)
    assert written in (None, len(frames))


def test_a_clip_may_begin_late_and_be_irregular(tmp_path):
    times = [Fraction(n, 1000) for n in (5000, 5005, 5100, 5933)]
    with GifWriter(tmp_path / "a.gif", RAMP.shape, palette=JET) as writer:
        for i, time in enumerate(times):
            writer.write_indexed(RAMP + np.uint8(i), time, [*times[1:], Fraction(7)][i] - time)
    frames = read(tmp_path / "a.gif")
    assert [float(frame.time) for frame in frames] == [0, 0.02, 0.1, 0.93]  # a long frame just after another is kept
    assert frames[-1].time + frames[-1].duration == 2


def test_long_delays_are_split(tmp_path):
    with GifWriter(tmp_path / "a.gif", RAMP.shape, palette=JET) as writer:
        writer.write_indexed(RAMP, Fraction(0), Fraction(131071, 100))  # 2 · 65535 + 1: the rest must not be too short
        writer.write_indexed(RAMP.T.reshape(8, 32), Fraction(131071, 100), Fraction(1))
    frames = read(tmp_path / "a.gif")
    assert frames[-1].time == Fraction(131071, 100)
    assert all(frame.duration > Fraction(1, 100) for frame in frames)
    assert all(np.array_equal(frame.pixels, JET[RAMP]) for frame in frames[:-1])


def test_equal_frames_become_one(tmp_path):
    with GifWriter(tmp_path / "a.gif", RAMP.shape, palette=JET) as writer:
        for i in range(6):
            writer.write_indexed(RAMP if i < 5 else RAMP.T.reshape(8, 32), Fraction(i, 10), Fraction(1, 10))
    assert [frame.duration for frame in read(tmp_path / "a.gif")] == [Fraction(1, 2), Fraction(1, 10)]


def test_the_callers_array_may_change_afterwards(tmp_path):
    buffer = RAMP.copy()
    with GifWriter(tmp_path / "a.gif", RAMP.shape, palette=JET) as writer:
        for i in range(3):
            buffer[:] = np.roll(RAMP, i, 1)
            writer.write_indexed(buffer, Fraction(i, 10), Fraction(1, 10))
    assert [np.array_equal(f.pixels, JET[np.roll(RAMP, i, 1)]) for i, f in enumerate(read(tmp_path / "a.gif"))] == [
        True
    ] * 3


@pytest.mark.parametrize("loop", [None, 0, 1, 65535])
def test_loop_count(tmp_path, loop):
    write(tmp_path / "a.gif", 2, loop=loop)
    assert (tmp_path / "a.gif").read_bytes().startswith(b"GIF89a")
    with AnimationReader(tmp_path / "a.gif", "a") as animation:
        assert animation.info.loop == loop
    with Image.open(tmp_path / "a.gif") as image:
        assert image.info.get("loop") == loop


def overlays(count: int = 4, height: int = 120, width: int = 160) -> list[np.ndarray]:
    y, x = np.mgrid[0:height, 0:width]
    clip = []
    for i in range(count):
        values = 255 * np.exp(-((x - width / 2 - 3 * i) ** 2 + (y - height / 2) ** 2) / (width * 12))
        clip.append(cv2.addWeighted(scene(height, width), 0.5, JET[values.astype(np.uint8)], 0.5, 0))
    return clip


def blurred(pixels: np.ndarray) -> np.ndarray:
    """Return what an eye sees from further away."""
    return cv2.GaussianBlur(pixels.astype(np.float32), (0, 0), 2)


def test_overlays_are_close_and_without_bands(tmp_path):
    clip = overlays()
    with GifWriter(tmp_path / "a.gif", clip[0].shape[:2]) as writer:
        for i, frame in enumerate(clip):
            writer.write(frame, Fraction(i, 10), Fraction(1, 10))
    with Image.open(tmp_path / "a.gif") as first:
        palette = first.copy()
    frames = read(tmp_path / "a.gif")
    assert len(frames) == len(clip)
    for frame, original in zip(frames, clip, strict=True):
        assert np.abs(frame.pixels.astype(int) - original).mean() < 7
        undithered = Image.fromarray(original).quantize(palette=palette, dither=Image.Dither.NONE).convert("RGB")
        seen, bands = (np.abs(blurred(a) - blurred(original)).mean() for a in (frame.pixels, np.asarray(undithered)))
        assert seen < 2.5
        assert seen < 0.95 * bands


def changing(count: int, *, every_index: bool) -> list[np.ndarray]:
    """Return maps (90, 120) of which a square changes from frame to frame."""
    random = np.random.default_rng(3)
    used, side = (256, 60) if every_index else (200, 30)
    base = random.integers(0, used, (90, 120), np.uint8)
    maps = []
    for k in range(count):
        each = base.copy()
        each[20 : 20 + side, 40 + k : 40 + k + side] = random.integers(0, used, (side, side), np.uint8)
        maps.append(each)
    return maps


@pytest.mark.parametrize("every_index", [True, False])
def test_only_what_changes_is_written(tmp_path, every_index):
    """Exactly, as FFmpeg and our own reader put it together, with an index free for what does not change or without."""
    maps = changing(8, every_index=every_index)
    assert every_index == all(len(np.unique(b[a != b])) == 256 for a, b in pairwise(maps))
    with GifWriter(tmp_path / "a.gif", (90, 120), palette=JET) as writer:
        for k, each in enumerate(maps):
            writer.write_indexed(each, Fraction(k, 10), Fraction(1, 10))
    expected = [JET[each] for each in maps]
    assert all(np.array_equal(a.pixels, b) for a, b in zip(read(tmp_path / "a.gif"), expected, strict=True))
    with av.open(str(tmp_path / "a.gif")) as container:
        theirs = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    assert all(np.array_equal(a, b) for a, b in zip(theirs, expected, strict=True))
    with GifWriter(tmp_path / "b.gif", (90, 120), palette=JET) as writer:
        writer.write_indexed(maps[0], Fraction(0), Fraction(1, 10))
    alone = (tmp_path / "b.gif").stat().st_size
    assert (tmp_path / "a.gif").stat().st_size < alone * (4 if every_index else 2.6)


def test_errors_do_not_add_up(tmp_path):
    """A picture that gets lighter by a level a frame, which is always too little to be drawn for itself."""
    clip = [np.full((40, 50, 3), 40 + k, np.uint8) for k in range(80)]
    with GifWriter(tmp_path / "a.gif", (40, 50)) as writer:
        for k, each in enumerate(clip):
            writer.write(each, Fraction(k, 10), Fraction(1, 10))
    frames = read(tmp_path / "a.gif")
    assert 8 <= len(frames) < 30
    for frame in frames:
        meant = clip[int(frame.time * 10)][0, 0, 0]
        until = clip[min(79, int((frame.time + frame.duration) * 10) - 1)][0, 0, 0]
        assert abs(frame.pixels.astype(int).mean() - meant) <= 8
        assert abs(frame.pixels.astype(int).mean() - until) <= 8 + NEAR


def test_runs_are_no_further_from_the_picture_than_what_nobody_sees():
    quantizer, frame = Quantizer(), overlays()[0]
    indices = quantizer(frame)
    longer = in_runs(indices, quantizer.palette, frame)
    kept = longer != indices
    assert kept.any()
    assert np.abs(quantizer.palette[longer][kept].astype(int) - frame[kept]).max() <= NEAR
    assert np.count_nonzero(np.diff(longer.astype(int))) < 0.9 * np.count_nonzero(np.diff(indices.astype(int)))


def test_a_long_delay_of_a_part(tmp_path):
    """It is split into frames of one pixel, at the part's place."""
    maps = changing(2, every_index=False)
    with GifWriter(tmp_path / "a.gif", (90, 120), palette=JET) as writer:
        writer.write_indexed(maps[0], Fraction(0), Fraction(1))
        writer.write_indexed(maps[1], Fraction(1), Fraction(1500))
    frames = read(tmp_path / "a.gif")
    assert sum(frame.duration for frame in frames) == 1501
    assert all(np.array_equal(frame.pixels, JET[maps[1]]) for frame in frames[1:])


def test_an_index_stays_free_for_what_does_not_change():
    random = np.random.default_rng(0)
    for frame in (random.integers(0, 256, (200, 200, 3), np.uint8), np.zeros((8, 8, 3), np.uint8), overlays()[0]):
        quantizer = Quantizer()
        assert quantizer(frame).max() < 255


def test_a_white_page_stays_white(tmp_path):
    """Nothing that moves over it leaves a trail."""
    with GifWriter(tmp_path / "a.gif", (60, 80)) as writer:
        for k in range(8):
            frame = np.full((60, 80, 3), 255, np.uint8)
            frame[20:40, 5 + 8 * k : 20 + 8 * k] = (252, 251, 253) if k % 2 else (200, 30, 30)
            writer.write(frame, Fraction(k, 10), Fraction(1, 10))
    for k, frame in enumerate(read(tmp_path / "a.gif")):
        outside = np.ones((60, 80), np.bool_)
        outside[20:40, 5 + 8 * k : 20 + 8 * k] = False
        assert (frame.pixels[outside] == 255).all()


def test_still_parts_stay_still():
    quantizer = Quantizer()
    clip = overlays()
    changed = clip[0].copy()
    changed[:20, :20] = changed[:20, :20][::-1]
    first = quantizer(clip[0])
    palette = quantizer.palette
    second = quantizer(changed)
    assert quantizer.palette is palette
    assert np.array_equal(first[20:], second[20:])
    assert np.array_equal(first, quantizer(clip[0]))


def test_colours_that_the_palette_lacks_do_not_scatter():
    """A pattern that kept on making good what no colour of the palette can would take far ones, green within blue."""
    quantizer = Quantizer()
    clip = overlays()
    quantizer(clip[0])
    palette = quantizer.palette
    changed = clip[0].copy()
    changed[8:16, 8:16] = cold = np.array((4, 12, 156), np.uint8)
    found = palette[quantizer(changed)[8:16, 8:16]].astype(int)
    assert quantizer.palette is palette
    nearest = np.abs(palette.astype(int) - cold).sum(-1).min()
    assert nearest > 30
    assert np.abs(found - cold).sum(-1).max() < nearest + 100


def test_a_small_hot_spot_keeps_its_colours():
    """Also when it comes into a clip whose frames had none: a hundredth of the picture, far from all its colours."""
    rows, columns = np.mgrid[0:240, 0:320]
    waves = np.sin(rows / 40), np.cos(columns / 50), np.sin((rows + columns) / 70)
    picture = np.stack([90 + 40 * wave for wave in waves], 2) + np.random.default_rng(3).normal(0, 8, (240, 320, 3))
    heat = np.exp(-((rows - 120) ** 2 + (columns - 160) ** 2) / 150)
    cold, hot = (np.rint(picture / 2 + JET[np.rint(255 * each).astype(int)] / 2) for each in (0 * heat, heat))
    quantizer = Quantizer()
    quantizer(cold.clip(0, 255).astype(np.uint8))
    indices = quantizer(hot.clip(0, 255).astype(np.uint8))
    seen = np.abs(blurred(quantizer.palette[indices]) - blurred(hot)).max(axis=2)
    assert seen.mean() < 4
    assert seen.max() < 40


def test_another_scene_gets_another_palette(tmp_path):
    one, two = np.full((40, 60, 3), (200, 30, 30), np.uint8), scene(40, 60)
    with GifWriter(tmp_path / "a.gif", (40, 60)) as writer:
        for i, frame in enumerate((one, two, one)):
            writer.write(frame, Fraction(i, 10), Fraction(1, 10))
    frames = read(tmp_path / "a.gif")
    for frame, original in zip(frames, (one, two, one), strict=True):
        assert np.abs(blurred(frame.pixels) - blurred(original)).mean() < 3


@pytest.mark.parametrize("size", [(1, 1), (1, 9), (3, 5), (2, 300)])
def test_small_and_odd_sizes(tmp_path, size):
    with GifWriter(tmp_path / "a.gif", size) as writer:
        writer.write(scene(*size), Fraction(0), Fraction(1, 10))
    (frame,) = read(tmp_path / "a.gif")
    assert frame.pixels.shape == (*size, 3)
    assert np.abs(frame.pixels.astype(int) - scene(*size)).mean() < 8


def test_memory_does_not_grow_with_the_number_of_frames(tmp_path):
    def peak(count: int) -> int:
        tracemalloc.start()
        write(tmp_path / "a.gif", count)
        used = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return used

    peak(10)
    assert peak(1000) < peak(100) + 200_000


class StoppedError(Exception):
    pass


def fill(writer: GifWriter, count: int, error: type[BaseException] | None = None) -> None:
    for i in range(count):
        writer.write_indexed(np.roll(RAMP, i, 1), Fraction(i, 10), Fraction(1, 10))
    if error:
        raise error


@pytest.mark.parametrize("error", [StoppedError, KeyboardInterrupt])
@pytest.mark.parametrize("count", [0, 1, 2, 5])
@pytest.mark.parametrize("keep", [False, True])
def test_interrupted(tmp_path, error, count, keep):
    path = tmp_path / "a.gif"
    path.write_bytes(b"old")
    writer = GifWriter(path, RAMP.shape, palette=JET, keep_partial=keep)
    with pytest.raises(error), writer:
        fill(writer, count, error)
    assert path.read_bytes() == b"old", "a part is no result, and takes no result's place"
    partial = tmp_path / "a.partial.gif"
    assert sorted(tmp_path.iterdir()) == ([path, partial] if keep and count else [path])
    if keep and count:
        assert len(read(partial)) == count


@pytest.mark.parametrize("keep", [False, True])
@pytest.mark.parametrize("at", [1, 4])
def test_full_disk(tmp_path, monkeypatch, keep, at):
    """From some frame on nothing can be written but an end mark."""
    path = tmp_path / "a.gif"
    writer = GifWriter(path, RAMP.shape, palette=JET, keep_partial=keep)
    emit, done = writer._emit, []

    def full(*arguments: object) -> None:
        done.append(arguments)
        if len(done) >= at:
            writer._stream.write(b"half a frame")
            raise OutputError("the disk is full")
        emit(*arguments)

    monkeypatch.setattr(writer, "_emit", full)
    with pytest.raises(OutputError), writer:
        fill(writer, 6)
    if keep and at > 1:
        assert len(read(tmp_path / "a.partial.gif")) == at - 1
        assert [each.name for each in tmp_path.iterdir()] == ["a.partial.gif"]
    else:
        assert list(tmp_path.iterdir()) == []


def test_no_frame_is_an_error_and_no_file(tmp_path):
    with pytest.raises(OutputError, match="no frame"), GifWriter(tmp_path / "a.gif", (4, 4)):
        pass
    assert list(tmp_path.iterdir()) == []


def test_what_cannot_be(tmp_path):
    for size in ((0, 4), (4, 65536)):
        with pytest.raises(OutputError, match="cannot be"):
            GifWriter(tmp_path / "a.gif", size)
    with pytest.raises(ValueError, match="loop"):
        GifWriter(tmp_path / "a.gif", (4, 4), loop=65536)
    with pytest.raises(ValueError, match="palette"), GifWriter(tmp_path / "a.gif", (4, 4)) as writer:
        writer.write_indexed(np.zeros((4, 4), np.uint8), Fraction(0), Fraction(1))
    with pytest.raises(ValueError, match="in a GIF of"), GifWriter(tmp_path / "a.gif", (4, 4)) as writer:
        writer.write(scene(), Fraction(0), Fraction(1))
    blocked = tmp_path / "file"
    blocked.write_bytes(b"")
    with pytest.raises(OutputError, match="cannot be written"), GifWriter(blocked / "a.gif", (4, 4)):
        pass
