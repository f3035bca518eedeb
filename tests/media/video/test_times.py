"""Frames' times where a file states them badly or not at all: AVI, raw streams, first stamps that are missing."""

from __future__ import annotations

import shutil
import subprocess
from fractions import Fraction
from typing import TYPE_CHECKING

import av
import pytest

from gradcam_cli.media.video.read import VideoReader
from gradcam_cli.media.video.stamps import BestEffort
from gradcam_cli.media.video.write import VideoWriter
from tests.media.clips import Sound, click, gray_frame, level, sound_stream, write_sound

if TYPE_CHECKING:
    from pathlib import Path

SIZE = (48, 64)
GAPS = [0, 1, 2, 3, 9, 10, 11, 20, 21]
"""Numbers of the frames that an AVI file with dropped frames holds."""


def encoded(path: Path, codec: str, numbers: list[int], rate: int = 12, **options: str) -> Path:
    """Write the frames of these numbers, at the times that their numbers stand for."""
    with av.open(str(path), "w") as output:
        stream = output.add_stream(codec, rate, options=options, width=SIZE[1], height=SIZE[0])
        stream.pix_fmt = "yuv420p"
        stream.codec_context.time_base = Fraction(1, rate)
        for number in numbers:
            frame = gray_frame(number, SIZE)
            frame.pts, frame.time_base = number, Fraction(1, rate)
            output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
    return path


def times_and_levels(path: Path, **options) -> tuple[list[Fraction], list[int], Fraction]:
    """Return times, brightness, and the end of the last frame."""
    with VideoReader(path, **options) as reader:
        frames = list(reader)
    return (
        [f.time for f in frames],
        [round(float(f.rgb()[30:, 30:].mean())) for f in frames],
        frames[-1].time + (frames[-1].duration),
    )


@pytest.mark.parametrize(("codec", "options"), [("libx264", {"bf": "0"}), ("mpeg4", {})])
def test_avi_with_dropped_frames(tmp_path, codec, options):
    times, levels, end = times_and_levels(encoded(tmp_path / "a.avi", codec, GAPS, **options))
    assert times == [Fraction(number, 12) for number in GAPS]
    assert levels == pytest.approx([level(number) for number in GAPS], abs=4)
    assert end == Fraction(22, 12)


def best_effort(path: Path) -> list[str]:
    """Return the times that ffprobe gives its frames; N/A where it has none."""
    shown = ("-select_streams", "V:0", "-show_entries", "frame=best_effort_timestamp_time,pkt_dts_time")
    command = ["ffprobe", "-v", "error", *shown, "-of", "csv=p=0:nk=0", str(path)]
    lines = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    found = [dict(part.split("=") for part in line.strip(",").split(",")) for line in lines]
    # Newer ones guess presentation times of AVI, and take them; their decoding times are the file's.
    kind = "pkt_dts_time" if path.suffix == ".avi" else "best_effort_timestamp_time"
    return [each[kind] for each in found]


@pytest.mark.parametrize(
    ("name", "codec", "numbers", "options"),
    [
        ("a.avi", "libx264", GAPS, {"bf": "2"}),
        ("b.avi", "mpeg4", list(range(20)), {"bf": "2"}),
        ("c.mp4", "libx264", GAPS, {"bf": "2"}),
        ("d.mkv", "libx264", GAPS, {"bf": "2"}),
        ("e.flv", "libx264", list(range(20)), {"bf": "2"}),
        ("f.ts", "libx264", GAPS, {"bf": "2"}),
        ("g.wmv", "wmv2", list(range(20)), {}),
    ],
)
def test_times_are_those_of_ffprobe(tmp_path, name, codec, numbers, options):
    if shutil.which("ffprobe") is None:
        pytest.skip("there is no ffprobe here")
    path = encoded(tmp_path / name, codec, numbers, **options)
    times, _, _ = times_and_levels(path)
    stated = best_effort(path)
    known = [(mine, Fraction(theirs)) for mine, theirs in zip(times, stated, strict=True) if theirs != "N/A"]
    assert len(known) >= len(times) - 2
    assert max(abs((mine - known[0][0]) - (theirs - known[0][1])) for mine, theirs in known) < Fraction(1, 1000)


@pytest.mark.parametrize(
    ("name", "codec", "options"), [("a.h264", "libx264", {"bf": "2"}), ("b.h264", "libx264", {"bf": "0"}),
                                   ("c.m2v", "mpeg2video", {})],
)  # fmt: skip
@pytest.mark.parametrize("rate", [24, 30, 50])
def test_raw_streams_have_the_rate_that_they_state(tmp_path, name, codec, options, rate):
    path = encoded(tmp_path / name, codec, list(range(20)), rate, **options)
    times, _, end = times_and_levels(path)
    assert [float(time) for time in times] == pytest.approx([n / rate for n in range(20)], abs=0.0002)
    assert float(end) == pytest.approx(20 / rate, abs=0.001)
    with VideoReader(path) as reader:
        assert float(reader.info.rate) == pytest.approx(rate, rel=0.001)
        assert float(reader.info.duration) == pytest.approx(20 / rate, abs=1 / rate)


def negative(path: Path, before: Fraction, cut_sound: Fraction) -> Path:
    """Write a clip that begins ``before`` seconds ahead of time 0: Matroska's reader gives those frames no times."""
    with av.open(str(path), "w", options={"avoid_negative_ts": "disabled"}) as output:
        stream = output.add_stream("libx264", 12, options={"bf": "2"}, width=SIZE[1], height=SIZE[0])
        stream.pix_fmt, stream.codec_context.time_base = "yuv420p", Fraction(1, 12)
        sound = Sound(start=cut_sound, end=Fraction(3), click=Fraction(1))
        audio = sound_stream(output, sound)
        for number in range(36):
            frame = gray_frame(number, SIZE)
            frame.pts, frame.time_base = number - int(before * 12), Fraction(1, 12)
            output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
        write_sound(output, audio, sound)
    return path


@pytest.mark.parametrize("before", [Fraction(1, 3), Fraction(2)])
def test_first_stamps_that_are_missing_are_counted_back(tmp_path, before):
    path = negative(tmp_path / "a.mkv", before, -before)
    with av.open(str(path)) as container:
        assert [f.pts for f in container.decode(video=0)].count(None) > 2, "the fixture shows nothing"
    with VideoReader(path) as reader:
        assert float(reader.info.duration) == pytest.approx(3, abs=0.01)
        target = tmp_path / "b.mp4"
        with VideoWriter(target, SIZE, tick=reader.info.tick, rate=reader.info.rate, audio=reader.audio) as writer:
            times = []
            for frame in reader:
                writer.write(frame.planes, frame.time, frame.duration)
                times.append(frame.time)
    assert [float(time) for time in times] == pytest.approx([n / 12 for n in range(36)], abs=0.01)
    assert click(target) == pytest.approx(1 + float(before), abs=0.003)  # Matroska counts milliseconds


def test_a_part_of_such_a_clip_is_the_same_part(tmp_path):
    path = negative(tmp_path / "a.mkv", Fraction(1, 3), Fraction(0))
    _, whole, _ = times_and_levels(path)
    times, part, _ = times_and_levels(path, start=Fraction(1), end=Fraction(2))
    assert part in (whole[12:24], whole[13:24])  # Matroska counts milliseconds
    assert float(times[-1]) == pytest.approx((len(part) - 1) / 12, abs=0.002)


class Stamped:
    def __init__(self, pts: int | None, dts: int | None) -> None:
        self.pts, self.dts = pts, dts


@pytest.mark.parametrize(
    ("stamps", "expected"),
    [
        ([(0, 0), (2, 1), (4, 2)], [0, 2, 4]),  # both are in order: presentation times
        ([(0, 0), (2, 1), (1, 2), (4, 3)], [0, 2, 2, 3]),  # those have gone backward: decoding times from there on
        ([(0, 5), (2, 4), (1, 3)], [0, 2, 1]),  # but not where decoding times are worse
        ([(None, 0), (None, 1), (4, None)], [0, 1, 4]),
        ([(None, None), (3, None)], [None, 3]),
    ],
)
def test_the_rule_of_best_effort(stamps, expected):
    rule = BestEffort(trusted=True)
    assert [rule.of_frame(Stamped(*each)) for each in stamps] == expected


def test_guessed_presentation_times_are_not_believed():
    rule = BestEffort(trusted=False)
    assert [rule.of_frame(Stamped(*each)) for each in [(1, 0), (10, 1), (11, None)]] == [0, 1, 11]
