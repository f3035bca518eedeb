"""Videos in: exact times, right colours, upright frames; damage survived or said in one line."""

from __future__ import annotations

import os
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from gradcam_cli.errors import InputError
from gradcam_cli.media.video import decode as video_decode
from gradcam_cli.media.video import read as video_read
from gradcam_cli.media.video.decode import Decoder
from gradcam_cli.media.video.frames import planes as video_planes
from gradcam_cli.media.video.read import VideoReader
from tests.media.clips import (
    COLOURS,
    NEW_PYAV,
    STEADY,
    TAGS,
    UNSTEADY,
    Clip,
    Sound,
    level,
    look,
    make,
    patch_colours,
    patches,
)
from tests.media.pictures import saved

TWELFTH = Fraction(1, 12)


def read(path: Path, **options):
    with VideoReader(path, **options) as reader:
        return list(reader), reader


def indices(frames) -> list[int]:
    """Return which of the clip's frames these are, by their brightness."""
    return [round((float(np.median(f.rgb())) - level(0)) / 14) for f in frames]


def no_file_stays_open(path: Path) -> bool:
    return not any(os.path.realpath(f"/proc/self/fd/{n}") == str(path) for n in os.listdir("/proc/self/fd"))


@pytest.mark.parametrize("times", [STEADY, UNSTEADY, [Fraction(0)]], ids=["steady", "unsteady", "single"])
@pytest.mark.parametrize("name", ["a.mp4", "a.mkv", "a.mov", "a.ts"])
def test_times_are_the_files(tmp_path, times, name):
    path = make(tmp_path / name, Clip(times))
    frames, reader = read(path)
    found = look(path).times
    assert [f.time for f in frames] == [t - found[0] for t in found]
    near = Fraction(1, 1000)  # Matroska counts milliseconds
    assert [abs(f.time - t) <= near for f, t in zip(frames, times, strict=True)] == [True] * len(times)
    if name.endswith("mp4"):
        assert [f.time for f in frames] == times
        assert frames[-1].duration == TWELFTH
    assert indices(frames) == list(range(len(times)))
    assert all((f.time / reader.info.tick).denominator == 1 for f in frames)
    assert all(f.planes[0].shape == (48, 64) and f.planes[1].shape == (24, 32) for f in frames)
    assert all(p.flags.c_contiguous and p.dtype == np.uint8 for f in frames for p in f.planes)
    assert reader.skipped == 0


@pytest.mark.parametrize(
    ("name", "codec", "form"),
    [
        ("a.webm", "libvpx-vp9", "yuv420p"),
        ("a.avi", "mpeg4", "yuv420p"),
        ("a.avi", "mjpeg", "yuvj420p"),
        ("a.mkv", "ffv1", "yuv422p"),
        ("a.mkv", "ffv1", "gray"),
        ("a.mkv", "ffv1", "gray16le"),
        ("a.mkv", "libx264", "yuv420p10le"),
        ("a.mkv", "libx264", "yuv444p"),
        ("a.mkv", "libx264rgb", "rgb24"),
    ],
)
def test_codecs_and_pixel_formats(tmp_path, name, codec, form):
    if form in {"gray", "yuvj420p"} and not NEW_PYAV:
        pytest.skip("this PyAV gets full range wrong")
    frames, reader = read(make(tmp_path / name, Clip(codec=codec, form=form, tick=TWELFTH)))
    assert indices(frames) == list(range(12))
    assert abs(reader.info.frames - 12) <= 1
    assert any("reduced to 8" in note for note in reader.info.notes) == ("10" in form or "16" in form)


@pytest.mark.parametrize("form", ["yuv420p", "yuv422p", "yuv444p", "yuv420p10le"])
@pytest.mark.parametrize("full", [False, True])
@pytest.mark.parametrize("matrix", ["bt709", "bt601", "bt2020"])
def test_colours(tmp_path, matrix, form, full):
    if full and not NEW_PYAV:
        pytest.skip("this PyAV gets full range wrong")
    frame = patches(matrix, form, full=full, tag=TAGS[matrix])
    clip = Clip([Fraction(0)], (32, 128), "ffv1", form, frames=[frame])
    (read_back,), _ = read(make(tmp_path / "a.mkv", clip))
    assert np.abs(patch_colours(read_back.rgb()) - COLOURS).max() <= 4


@pytest.mark.parametrize("form", ["yuvj420p", "yuvj422p", "yuvj444p"])
@pytest.mark.parametrize("matrix", ["bt601", "bt709"])
def test_gray_of_full_range_stays_what_it_is(tmp_path, matrix, form):
    """As webcams and MJPEG have it."""
    gray = np.linspace(0, 255, 8).repeat(3).reshape(8, 3)
    frame = patches(matrix, form, full=True, tag=TAGS[matrix], colours=gray)
    clip = Clip(size=(32, 128), frames=[frame] * 12, form=form, options={"qp": "1"})
    (first, *_), _ = read(make(tmp_path / "a.mkv", clip))
    assert np.abs(patch_colours(first.rgb()) - gray).max() <= (2 if NEW_PYAV else 4)


def test_gray_of_the_older_matrix_stays_what_it_is(tmp_path):
    frame = av.VideoFrame(64, 62, "yuv420p")
    ramp = np.arange(16, 78, dtype=np.uint8)[:, None].repeat(64, 1)
    for plane, pixels in zip(frame.planes, (ramp, np.full((31, 32), 128), np.full((31, 32), 128)), strict=True):
        np.frombuffer(memoryview(plane), np.uint8).reshape(plane.height, -1)[:, : plane.width] = pixels
    frame.colorspace, frame.color_range = TAGS["bt601"], 1
    (read_back,), _ = read(make(tmp_path / "a.mkv", Clip([Fraction(0)], (62, 64), "ffv1", frames=[frame])))
    assert (read_back.planes[0] == ramp).all()
    assert all((plane == 128).all() for plane in read_back.planes[1:])


@pytest.mark.parametrize(("height", "matrix"), [(576, "bt601"), (718, "bt601"), (720, "bt709"), (1080, "bt709")])
def test_untagged_colours_depend_on_the_lines(tmp_path, height, matrix):
    frame = patches(matrix, "yuv420p", full=False, tag=2, height=height)
    clip = Clip([Fraction(0)], (height, 128), "ffv1", frames=[frame])
    (read_back,), _ = read(make(tmp_path / "a.mkv", clip))
    assert np.abs(patch_colours(read_back.rgb()) - COLOURS).max() <= 4


@pytest.mark.skipif(not hasattr(av.VideoStream, "set_display_rotation"), reason="this PyAV cannot write it")
@pytest.mark.parametrize(("rotation", "corner"), [(90, "lower left"), (180, "lower right"), (-90, "upper right")])
def test_rotation(tmp_path, rotation, corner):
    (first, *_), reader = read(make(tmp_path / "a.mp4", Clip(rotation=rotation)))
    assert reader.info.size == first.size == ((48, 64) if rotation == 180 else (64, 48))
    assert any("upright" in note for note in reader.info.notes)
    pixels = first.rgb()
    bright = [pixels[0, 0, 0], pixels[0, -1, 0], pixels[-1, 0, 0], pixels[-1, -1, 0]]
    assert ["upper left", "upper right", "lower left", "lower right"][int(np.argmax(bright))] == corner


def test_odd_sizes_are_padded(tmp_path):
    frames, reader = read(make(tmp_path / "a.mkv", Clip(size=(41, 63), codec="ffv1", form="yuv444p")))
    assert frames[0].size == reader.info.size == (41, 63)
    y, u, v = frames[0].planes
    assert (y.shape, u.shape, v.shape) == ((42, 64), (21, 32), (21, 32))
    assert (y[41] == y[40]).all()
    assert (y[:, 63] == y[:, 62]).all()
    assert frames[0].rgb().shape == (41, 63, 3)
    assert frames[0].rgb((20, 30)).shape == (20, 30, 3)
    assert any("padded from 63×41" in note for note in reader.info.notes)


def test_pixels_become_square(tmp_path):
    frames, reader = read(make(tmp_path / "a.mp4", Clip(aspect=Fraction(2))))
    assert reader.info.size == frames[0].size == (48, 128)
    assert any("128×48" in note for note in reader.info.notes)


def test_max_size(tmp_path):
    path = make(tmp_path / "a.mp4", Clip(size=(480, 640)))
    frames, reader = read(path, max_size=100)
    assert reader.info.size == frames[0].size == (75, 100)
    assert frames[0].planes[0].shape == (76, 100)
    assert read(path, max_size=5000)[1].info.size == (480, 640)


def test_resizing_to_the_networks_input_is_antialiased(tmp_path):
    noise = np.random.default_rng(1).integers(0, 256, (256, 256, 3), np.uint8)
    frame = av.VideoFrame.from_ndarray(noise, "rgb24").reformat(format="yuv444p", dst_colorspace="ITU709")
    frame.color_range = 1
    path = make(tmp_path / "a.mkv", Clip([Fraction(0)], (256, 256), "ffv1", "yuv444p", frames=[frame]))
    (read_back,), _ = read(path)
    expected = Image.fromarray(read_back.rgb()).resize((32, 32), Image.Resampling.BILINEAR)
    assert np.abs(read_back.rgb((32, 32)).astype(int) - np.asarray(expected)).mean() < 4  # without: 50


def comb(index: int) -> av.VideoFrame:
    """Return a bright bar that moves between the two fields of a frame."""
    pixels = np.full((64, 128, 3), 40, np.uint8)
    pixels[::2, 8 * index : 8 * index + 16] = 220
    pixels[1::2, 8 * index + 4 : 8 * index + 20] = 220
    return av.VideoFrame.from_ndarray(pixels, "rgb24").reformat(format="yuv420p")


def test_interlaced_frames_are_made_whole(tmp_path):
    clip = Clip(size=(64, 128), options={"flags": "+ildct+ilme", "qp": "1"}, frames=[comb(i) for i in range(12)])
    path = make(tmp_path / "a.mp4", clip)
    found, reader = read(path)
    assert "deinterlaced" in reader.info.notes
    assert [f.time for f in found] == STEADY

    def teeth(pixels: np.ndarray) -> float:
        return float(np.abs(np.diff(pixels[16:48, :, 0].astype(int), axis=0)).mean())

    assert teeth(found[5].rgb()) < teeth(look(path).frames[5].to_ndarray(format="rgb24")) / 4


def test_the_last_frame_lasts_as_long_as_the_others_when_deinterlaced(tmp_path):
    options = {"flags": "+ildct+ilme", "x264-params": "tff=1"}
    frames, _ = read(
        make(tmp_path / "a.mkv", Clip(size=(64, 64), options=options, frames=[comb(i) for i in range(12)]))
    )
    assert float(frames[-1].duration) == pytest.approx(1 / 12, abs=0.002)


def test_start_and_end(tmp_path):
    path = make(tmp_path / "a.mp4", Clip(options={"g": "4"}))
    frames, reader = read(path, start=Fraction(1, 3), end=Fraction(17, 24))
    assert indices(frames) == [4, 5, 6, 7, 8]
    assert [f.time for f in frames] == [i * TWELFTH for i in range(5)]
    assert frames[-1].time + frames[-1].duration == Fraction(9, 24)
    assert reader.info.duration == Fraction(9, 24)
    assert indices(read(path, start=Fraction(0), end=Fraction(1, 10))[0]) == [0, 1]
    with pytest.raises(InputError, match=r"no frame in the part that is wanted \(it lasts 1\.00 s\)"):
        VideoReader(path, start=Fraction(3))
    with pytest.raises(InputError, match="no frame in the part"):
        VideoReader(path, end=Fraction(0))


@pytest.mark.parametrize("name", ["a.ts", "a.mkv", "a.avi"])
def test_start_in_files_where_seeking_is_poor(tmp_path, name):
    times = [Fraction(i, 12) for i in range(60)]
    codec = "mpeg4" if name.endswith("avi") else "libx264"
    path = make(tmp_path / name, Clip(times, codec=codec, options={"g": "12"}, tick=TWELFTH))
    frames, _ = read(path, start=Fraction(2), end=Fraction(3))
    assert len(frames) == 12
    assert indices(frames)[0] == 24 % 14


def test_stride_and_rate(tmp_path):
    path = make(tmp_path / "a.mp4")
    frames, reader = read(path, stride=5)
    assert indices(frames) == [0, 5, 10]
    assert [f.time for f in frames] == [0, 5 * TWELFTH, 10 * TWELFTH]
    assert sum(f.duration for f in frames) == 1
    assert reader.info.frames in (2, 3)
    frames, reader = read(path, fps=Fraction(18))
    assert indices(frames) == [0, 0, 1, 2, 2, 3, 4, 4, 5, 6, 6, 7, 8, 8, 9, 10, 10, 11]
    assert [f.time for f in frames] == [Fraction(i, 18) for i in range(18)]
    assert frames[0].planes is frames[1].planes  # so that a repeated frame need not be explained twice
    assert reader.info.frames == 18
    assert reader.info.tick == Fraction(1, 18)
    assert indices(read(path, fps=Fraction(6), stride=2)[0]) == [0, 4, 8]


def test_a_late_start_is_time_0_and_the_sound_knows(tmp_path):
    half = Fraction(1, 2)
    path = make(tmp_path / "a.mp4", Clip([half + t for t in STEADY], sound=Sound()))
    frames, reader = read(path)
    assert [f.time for f in frames] == STEADY
    assert reader.audio.begin == half
    assert reader.audio.end is None
    assert read(path, end=half)[1].audio.end == 1


def samples(reader, count):
    return [frame for frame, is_sample in reader.sample(count) if is_sample]


def test_sample_does_not_disturb(tmp_path):
    times = [Fraction(i, 2) for i in range(40)]
    path = make(tmp_path / "a.mp4", Clip(times, options={"g": "6"}, last=Fraction(1, 2)))
    with VideoReader(path) as reader:
        first = next(reader)
        found = samples(reader, 4)
        assert [f.time for f in found] == [Fraction(5, 2), Fraction(15, 2), Fraction(25, 2), Fraction(35, 2)]
        assert indices(found) == [5, 15 % 14, 25 % 14, 35 % 14]
        assert indices([first, *reader]) == [i % 14 for i in range(40)]
    one = make(tmp_path / "b.mp4", Clip([Fraction(0)]))
    with VideoReader(one) as reader:
        assert len(samples(reader, 8)) >= 1


@pytest.mark.parametrize(
    "options",
    [{}, {"stride": 3}, {"fps": Fraction(5)}, {"start": Fraction(3), "end": Fraction(9)}],
    ids=["all", "stride", "fps", "part"],
)
def test_a_short_clip_is_decoded_once_for_samples_and_iteration(tmp_path, monkeypatch, options):
    path = make(tmp_path / "a.mp4", Clip([Fraction(i, 4) for i in range(48)], options={"g": "6"}))
    plain, _ = read(path, **options)
    decoded, decode = 0, Decoder._decoded

    def counted(self):
        nonlocal decoded
        for frame in decode(self):
            decoded += 1
            yield frame

    monkeypatch.setattr(Decoder, "_decoded", counted)
    with VideoReader(path, **options) as reader:
        length = reader.info.duration
        sampled, again = samples(reader, 4), samples(reader, 4)
        frames = list(reader)
    assert decoded <= 48
    assert all(one is other for one, other in zip(again, sampled, strict=True))
    assert [(f.time, f.duration) for f in frames] == [(f.time, f.duration) for f in plain]
    assert indices(frames) == indices(plain)
    for position, frame in enumerate(sampled):
        assert any(frame is each for each in frames)
        assert frame.time <= length * (2 * position + 1) / 8 < frame.time + frame.duration


def test_frames_passed_by_on_the_way_to_samples_are_converted_when_they_are_looked_at(tmp_path, monkeypatch):
    path = make(tmp_path / "a.mp4", Clip([Fraction(i, 4) for i in range(20)]))
    with VideoReader(path) as reader:
        expected = [frame.planes[0].copy() for frame in reader]
    converted = []
    planes = video_planes.Converter.planes
    monkeypatch.setattr(
        video_planes.Converter, "planes", lambda self, frame: converted.append(frame) or planes(self, frame)
    )
    with VideoReader(path) as reader:
        looked = list(reader.sample(4))
        assert [frame.time for frame, _ in looked] == [Fraction(i, 4) for i in range(20)]
        assert sum(is_sample for _, is_sample in looked) == 4
        assert not converted
        with ThreadPoolExecutor(4) as threads:
            several = [list(threads.map(lambda frame: frame.planes, [frame] * 8)) for frame, _ in looked]
        assert all(each is all_of_it[0] for all_of_it in several for each in all_of_it)
        found = [frame.planes[0] for frame in reader]
    assert len(converted) == 20
    assert all((one == other).all() for one, other in zip(found, expected, strict=True))


@pytest.mark.slow
@pytest.mark.parametrize("suffix", ["mp4", "mkv", "ts"])
@pytest.mark.parametrize("start", [Fraction(1, 4), Fraction(3), Fraction(5), Fraction(6), Fraction(47, 4)])
def test_a_start_between_key_frames_that_are_far_apart(tmp_path, suffix, start):
    times = [Fraction(i, 4) for i in range(48)]
    path = make(tmp_path / f"a.{suffix}", Clip(times, options={"g": "20"}))
    with VideoReader(path, start=start) as reader:
        frames = list(reader)
        assert reader.skipped == 0
    assert len(frames) == len([time for time in times if time >= start])
    assert indices(frames) == [index % 14 for index, time in enumerate(times) if time >= start]


@pytest.mark.parametrize(
    ("suffix", "keys_apart", "most"),
    [
        ("mp4", 6, 30),
        ("mp4", 20, 46),
        ("mp4", 1000, 50),
        ("mkv", 6, 30),
        ("ts", 6, 50),  # it has no index
    ],
)
def test_a_long_clip_is_sampled_apart_and_nothing_is_decoded_twice(tmp_path, monkeypatch, suffix, keys_apart, most):
    path = make(tmp_path / f"a.{suffix}", Clip([Fraction(i, 4) for i in range(48)], options={"g": str(keys_apart)}))
    with VideoReader(path) as reader:
        held = [frame.time for frame in samples(reader, 5)]
        assert len(reader._ahead) == 48
        monkeypatch.setattr(video_read, "AHEAD_BYTES", 47 * (video_read.AHEAD_BYTES // reader._most_ahead))
    decoded = []
    stamped = VideoReader._stamped
    monkeypatch.setattr(VideoReader, "_stamped", lambda self: (decoded.append(each) or each for each in stamped(self)))
    with VideoReader(path) as reader:
        decoded.clear()
        apart = [frame.time for frame in samples(reader, 5)]
        assert apart == held
        assert len(decoded) <= most
        assert len(reader._ahead) == 0
        assert len(list(reader)) == 48


def test_a_file_that_is_longer_than_it_says_is_not_held_whole(tmp_path, monkeypatch):
    path = make(tmp_path / "a.mp4", Clip([Fraction(i, 4) for i in range(48)]))
    with VideoReader(path) as reader:
        reader.info = replace(reader.info, frames=10)
        monkeypatch.setattr(video_read, "AHEAD_BYTES", 12 * (video_read.AHEAD_BYTES // reader._most_ahead))
        assert len(samples(reader, 5)) == 1
        assert len(reader._ahead) == 12
        assert len(list(reader)) == 48


def test_what_goes_wrong_behind_the_samples_is_raised_where_it_is(tmp_path):
    path = make(tmp_path / "a.mp4", Clip([Fraction(i, 4) for i in range(48)]))
    with VideoReader(path, max_frames=48) as reader:
        reader._max_frames = 20
        assert len(samples(reader, 12)) == 5
        assert len([next(reader) for _ in range(20)]) == 20
        with pytest.raises(InputError, match="frames"):
            next(reader)


def test_the_first_size_holds(tmp_path):
    small, large = (make(tmp_path / f"{n}.h264", Clip(size=(n, 64))).read_bytes() for n in (48, 96))
    (tmp_path / "a.h264").write_bytes(small + large)
    frames, _ = read(tmp_path / "a.h264")
    assert len(frames) == 24
    assert {f.planes[0].shape for f in frames} == {(48, 64)}


def test_damaged_packets_are_skipped_and_counted(tmp_path):
    path = make(tmp_path / "a.mp4", Clip(options={"g": "1"}))
    with av.open(str(path)) as container:
        places = [packet.pos for packet in container.demux(video=0) if packet.size]
    data = bytearray(path.read_bytes())
    for index in (4, 5, 9):
        data[places[index] : places[index] + 40] = b"\xff" * 40
    path.write_bytes(data)
    frames, reader = read(path)
    assert reader.skipped == 3
    assert indices(frames) == [0, 1, 2, 3, 6, 7, 8, 10, 11]
    assert [f.time for f in frames] == [STEADY[i] for i in (0, 1, 2, 3, 6, 7, 8, 10, 11)]
    assert sum(f.duration for f in frames) == 1  # the frame before a hole is shown for longer


def test_hopeless_damage_ends(tmp_path, monkeypatch):
    monkeypatch.setattr(video_decode, "_HOPELESS", 5)
    path = make(tmp_path / "a.mp4", Clip([Fraction(i, 12) for i in range(60)], options={"g": "1"}))
    data = bytearray(path.read_bytes())
    begin = data.index(b"mdat") + 4
    rng = np.random.default_rng(0)
    length = data.index(b"moov") - 4 - begin if data.index(b"moov") > begin else len(data) - begin
    keep = length // 4
    data[begin + keep : begin + length] = rng.bytes(length - keep)
    path.write_bytes(data)
    assert 1 <= len(read(path)[0]) <= 60
    data[begin : begin + length] = bytes(length)
    path.write_bytes(data)
    with pytest.raises(InputError, match=r"no frame of it can be decoded|without frames"):
        VideoReader(path)


def test_cut_files(tmp_path):
    whole = make(tmp_path / "a.mkv", Clip([Fraction(i, 12) for i in range(60)], codec="ffv1")).read_bytes()
    (tmp_path / "b.mkv").write_bytes(whole[: len(whole) * 2 // 3])
    assert 10 < len(read(tmp_path / "b.mkv")[0]) < 60


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty"),
        (b"hello " * 50, "is not a video of a known kind"),
        (b"#EXTM3U\n#EXTINF:1,\nother.ts\n", "a list of other files"),
        (b"ffconcat version 1.0\nfile 'other.mp4'\n", "a list of other files"),
        (b"v=0\no=- 0 0 IN IP4 127.0.0.1\nm=video 5004 RTP/AVP 96\n", "a list of other files"),
        (b"<!DOCTYPE html><html>", "is a web page"),
        (b"\0\0\0\x18ftypisom\0\0\0\0isommp42", "cut off before its index"),
        (saved(Image.new("RGB", (8, 8))), "is a picture, not a video"),
        (b"GIF89a" + bytes(20), "is a picture, not a video"),
        (b"version https://git-lfs.github.com/spec/v1\n", "Git LFS pointer"),
    ],
)
@pytest.mark.parametrize("suffix", ["mp4", "mkv", "ffconcat"])
def test_what_is_no_video(tmp_path, content, message, suffix):
    path = tmp_path / f"a\n.{suffix}"
    make(tmp_path / "other.mp4")
    path.write_bytes(content)
    with pytest.raises(InputError, match=message) as caught:
        VideoReader(path)
    assert caught.value.hint
    assert r"a\n." in caught.value.message


def test_sound_alone_and_missing_files(tmp_path):
    path = tmp_path / "a.mp4"
    with av.open(str(path), "w") as output:
        stream = output.add_stream("aac", rate=48_000)
        frame = av.AudioFrame.from_ndarray(np.zeros((2, 1024), np.float32), "fltp", "stereo")
        frame.sample_rate = 48_000
        output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
    with pytest.raises(InputError, match="holds sound but no video"):
        VideoReader(path)
    with pytest.raises(InputError, match="no such file"):
        VideoReader(tmp_path / "none.mp4")
    with pytest.raises(InputError, match="is a directory, not a video"):
        VideoReader(tmp_path)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes here")
def test_a_pipe_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "a.mp4")
    with pytest.raises(InputError, match="not a regular file but a pipe"):
        VideoReader(tmp_path / "a.mp4")


@pytest.mark.parametrize("name", ["concat:a.mp4", "http:a.mp4", "%03d.mp4", "-a.mp4", "a?b#c.mp4", "猫 [x]*.mp4"])
def test_names_are_names(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    make(tmp_path / "plain.mp4").rename(tmp_path / name)
    for path in (Path(name), tmp_path / name):
        assert len(read(path)[0]) == 12


def test_huge_frames_are_refused(tmp_path):
    path = make(tmp_path / "a.mp4")
    with pytest.raises(InputError, match="64×48 have more than 3000 pixels"):
        VideoReader(path, max_pixels=3000)


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="needs /proc")
def test_files_are_closed(tmp_path):
    path = make(tmp_path / "a.mp4")
    with VideoReader(path) as reader:
        next(reader)
        samples(reader, 3)
    assert list(reader) == []
    assert no_file_stays_open(path)
    with pytest.raises(InputError):
        VideoReader(path, start=Fraction(9))
    assert no_file_stays_open(path)


def test_two_threads_read_two_videos(tmp_path):
    paths = [make(tmp_path / f"{i}.mp4", Clip(UNSTEADY)) for i in range(3)]
    results: dict[Path, list[int]] = {}
    threads = [threading.Thread(target=lambda p=p: results.update({p: indices(read(p)[0])})) for p in paths]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert list(results.values()) == [list(range(len(UNSTEADY)))] * 3
