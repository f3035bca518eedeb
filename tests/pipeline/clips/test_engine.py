"""The clip's engine, with a source and sinks that are lists: order, steadiness, bounded queues, failures."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from fractions import Fraction
from itertools import product

import cv2
import numpy as np
import pytest

from gradcam_cli.cam.targets import TargetSpec
from gradcam_cli.errors import InputError, OutputError
from gradcam_cli.models.preprocess import Prepared
from gradcam_cli.pipeline.clips import survey as survey_module
from gradcam_cli.pipeline.clips.engine import explain_clip
from gradcam_cli.pipeline.clips.survey import survey
from gradcam_cli.pipeline.concurrency import StageScheduler
from gradcam_cli.pipeline.session import Session
from gradcam_cli.pipeline.settings import ClipSettings, ModelSettings
from gradcam_cli.render.saliency import SaliencyMap


@dataclass
class Still:
    """A frame of a clip that pans over a picture."""

    pixels: np.ndarray
    time: Fraction
    duration: Fraction = Fraction(1, 25)

    @property
    def size(self):
        return self.pixels.shape[:2]

    def rgb(self, size=None):
        if size is None:
            return self.pixels
        return cv2.resize(self.pixels, size[::-1], interpolation=cv2.INTER_AREA)


def looked(frames):
    return [(frame, True) for frame in frames]


class Kept:
    """A sink that keeps what it is given."""

    coloured = True

    def __init__(self, delay: float = 0.0) -> None:
        self.times, self.maps, self.told = [], [], []
        self.finished = 0
        self._delay = delay

    def draw(self, frame, grayscale, told):
        return frame, grayscale, told

    def write(self, drawn):
        frame, grayscale, told = drawn
        time.sleep(self._delay)
        self.times.append(frame.time)
        self.maps.append(grayscale)
        self.told.append(told)

    def finish(self):
        time.sleep(50 * self._delay)
        self.finished += 1


@pytest.fixture(scope="module")
def session() -> Session:
    return Session(ModelSettings(model="tiny", targets=(TargetSpec(index=3),)))


@pytest.fixture
def frames(photo):
    return [Still(np.ascontiguousarray(np.roll(photo, 2 * k, axis=1)), Fraction(k, 25)) for k in range(30)]


def run(frames, sinks, session, **chosen):
    settings = ClipSettings(**chosen)
    found = survey(looked(frames[::3]), session, settings)
    return explain_clip(iter(frames), [sinks], session, settings, found, lambda tally: None), found


@pytest.mark.slow
@pytest.mark.parametrize("batch_size", [1, 4, 64])
def test_every_frame_reaches_every_sink_in_order(frames, session, batch_size):
    sinks = [Kept(), Kept(0.002)]
    tally, _ = run(frames, sinks, session, batch_size=batch_size)
    assert tally.frames == 30
    assert tally.shown == pytest.approx(1.2)
    for sink in sinks:
        assert sink.finished == 1
        assert sink.times == [frame.time for frame in frames]
        assert all(gray.shape == (60, 90) and gray.dtype == np.uint8 for gray in sink.maps)


def test_all_sinks_finish_at_once_however_few_the_cores(frames, session, monkeypatch):
    monkeypatch.setattr("gradcam_cli.pipeline.concurrency.cores", lambda: 2)
    together = threading.Barrier(5, timeout=10)

    class Meeting(Kept):
        def finish(self):
            together.wait()
            super().finish()

    sinks = [Meeting() for _ in range(5)]
    run(frames, sinks, session)
    assert [sink.finished for sink in sinks] == [1] * 5


def test_the_scale_is_the_clips(frames, session):
    """Bytes of all frames are on one scale: a frame's map is its values between the survey's ends."""
    sink = Kept()
    _, found = run(frames, [sink], session)
    assert found.tracks[0].scale is not None
    result = session.explain_batch([session.prepare_frame(frames[10])])[0]
    geometry = session.prepare_frame(frames[10]).geometry
    expected = SaliencyMap(result.maps[0].values, geometry, scale=found.tracks[0].scale).bytes()
    assert np.abs(sink.maps[10].astype(int) - expected).max() <= 1
    own = Kept()
    run(frames, [own], session, normalize_over="frame")
    assert all((gray.min(), gray.max()) == (0, 255) for gray in own.maps if gray.any())
    assert any(gray.max() < 255 for gray in sink.maps)


def test_one_class_for_the_clip_or_one_a_frame(frames):
    top = Session(ModelSettings(model="tiny"))
    one, each = Kept(), Kept()
    _, found = run(frames, [one], top)
    assert {told.index for told in one.told} == {found.tracks[0].target.index}
    _, found = run(frames, [each], top, per_frame_target=True)
    assert found.targets is None
    singles = [top.explain_batch([top.prepare_frame(frame)])[0].targets[0].index for frame in frames]
    assert [told.index for told in each.told] == singles


def test_a_survey_asks_again_only_about_frames_of_another_class(photo, monkeypatch):
    sky = np.full_like(photo, (90, 150, 230))
    frames = [Still(sky if k == 2 else photo, Fraction(k, 25)) for k in range(6)]
    top = Session(ModelSettings(model="tiny"))
    explained = []

    def explain_batch(pictures, targets=None):
        explained.append((len(pictures), targets))
        return Session.explain_batch(top, pictures, targets)

    monkeypatch.setattr(top, "explain_batch", explain_batch)
    found = survey(looked(frames), top, ClipSettings())
    assert sum(count for count, targets in explained if targets is None) == 6
    assert [asked_for for asked_for in explained if asked_for[1] is not None] == [(1, found.targets)]
    named = Session(ModelSettings(model="tiny", targets=(TargetSpec(index=found.tracks[0].target.index),)))
    assert found.tracks[0].scale == pytest.approx(
        survey(looked(frames), named, ClipSettings()).tracks[0].scale, rel=1e-5
    )


@pytest.mark.slow
@pytest.mark.parametrize("per_frame_target", [False, True])
@pytest.mark.parametrize("batch_size", [1, 4, 64])
def test_frames_of_the_survey_that_recur_are_asked_about_once(photo, monkeypatch, batch_size, per_frame_target):
    sky = np.full_like(photo, (90, 150, 230))
    frames = [Still(sky if k in (3, 8) else np.roll(photo, 2 * k, axis=1), Fraction(k, 25)) for k in range(11)]
    top = Session(ModelSettings(model="tiny"))
    settings = ClipSettings(batch_size=batch_size, per_frame_target=per_frame_target)
    runs, counts = [], []
    monkeypatch.setattr(
        top,
        "explain_batch",
        lambda pictures, targets: counts.append(len(pictures)) or Session.explain_batch(top, pictures, targets),
    )
    for recur in (False, True):
        sink = Kept()
        found = survey(looked(frames[2:9:3]), top, settings, recur=recur)
        counts.clear()
        explain_clip(iter(frames), [[sink]], top, settings, found, lambda tally: None)
        runs.append((sum(counts), sink))
        assert not found.known
    (all_frames, plain), (others, reused) = runs
    assert (all_frames, others) == (11, 8)
    assert counts[:-1] == [batch_size] * (len(counts) - 1)  # what is known takes nobody's place
    assert reused.times == plain.times
    assert reused.told == plain.told
    assert all((one == other).all() for one, other in zip(plain.maps, reused.maps, strict=True))


def test_frames_passed_by_are_prepared_while_there_is_time(frames, session, monkeypatch):
    """Whatever of them was ready, the run has the same results, and prepares no frame again."""
    sinks = [Kept(), Kept()]
    plain = survey(looked(frames[::3]), session, ClipSettings(), recur=True)
    explain_clip(iter(frames), [[sinks[0]]], session, ClipSettings(), plain, lambda tally: None)

    def slowly():  # as a decoder gives them
        for k, frame in enumerate(frames):
            time.sleep(0.005)
            yield frame, k % 3 == 0

    found = survey(slowly(), session, ClipSettings(), recur=True)
    ready = {when for when, what in found.known.items() if isinstance(what, Prepared)}
    assert ready
    assert set(found.known) - ready == {frame.time for frame in frames[::3]}
    prepared = []
    monkeypatch.setattr(
        session, "prepare_frame", lambda frame: prepared.append(frame.time) or Session.prepare_frame(session, frame)
    )
    explain_clip(iter(frames), [[sinks[1]]], session, ClipSettings(), found, lambda tally: None)
    assert not ready & set(prepared)
    assert len(prepared) == 20 - len(ready)
    assert sinks[0].told == sinks[1].told
    assert all((one == other).all() for one, other in zip(sinks[0].maps, sinks[1].maps, strict=True))


def test_what_is_prepared_before_its_turn_is_bounded(frames, session, monkeypatch):
    size = session.prepare_frame(frames[0]).tensor.nbytes
    monkeypatch.setattr(survey_module, "READY_BYTES", 3 * size)

    def slowly():
        for k, frame in enumerate(frames):
            time.sleep(0.005)
            yield frame, k == 0

    found = survey(slowly(), session, ClipSettings(), recur=True)
    ready = [what for what in found.known.values() if isinstance(what, Prepared)]
    assert 3 <= len(ready) < 3 + session.explainer.concurrency
    assert not survey(slowly(), session, ClipSettings()).known  # of frames that do not recur nothing is kept


@pytest.mark.slow
def test_several_maps_of_a_frame_are_each_what_they_are_alone(frames):
    """For each layer, class and method its own scale, its own smoothing, its own output."""
    layers, methods = ("stage2.1", "stage3.1"), ("gradcam", "layercam")
    targets = (TargetSpec(rank=1), TargetSpec(label="dog"))
    session = Session(ModelSettings(model="tiny", layers=layers, targets=targets, methods=methods))
    sinks = [Kept() for _ in range(8)]
    settings = ClipSettings(smooth=0.1)
    found = survey(looked(frames[::3]), session, settings)
    explain_clip(iter(frames), [[sink] for sink in sinks], session, settings, found, lambda tally: None)
    combinations = product(layers, targets, methods)
    for sink, track, (layer, target, method) in zip(sinks, found.tracks, combinations, strict=True):
        alone = Kept()
        single = Session(ModelSettings(model="tiny", layers=(layer,), targets=(target,), methods=(method,)))
        _, only = run(frames, [alone], single, smooth=0.1)
        assert (track.layer, track.method, track.target.label) == (layer, method, only.tracks[0].target.label)
        assert {told.label for told in sink.told} == {told.label for told in alone.told}
        assert max(np.abs(a.astype(int) - b).max() for a, b in zip(sink.maps, alone.maps, strict=True)) <= 1


def test_smoothing_is_applied(frames, session):
    sharp, smooth = Kept(), Kept()
    run(frames, [sharp], session, batch_size=4)
    run(frames, [smooth], session, batch_size=4, smooth=0.5)

    def flicker(sink):
        return np.mean([np.abs(a.astype(int) - b).mean() for a, b in zip(sink.maps, sink.maps[1:], strict=False)])

    assert flicker(smooth) < 0.5 * flicker(sharp)


def test_a_sinks_error_comes_out_and_nothing_hangs(frames, session):
    class Full(Kept):
        def write(self, drawn):
            if drawn[0].time > Fraction(8, 25):
                raise OutputError("the disk is full", "free some space")

    with pytest.raises(OutputError):
        run(frames, [Kept(), Full()], session, batch_size=2)
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("stage")]


def test_a_sources_error_comes_out_behind_what_was_read(frames, session):
    def breaking():
        yield from frames[:10]
        raise InputError("broken", "mend it")

    sink = Kept()
    settings = ClipSettings(batch_size=4)
    found = survey(looked(frames[:1]), session, settings)
    with pytest.raises(InputError):
        explain_clip(breaking(), [[sink]], session, settings, found, lambda tally: None)
    assert len(sink.times) == 10


def test_a_survey_that_is_interrupted_begins_nothing_more(frames, session, monkeypatch):
    class Stopped(BaseException):
        pass

    explained, wait = [], StageScheduler._wait

    def explain_batch(pictures, targets=None):
        explained.append(len(pictures))
        time.sleep(0.3)
        return Session.explain_batch(session, pictures, targets)

    def interrupted(scheduler):
        monkeypatch.setattr(StageScheduler, "_wait", wait)
        time.sleep(0.15)
        raise Stopped

    monkeypatch.setattr(session, "explain_batch", explain_batch)
    monkeypatch.setattr(StageScheduler, "_wait", interrupted)
    with pytest.raises(Stopped):
        survey(looked(frames[:8]), session, ClipSettings(batch_size=1))
    assert len(explained) <= session.explainer.concurrency


def test_no_frames(session):
    with pytest.raises(InputError, match="no frame"):
        survey([], session, ClipSettings())
