"""What every medium of moving pictures does: one suite for all that are registered, and the choice by content."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image

from gradcam_cli.errors import InputError
from gradcam_cli.media.video.write import VideoWriter
from gradcam_cli.pipeline.clips.sources.base import SAMPLES
from gradcam_cli.pipeline.clips.sources.registry import MEDIA, open_source, suffixes_for
from gradcam_cli.pipeline.settings import ClipSettings
from gradcam_cli.records import Job, Output

if TYPE_CHECKING:
    from pathlib import Path

SIZE, COUNT = (34, 46), 10


def shade(index: int) -> np.ndarray:
    return np.full((*SIZE, 3), 20 * index + 20, np.uint8)


def save_animation(path: Path) -> None:
    first, *rest = (Image.fromarray(shade(index)) for index in range(COUNT))
    first.save(path, format="GIF", save_all=True, append_images=rest, duration=100, loop=3)


def save_video(path: Path) -> None:
    with VideoWriter(path.with_suffix(".mp4"), SIZE, tick=Fraction(1, 10), rate=Fraction(10)) as writer:
        for index in range(COUNT):
            writer.write_rgb(shade(index), Fraction(index, 10), Fraction(1, 10))
    path.with_suffix(".mp4").rename(path)


SAVE = {
    "animation": save_animation,
    "video": save_video,
}
"""One file of each medium: ten shades of grey, a tenth of a second each."""


def job_for(path: Path, container: str = "mp4") -> Job:
    return Job(path, path.name, path, (Output("overlay", "overlay", container, "", path.with_suffix(".out")),))


@pytest.fixture(params=MEDIA)
def path(request, tmp_path):
    found = tmp_path / "clip.unknown"  # what a file is called tells nothing
    SAVE[request.param](found)
    return found


def test_every_medium_is_tried_here():
    assert set(SAVE) == set(MEDIA)


def frames_of(path: Path, **chosen: object) -> list[tuple[Fraction, Fraction, int]]:
    with open_source(job_for(path), ClipSettings(**chosen)) as source:
        return [(each.time, each.duration, int(each.rgb((1, 1))[0, 0, 0])) for each in source.frames()]


def test_frames_come_in_order_with_their_times(path):
    found = frames_of(path)
    assert [time for time, _, _ in found] == [Fraction(index, 10) for index in range(COUNT)]
    assert {duration for _, duration, _ in found} == {Fraction(1, 10)}
    assert [level for *_, level in found] == pytest.approx([20 * index + 20 for index in range(COUNT)], abs=3)


def test_info_and_planes(path):
    for container in ("mp4", "gif"):
        with open_source(job_for(path, container), ClipSettings()) as source:
            assert (source.info.size, source.info.frames) == (SIZE, COUNT)
            assert float(source.info.rate) == pytest.approx(10, rel=0.2)
            frame = next(iter(source.frames()))
            assert [plane.shape for plane in frame.planes] == [SIZE, (17, 23), (17, 23)]
            assert frame.rgb().shape == (*SIZE, 3)
            assert frame.rgb((5, 7)).shape == (5, 7, 3)
            assert all((each.time / source.info.tick).denominator == 1 for each in source.frames())


def test_samples_are_frames_of_the_clip(path):
    with open_source(job_for(path), ClipSettings()) as source:
        assert source.samples_recur
        sampled = {frame.time: frame for frame, is_sample in source.samples() if is_sample}
        frames = {frame.time: frame for frame in source.frames()}
    assert 1 <= len(sampled) <= SAMPLES
    for time, frame in sampled.items():
        assert np.array_equal(frame.rgb(), frames[time].rgb())


def test_parts_of_a_clip(path):
    assert [time for time, _, _ in frames_of(path, start=Fraction(3, 10))] == [Fraction(k, 10) for k in range(7)]
    assert len(frames_of(path, end=Fraction(4, 10))) == 4
    strided = frames_of(path, stride=4)
    assert [(time, duration) for time, duration, _ in strided] == [
        (Fraction(0), Fraction(4, 10)), (Fraction(4, 10), Fraction(4, 10)), (Fraction(8, 10), Fraction(2, 10)),
    ]  # fmt: skip
    assert [time for time, _, _ in frames_of(path, fps=Fraction(5))] == [Fraction(k, 5) for k in range(5)]
    with open_source(job_for(path), ClipSettings(max_size=20)) as source:
        assert source.info.size == next(iter(source.frames())).size == (15, 20)


def test_more_frames_than_wanted_are_refused(path):
    with pytest.raises(InputError), open_source(job_for(path), ClipSettings(max_frames=5)) as source:
        list(source.frames())


def test_commands_search_for_their_own_media():
    assert ".mp4" in suffixes_for("video") - suffixes_for("gif")
    assert ".gif" in suffixes_for("gif") - suffixes_for("video")
