"""Videos out: exact times, right colours, the source's sound, playable anywhere; whole or not at all."""

from __future__ import annotations

from contextlib import suppress
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import av
import numpy as np
import pytest

from gradcam_cli.errors import InputError, OutputError
from gradcam_cli.media.video import write as video_write
from gradcam_cli.media.video.frames.scale import to_rgb
from gradcam_cli.media.video.read import VideoReader
from gradcam_cli.media.video.write import VideoWriter
from gradcam_cli.records import CODECS
from tests.media.clips import (
    COLOURS,
    STEADY,
    UNSTEADY,
    Clip,
    Sound,
    boxes,
    click,
    look,
    make,
    packets,
    patch_colours,
    patches,
)

TWELFTH = Fraction(1, 12)


def convert(source: Path, target: Path, **options) -> VideoWriter:
    """Write what is read, the way a pipeline does."""
    selection = {key: options.pop(key) for key in ("start", "end", "fps", "stride") if key in options}
    with VideoReader(source, **selection) as reader:
        info = reader.info
        with VideoWriter(target, info.size, tick=info.tick, rate=info.rate, audio=reader.audio, **options) as writer:
            for frame in reader:
                writer.write(frame.planes, frame.time, frame.duration)
    return writer


def noise(count: int = 30, size=(256, 256)) -> list[np.ndarray]:
    rng = np.random.default_rng(3)
    return [rng.integers(0, 256, (*size, 3), np.uint8) for _ in range(count)]


def written(path: Path, frames, **options) -> Path:
    size = frames[0].shape[:2]
    with VideoWriter(path, size, tick=TWELFTH, rate=Fraction(12), **options) as writer:
        for index, pixels in enumerate(frames):
            writer.write_rgb(pixels, index * TWELFTH, TWELFTH)
    return path


@pytest.mark.parametrize(("cores", "threads"), [(1, 1), (2, 1), (4, 2), (64, 4)])
def test_the_encoder_has_half_the_cores(tmp_path, monkeypatch, cores, threads):
    monkeypatch.setattr(video_write, "cores", lambda: cores)
    path = written(tmp_path / "noise.mp4", noise(4))
    assert f"threads={threads} ".encode() in path.read_bytes()


def test_threads_of_the_encoder_work_on_frames_not_on_slices(tmp_path):
    """What x264 says of itself at the beginning of the stream; slices make threads wait, and files larger."""
    path = written(tmp_path / "noise.mp4", noise(4), threads=2)
    settings = path.read_bytes().partition(b"options: ")[2].partition(b"\0")[0].split()
    assert b"threads=2" in settings
    assert b"sliced_threads=0" in settings


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize("times", [STEADY, UNSTEADY, [Fraction(0)]], ids=["steady", "unsteady", "single"])
def test_times_are_the_sources(tmp_path, times, codec):
    if {"h264": "libx264", "vp9": "libvpx-vp9", "av1": "libsvtav1"}[codec] not in av.codecs_available:
        pytest.skip("this FFmpeg has no such encoder")
    source = make(tmp_path / "a.mp4", Clip(times, last=Fraction(1, 3), options={"bf": "0"}))
    convert(source, tmp_path / "b.mp4", codec=codec)
    found = look(tmp_path / "b.mp4")
    assert found.times == times
    if codec == "h264":  # the others' parsers guess durations from the mean rate
        assert found.durations == [b - a for a, b in pairwise(times)] + [Fraction(1, 3)]
    assert found.video["duration"] == times[-1] + Fraction(1, 3)
    assert found.video["codec"] == codec
    assert found.video["form"] == "yuv420p"
    assert found.video["size"] == (48, 64)
    assert found.sound == []


@pytest.mark.parametrize("tick", [Fraction(1, 12), Fraction(1001, 30_000), Fraction(1, 90_000), Fraction(1, 14_441)])
def test_any_tick_is_kept(tmp_path, tick):
    times = [i * 7 * tick for i in range(9)]
    with VideoWriter(tmp_path / "a.mp4", (32, 32), tick=tick, rate=1 / (7 * tick)) as writer:
        for time in times:
            writer.write_rgb(np.full((32, 32, 3), 90, np.uint8), time, 7 * tick)
    found = look(tmp_path / "a.mp4")
    assert found.times == times
    assert found.video["duration"] == 63 * tick


def test_too_fine_a_tick_is_rounded(tmp_path):
    third = Fraction(333_333_333, 10**9)
    with VideoWriter(tmp_path / "a.mp4", (32, 32), tick=Fraction(1, 10**9), rate=Fraction(3)) as writer:
        for index in range(3):
            writer.write_rgb(np.full((32, 32, 3), 90, np.uint8), index * third, third)
    assert look(tmp_path / "a.mp4").times == [Fraction(i, 3) for i in range(3)]


def test_it_plays_in_browsers(tmp_path):
    convert(make(tmp_path / "a.mkv", Clip(sound=Sound())), tmp_path / "b.mp4")
    found = look(tmp_path / "b.mp4")
    assert boxes(tmp_path / "b.mp4").index("moov") < boxes(tmp_path / "b.mp4").index("mdat")
    assert found.video["tags"] == (1, 1, 1, 1)
    assert b"colrnclx" in (tmp_path / "b.mp4").read_bytes()
    assert names(tmp_path) == ["a.mkv", "b.mp4"]


def test_colours_survive(tmp_path):
    source = make(
        tmp_path / "a.mkv",
        Clip([Fraction(0)], (32, 128), "ffv1", frames=[patches("bt601", "yuv420p", full=True, tag=6)]),
    )
    convert(source, tmp_path / "b.mp4", quality=100)
    (frame,) = look(tmp_path / "b.mp4").frames
    planes = tuple(np.frombuffer(memoryview(p), np.uint8).reshape(p.height, -1)[:, : p.width] for p in frame.planes)
    assert np.abs(patch_colours(to_rgb(planes, (32, 128), None)) - COLOURS).max() <= 5


def test_rgb_is_written_as_it_is(tmp_path):
    pixels = np.broadcast_to(COLOURS.repeat(16, axis=0).astype(np.uint8), (32, 128, 3))
    with VideoReader(written(tmp_path / "a.mp4", [pixels] * 2, quality=100)) as reader:
        assert np.abs(patch_colours(next(reader).rgb()) - COLOURS).max() <= 5


def test_odd_sides_are_padded(tmp_path):
    written(tmp_path / "a.mp4", [np.full((33, 47, 3), 99, np.uint8)] * 2)
    assert look(tmp_path / "a.mp4").video["size"] == (34, 48)
    source = make(tmp_path / "odd.mkv", Clip(size=(41, 63), codec="ffv1", form="yuv444p"))
    convert(source, tmp_path / "b.mp4")
    assert look(tmp_path / "b.mp4").video["size"] == (42, 64)


def test_quality_and_size(tmp_path):
    sizes = [written(tmp_path / f"{q}.mp4", noise(4), quality=q).stat().st_size for q in (1, 50, 100)]
    assert sizes == sorted(sizes)
    assert sizes[0] < sizes[2] / 4


def test_times_that_fall_into_one_tick_stay_in_order(tmp_path):
    with VideoWriter(tmp_path / "a.mp4", (32, 32), tick=TWELFTH, rate=Fraction(12)) as writer:
        for index in range(4):
            writer.write_rgb(np.full((32, 32, 3), 90, np.uint8), Fraction(index, 100), Fraction(1, 100))
    assert look(tmp_path / "a.mp4").times == [i * TWELFTH for i in range(4)]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "codec", "copied"),
    [
        ("a.mp4", "aac", True),
        ("a.mkv", "aac", True),
        ("a.mkv", "libmp3lame", True),
        ("a.mkv", "libopus", True),
        ("a.mkv", "flac", True),
        ("a.ts", "aac", False),
        ("a.mkv", "libvorbis", False),
        ("a.mkv", "pcm_s16le", False),
        ("a.mkv", "ac3", False),
    ],
)
def test_sound_is_copied_or_transcoded(tmp_path, name, codec, copied):
    if codec not in av.codecs_available:
        pytest.skip("this FFmpeg has no such encoder")
    source = make(tmp_path / name, Clip([Fraction(i, 12) for i in range(24)], sound=Sound(codec)))
    convert(source, tmp_path / "b.mp4")
    before, after = packets(source), packets(tmp_path / "b.mp4")
    assert ([content for _, content in before] == [content for _, content in after]) == copied
    assert click(tmp_path / "b.mp4") == pytest.approx(1, abs=0.012)
    end = after[-1][0]
    assert 1.9 < end < 2.1
    begin, *times = look(source).times
    assert look(tmp_path / "b.mp4").times == [0, *(time - begin for time in times)]


@pytest.mark.parametrize("codec", ["aac", "pcm_s16le"])
def test_sound_stays_in_step(tmp_path, codec):
    suffix = "mp4" if codec == "aac" else "mkv"
    half = Fraction(1, 2)
    late = make(tmp_path / f"late.{suffix}", Clip([half + t for t in STEADY], sound=Sound(codec)))
    convert(late, tmp_path / "b.mp4")  # the picture begins half a second late: so much sound is cut off
    assert click(tmp_path / "b.mp4") == pytest.approx(0.5, abs=0.012)
    quiet = make(tmp_path / f"quiet.{suffix}", Clip(sound=Sound(codec, start=half)))
    convert(quiet, tmp_path / "c.mp4")  # the sound begins late
    assert click(tmp_path / "c.mp4") == pytest.approx(1, abs=0.012)


@pytest.mark.parametrize("codec", ["aac", "pcm_s16le"])
def test_sound_is_cut_with_the_picture(tmp_path, codec):
    suffix = "mp4" if codec == "aac" else "mkv"
    times = [Fraction(i, 12) for i in range(48)]
    source = make(tmp_path / f"a.{suffix}", Clip(times, sound=Sound(codec, end=Fraction(4), click=Fraction(2))))
    convert(source, tmp_path / "b.mp4", start=Fraction(3, 2), end=Fraction(5, 2))
    assert click(tmp_path / "b.mp4") == pytest.approx(0.5, abs=0.012)
    after = packets(tmp_path / "b.mp4")
    assert -0.1 < after[0][0] <= 0
    assert 0.95 < after[-1][0] < 1.03
    assert len(look(tmp_path / "b.mp4").times) == 12


def test_dropped_frames_do_not_change_the_speed(tmp_path):
    source = make(tmp_path / "a.mp4", Clip(sound=Sound()))
    convert(source, tmp_path / "b.mp4", stride=3)
    convert(source, tmp_path / "c.mp4", fps=Fraction(5))
    assert look(tmp_path / "b.mp4").video["duration"] == 1
    assert look(tmp_path / "c.mp4").times == [Fraction(i, 5) for i in range(5)]
    for name in ("b", "c"):
        assert click(tmp_path / f"{name}.mp4") == pytest.approx(1, abs=0.012)


@pytest.mark.parametrize("kind", [KeyboardInterrupt, RuntimeError])
@pytest.mark.parametrize("frames", [0, 1, 20])
def test_after_an_exception_nothing_remains(tmp_path, kind, frames):
    (tmp_path / "a.mp4").write_bytes(b"old")

    def interrupted():
        with VideoWriter(tmp_path / "a.mp4", (256, 256), tick=TWELFTH, rate=Fraction(12)) as writer:
            for index, pixels in enumerate(noise(frames)):
                writer.write_rgb(pixels, index * TWELFTH, TWELFTH)
            raise kind

    with pytest.raises(kind):
        interrupted()
    assert names(tmp_path) == ["a.mp4"]
    assert (tmp_path / "a.mp4").read_bytes() == b"old"


def test_what_was_done_can_be_kept(tmp_path):
    source = make(tmp_path / "s.mp4", Clip([Fraction(i, 12) for i in range(24)], sound=Sound()))

    def interrupted(stop: int):
        with (
            VideoReader(source) as reader,
            VideoWriter(
                tmp_path / f"{stop}.mp4",
                (48, 64),
                tick=reader.info.tick,
                rate=Fraction(12),
                audio=reader.audio,
                keep_partial=True,
            ) as writer,
        ):
            for index, frame in enumerate(reader):
                if index == stop:
                    raise KeyboardInterrupt
                writer.write(frame.planes, frame.time, frame.duration)

    for stop in (0, 1, 15):
        with pytest.raises(KeyboardInterrupt):
            interrupted(stop)
    assert names(tmp_path) == ["1.partial.mp4", "15.partial.mp4", "s.mp4"]
    found = look(tmp_path / "15.partial.mp4")
    assert found.times == [Fraction(i, 12) for i in range(15)]
    assert found.sound[-1][0] < 1.3
    assert boxes(tmp_path / "15.partial.mp4")[1] == "moov"


@pytest.mark.slow
@pytest.mark.parametrize("keep", [False, True])
def test_a_writer_that_was_flushed_holds_nothing_back_and_ends_as_others_do(tmp_path, keep):
    plain = written(tmp_path / "plain.mp4", noise(12), keep_partial=keep)
    for end in (None, KeyboardInterrupt):
        path = tmp_path / f"{end and end.__name__}.mp4"
        with (
            suppress(KeyboardInterrupt),
            VideoWriter(path, (256, 256), tick=TWELFTH, rate=Fraction(12), keep_partial=keep) as writer,
        ):
            writer.flush()  # there is nothing yet
            for index, pixels in enumerate(noise(12)):
                writer.write_rgb(pixels, index * TWELFTH, TWELFTH)
            waiting = len(writer._durations)
            for _ in range(2):
                writer.flush()
                assert len(writer._durations) == 0 < waiting
            if end:
                raise end
    assert look(tmp_path / "None.mp4").times == look(plain).times
    assert (tmp_path / "None.mp4").read_bytes() == plain.read_bytes()
    kept = tmp_path / "KeyboardInterrupt.partial.mp4"
    assert kept.exists() == keep
    assert not keep or look(kept).times == look(plain).times


def test_no_frame_no_file(tmp_path):
    writer = VideoWriter(tmp_path / "a.mp4", (32, 32), tick=TWELFTH, rate=Fraction(12))
    with pytest.raises(OutputError, match="there is no frame to write"), writer:
        pass
    assert names(tmp_path) == []


@pytest.mark.parametrize("keep", [False, True])
def test_a_full_disk(tmp_path, keep):
    resource = pytest.importorskip("resource")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, before[1]))
    try:
        with pytest.raises(OutputError, match=r"a\.mp4: cannot be written: the file would be larger") as caught:
            written(tmp_path / "a.mp4", noise(30), quality=100, keep_partial=keep)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert caught.value.hint
    assert names(tmp_path) == []


def test_a_disk_that_is_full_at_the_very_end(tmp_path):
    resource = pytest.importorskip("resource")
    frames = [np.full((32, 32, 3), 90, np.uint8)] * 3  # all of it stays in buffers until the end
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (500, before[1]))
    try:
        with pytest.raises(OutputError, match="the file would be larger"):
            written(tmp_path / "a.mp4", frames)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert names(tmp_path) == []


def test_a_place_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_bytes(b"")
    for path in (tmp_path / "file" / "a.mp4", tmp_path):
        with pytest.raises(OutputError, match="cannot be written"):
            written(path, noise(1))


def test_a_missing_encoder(tmp_path, monkeypatch):
    missing = video_write._Encoder("libnothing", 1, 1, 0, {})
    monkeypatch.setitem(video_write._ENCODERS, "av1", missing)
    with pytest.raises(OutputError, match="no libnothing"):
        written(tmp_path / "a.mp4", noise(1), codec="av1")
    assert names(tmp_path) == []


@pytest.mark.parametrize("name", ["a%03d.mp4", "-a.mp4", "concat:a.mp4", "two words 猫.mp4"])
def test_names_are_names(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    written(Path(name), noise(2, (32, 32)))
    assert names(tmp_path) == [name]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "codec", "sound"),
    [
        ("a.mp4", "libx264", "aac"),
        ("a.ts", "libx264", "aac"),
        ("a.mkv", "ffv1", "flac"),
        ("a.avi", "mpeg4", "pcm_s16le"),
        ("a.webm", "libvpx-vp9", "libopus"),
    ],
)
def test_damage_costs_frames_or_the_file_and_nothing_else(tmp_path, name, codec, sound):
    whole = make(tmp_path / name, Clip(codec=codec, sound=Sound(sound), tick=TWELFTH)).read_bytes()
    rng = np.random.default_rng(5)
    for _ in range(12):
        data = bytearray(whole[: rng.integers(len(whole) // 2, len(whole) + 1)])
        for place in rng.integers(0, len(data), rng.integers(1, 40)):
            data[place] = rng.integers(256)
        (tmp_path / name).write_bytes(data)
        with suppress(InputError):
            convert(tmp_path / name, tmp_path / "b.mp4")
            times = look(tmp_path / "b.mp4").times
            assert times[0] == 0
            assert times == sorted(set(times))
    assert not list(tmp_path.glob(".*"))


def test_several_writers_share_one_reader(tmp_path):
    source = make(tmp_path / "a.mp4", Clip(UNSTEADY, sound=Sound()))
    with VideoReader(source) as reader:
        info = reader.info
        writers = [
            VideoWriter(tmp_path / f"{i}.mp4", info.size, tick=info.tick, rate=info.rate, audio=reader.audio)
            for i in range(3)
        ]
        with writers[0], writers[1], writers[2]:
            for frame in reader:
                for writer in writers:
                    writer.write(frame.planes, frame.time, frame.duration)
    contents = [look(tmp_path / f"{i}.mp4") for i in range(3)]
    assert [c.times for c in contents] == [UNSTEADY] * 3
    assert contents[0].sound == contents[1].sound == contents[2].sound == packets(source)


def with_more_tracks(path: Path, source: Path, sounds: int, subtitles: int) -> Path:
    """Write a Matroska file of a video, its sound several times, and subtitles."""
    spoken = path.with_suffix(".srt")
    spoken.write_text("1\n00:00:00,000 --> 00:00:00,500\na line\n")
    with av.open(str(source)) as container, av.open(str(spoken)) as lines, av.open(str(path), "w") as output:
        video, audio = container.streams.video[0], container.streams.audio[0]
        copies = {video.index: [output.add_stream_from_template(video)],
                  audio.index: [output.add_stream_from_template(audio) for _ in range(sounds)]}  # fmt: skip
        texts = [output.add_stream_from_template(lines.streams.subtitles[0]) for _ in range(subtitles)]
        for packet in container.demux():
            if packet.dts is None:
                continue
            for stream in copies[packet.stream.index]:
                copy = av.Packet(bytes(packet))
                copy.pts, copy.dts, copy.time_base = packet.pts, packet.dts, packet.time_base
                copy.duration, copy.is_keyframe, copy.stream = packet.duration, packet.is_keyframe, stream
                output.mux(copy)
        for text in texts:
            line = av.Packet(b"a line")
            line.pts = line.dts = 0
            line.duration, line.time_base, line.stream = 500, Fraction(1, 1000), text
            output.mux(line)
    return path


@pytest.mark.parametrize(("sounds", "subtitles"), [(1, 0), (2, 0), (3, 1), (1, 2)])
def test_other_sound_tracks_and_subtitles_are_told(tmp_path, sounds, subtitles):
    source = make(tmp_path / "a.mp4", Clip(sound=Sound()))
    path = with_more_tracks(tmp_path / "b.mkv", source, sounds, subtitles)
    with VideoReader(path) as reader:
        info, audio = reader.info, reader.audio
    with VideoWriter(tmp_path / "c.mp4", info.size, tick=info.tick, rate=info.rate, audio=audio) as writer:
        writer.write_rgb(np.zeros((*info.size, 3), np.uint8), Fraction(0), Fraction(1))
        notes = (*info.notes, *writer.notes)
    expected = [f"{sounds - 1} other sound track"] * (sounds > 1) + [f"{subtitles} subtitle track"] * (subtitles > 0)
    assert len(notes) == len(expected)
    for words in expected:
        assert any(note.startswith(words) and note.endswith("left out") for note in notes)


@pytest.mark.parametrize(("late", "said"), [(0, False), (0.05, False), (0.5, True)])
def test_sound_before_the_first_frame_is_told(tmp_path, late, said):
    path = make(tmp_path / "a.mp4", Clip([Fraction(late) + t for t in STEADY], sound=Sound()))
    with VideoReader(path) as reader:
        info, audio = reader.info, reader.audio
    with VideoWriter(tmp_path / "b.mp4", info.size, tick=info.tick, rate=info.rate, audio=audio) as writer:
        writer.write_rgb(np.zeros((*info.size, 3), np.uint8), Fraction(0), Fraction(1))
        assert any(f"{late} s of sound before the first frame" in note for note in writer.notes) == said
    with VideoReader(path, start=Fraction(1, 4)) as reader:
        audio = reader.audio
    with VideoWriter(tmp_path / "c.mp4", info.size, tick=info.tick, rate=info.rate, audio=audio) as writer:
        writer.write_rgb(np.zeros((*info.size, 3), np.uint8), Fraction(0), Fraction(1))
        assert writer.notes == (), "a part was asked for"
