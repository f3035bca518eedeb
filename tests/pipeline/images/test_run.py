"""The run's promises: bounded memory, order, isolation of failures, finished work is handed out."""

from __future__ import annotations

import gc
import json
import threading
import time
import weakref
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from PIL import Image

from gradcam_cli.cam.explainer import Explainer
from gradcam_cli.errors import InputError, OutputError
from gradcam_cli.pipeline.artifacts.registry import SUFFIXES
from gradcam_cli.pipeline.images import run as run_module
from gradcam_cli.pipeline.images.run import READERS, WINDOW, WRITERS, ImageRun
from gradcam_cli.pipeline.session import Session
from gradcam_cli.pipeline.settings import ModelSettings, RenderSettings, RunSettings
from gradcam_cli.plan.make import OutputOptions, make_plan

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="module")
def session() -> Session:
    return Session(ModelSettings(model="tiny"))


@pytest.fixture
def folder(tmp_path, photo) -> Path:
    folder = tmp_path / "in"
    folder.mkdir()
    for position in range(40):
        height = (60, 90, 45)[position % 3]
        Image.fromarray(photo[:, :60]).resize((60, height)).save(folder / f"{position:02}.png")
    return folder


def jobs_for(folder: Path, render: RenderSettings):
    options = OutputOptions(folder.parent / "out", render.kinds, render.format, SUFFIXES)
    return make_plan([str(folder)], suffixes=frozenset({".png"}), options=options).jobs


def outcomes(folder: Path, session: Session, **settings):
    render = RenderSettings(kinds=("overlay",))
    return ImageRun(jobs_for(folder, render), session, RunSettings(render=render, **settings))


def test_order_is_the_inputs(folder, session):
    found = [outcome.job.name for outcome in outcomes(folder, session, batch_size=4)]
    assert found == [str(path) for path in sorted(folder.iterdir())]


@pytest.mark.slow
def test_few_pictures_are_alive_at_once(folder, session, monkeypatch):
    pictures: list[weakref.ref] = []
    most = 0
    original = run_module.read_picture_for

    class Tracked(np.ndarray):
        """An array that can be referred to weakly."""

    def tracked(*arguments):
        nonlocal most
        picture = original(*arguments)
        picture.pixels = picture.pixels.view(Tracked)
        pictures.append(weakref.ref(picture.pixels))
        most = max(most, alive())
        return picture

    def alive() -> int:
        return sum(reference() is not None for reference in pictures)

    monkeypatch.setattr(run_module, "read_picture_for", tracked)
    count = 0
    for outcome in outcomes(folder, session, batch_size=2):
        assert outcome.error is None
        count += 1
        del outcome
    gc.collect()
    assert count == 40
    # Besides the window, a thread may still hold the picture that it has just handed over.
    assert 1 < most <= WINDOW * 2 + READERS + WRITERS
    assert alive() == 0


@pytest.mark.slow
def test_those_that_are_being_read_are_held_too(folder, session, monkeypatch):
    """However many could be read before the first batch is explained."""
    nbytes, alive, most = 60 * 90 * 3, 0, 0
    lock = threading.Lock()
    read, finish, explain_batch = run_module.read_job, run_module.finish_job, session.explain_batch
    monkeypatch.setattr(run_module, "MAX_BYTES", 6 * nbytes)

    def counted(*arguments):
        nonlocal alive, most
        with lock:
            alive += 1
            most = max(most, alive)
        return read(*arguments)

    def finished(*arguments):
        nonlocal alive
        outcome = finish(*arguments)
        with lock:
            alive -= 1
        return outcome

    def slowly(pictures):
        time.sleep(0.05)
        return explain_batch(pictures)

    monkeypatch.setattr(run_module, "read_job", counted)
    monkeypatch.setattr(run_module, "finish_job", finished)
    monkeypatch.setattr(session, "explain_batch", slowly)
    for path in folder.iterdir():
        Image.new("RGB", (90, 60)).save(path)
    assert sum(1 for _ in outcomes(folder, session, batch_size=8)) == 40
    assert 2 < most <= 6


def test_large_pictures_are_held_by_bytes(folder, session, monkeypatch):
    """When one picture fills the budget, the next is read only after it is done: no deadlock, all finished."""
    monkeypatch.setattr(run_module, "MAX_BYTES", 1)
    assert sum(1 for _ in outcomes(folder, session, batch_size=8)) == 40


@pytest.mark.parametrize("batch_size", [1, 3, 64])
def test_a_failure_stays_alone(folder, session, batch_size):
    (folder / "07.png").write_bytes(b"not a picture")
    found = list(outcomes(folder, session, batch_size=batch_size))
    assert [outcome.job.name for outcome in found if outcome.error] == [str(folder / "07.png")]
    assert isinstance(found[7].error, InputError)
    assert len(list((folder.parent / "out").iterdir())) == 39


@pytest.mark.slow
@pytest.mark.parametrize(("batch_size", "most_bytes"), [(3, run_module.MAX_BYTES), (3, 70_000), (8, 70_000)])
def test_batches_follow_from_the_inputs_alone(folder, session, monkeypatch, batch_size, most_bytes):
    """Rounding may depend on the company; which thread is done first must not show in the results."""
    (folder / "11.png").write_bytes(b"not a picture")
    read, explain_batch, finish = run_module.read_job, session.explain_batch, run_module.finish_job
    monkeypatch.setattr(run_module, "MAX_BYTES", most_bytes)
    monkeypatch.setattr(Explainer, "concurrency", 2)

    def made(slow_to_read, slow_to_write):
        names, made = {}, []

        def slowly(job, *rest):
            time.sleep(0.01 * slow_to_read(job.name))
            item = read(job, *rest)
            names[id(item.prepared)] = job.name
            return item

        def noted(pictures):
            made.append([names[id(each)] for each in pictures])
            return explain_batch(pictures)

        def finished(item, *rest):
            time.sleep(0.01 * slow_to_write(item.job.name))
            return finish(item, *rest)

        monkeypatch.setattr(run_module, "read_job", slowly)
        monkeypatch.setattr(session, "explain_batch", noted)
        monkeypatch.setattr(run_module, "finish_job", finished)
        assert sum(1 for _ in outcomes(folder, session, batch_size=batch_size)) == 40
        return sorted(made)

    once = made(lambda name: "0.png" in name, lambda name: False)
    again = made(lambda name: "3.png" in name, lambda name: "2" in name)
    assert once == again
    assert max(map(len, once)) > 1


def test_threads_that_run_the_network_share_a_batch_and_the_cores(folder, session, monkeypatch):
    monkeypatch.setattr(Explainer, "concurrency", 2)
    together, explain_batch, cores = threading.Barrier(2, timeout=10), session.explain_batch, torch.get_num_threads()
    seen = []

    def noted(pictures):
        together.wait()  # for ever, if only one thread asked
        seen.append((len(pictures), torch.get_num_threads()))
        return explain_batch(pictures)

    monkeypatch.setattr(session, "explain_batch", noted)
    for path in folder.iterdir():
        Image.new("RGB", (90, 60)).save(path)
    assert sum(1 for _ in outcomes(folder, session, batch_size=8)) == 40
    assert seen == [(4, max(1, cores // 2))] * 10
    assert torch.get_num_threads() == cores


@pytest.mark.parametrize(
    ("method", "batch_size"), [("gradcam", 40), ("ablationcam", 8), ("scorecam", 8), ("gradcam", 3)]
)
def test_one_thread_runs_the_network_with_all_cores(folder, session, monkeypatch, method, batch_size):
    """Where there is one batch, where a picture takes many passes, and where batches are small."""
    monkeypatch.setattr(Explainer, "concurrency", 2)
    explained = session.only(0, method)
    cores, seen = torch.get_num_threads(), set()

    def noted(pictures):
        seen.add((threading.current_thread(), torch.get_num_threads()))
        return [InputError("not asked", "this is a test")] * len(pictures)

    monkeypatch.setattr(explained, "explain_batch", noted)
    assert sum(1 for _ in outcomes(folder, explained, batch_size=batch_size)) == 40
    assert seen == {(threading.main_thread(), cores)}


@pytest.mark.slow
def test_bytes_are_the_same_whatever_the_company(folder, session, tmp_path, monkeypatch):
    """In batches of any size, and for what a run that goes on where another stopped finds left."""
    kinds = ("grayscale", "heatmap", "overlay", "map", "json")

    monkeypatch.setattr(Explainer, "concurrency", 2)

    def written(out, batch_size, leave_out=()):
        render = RenderSettings(kinds=kinds)
        options = OutputOptions(tmp_path / out, render.kinds, render.format, SUFFIXES)
        jobs = make_plan([str(folder)], suffixes=frozenset({".png"}), options=options).jobs
        left = [job for job in jobs if job.input.name not in leave_out]
        assert not [
            each.error for each in ImageRun(left, session, RunSettings(batch_size, render=render)) if each.error
        ]
        return {path.name: told(path) for path in (tmp_path / out).iterdir()}

    def told(path):
        if path.suffix != ".json":
            return path.read_bytes()
        return {key: value for key, value in json.loads(path.read_text()).items() if key not in ("seconds", "files")}

    whole = written("whole", 8)
    assert len(whole) == 5 * 40
    assert all(written(f"by{size}", size) == whole for size in (1, 3))
    rest = written("rest", 8, {f"{position:02}.png" for position in (0, 1, 4, 7, 30)})
    assert rest == {name: whole[name] for name in rest}
    assert len(rest) == 5 * 35


def test_a_result_that_cannot_be_written_is_that_inputs_failure(folder, session, monkeypatch):
    original = run_module.write_all

    def full(files):
        if any("05_" in path.name for path in files):
            raise OutputError("the disk is full", "free some space")
        original(files)

    monkeypatch.setattr(run_module, "write_all", full)
    found = list(outcomes(folder, session))
    assert [position for position, outcome in enumerate(found) if outcome.error] == [5]


def test_fail_fast_hands_out_what_is_finished(folder, session):
    (folder / "03.png").write_bytes(b"")
    found = list(outcomes(folder, session, batch_size=2, fail_fast=True))
    assert len(found) < 40
    assert found[3].error is not None
    written = {path.name for path in (folder.parent / "out").iterdir()}
    assert written == {explanation.files["overlay"].name for each in found for explanation in each.explanations}


def test_an_error_in_the_network_ends_the_run(folder, session, monkeypatch):
    def explode(pictures):
        raise RuntimeError("boom")

    monkeypatch.setattr(session, "explain_batch", explode)
    with pytest.raises(RuntimeError, match="boom"):
        list(outcomes(folder, session))
    assert not list((folder.parent / "out").iterdir())
