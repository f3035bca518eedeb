"""A few hundred cases of every kind, the same ones every time; ``python -m tests.fuzz`` runs any number."""

from __future__ import annotations

import os
from pathlib import Path
from random import Random

import click
import pytest

pytest.importorskip("resource", reason="time and memory are limited as POSIX systems can")

from tests.fuzz import judge, samples
from tests.fuzz.__main__ import _in_a_child
from tests.fuzz.cases import KINDS, Case, make_case
from tests.fuzz.mutate import mutated
from tests.fuzz.options import value_for

pytestmark = pytest.mark.slow

SEED = 1
CASES = {"pictures": 80, "gifs": 20, "videos": 25, "weights": 60, "labels": 40, "options": 50}


@pytest.fixture(autouse=True)
def _no_settings(monkeypatch):
    for name in list(os.environ):
        if name.startswith("GRADCAM_"):
            monkeypatch.delenv(name)


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_crashes(kind, tmp_path):
    for number in range(CASES[kind]):
        folder = tmp_path / str(number)
        folder.mkdir()
        assert judge.problems(make_case(kind, SEED, number), folder) == [], f"--kind {kind} --seed {SEED} {number=}"


def test_cases_are_the_same_every_time():
    for kind in KINDS:
        assert make_case(kind, 3, 5) == make_case(kind, 3, 5) != make_case(kind, 3, 6)


@pytest.mark.parametrize("kind", ["pictures", "gifs", "videos", "weights", "labels"])
def test_samples_are_good(kind, tmp_path):
    for suffix, data in samples.of(kind)[:3]:
        assert data, suffix
        assert len({mutated(data, Random(seed), data) for seed in range(40)}) > 20


@pytest.mark.parametrize(
    ("damage", "told"),
    [
        (lambda folder: Path("out.png.part").touch(), "left out.png.part"),
        (lambda folder: Path("a.png").write_bytes(b""), "changed a.png"),
        (lambda folder: Path("b.png").write_bytes(b"no picture"), "written but not told"),
        (lambda folder: print("gradcam_output/a_overlay.png"), "told but not there"),
        (lambda folder: click.echo("error: alone", err=True), "no hint"),
        (lambda folder: click.echo("this is a fault of gradcam", err=True), "fault"),
        (lambda folder: 1 / 0, "ZeroDivisionError"),
    ],
)
def test_the_judge_sees(damage, told, tmp_path, monkeypatch):
    monkeypatch.setattr(judge, "run", lambda arguments: (damage(tmp_path) and 0) or 0)
    found = judge.problems(Case(["image", "a.png"], {"a.png": b"input"}), tmp_path)
    assert any(told in each for each in found), found


def test_new_options_are_covered_by_their_type():
    option = click.Option(["--new"], type=click.IntRange(3, 9))
    values = {value_for(option, Random(seed)) for seed in range(1500)}
    assert {"3", "4", "6", "2", "9", "10", "nan"} <= values


def test_a_crash_of_the_process_is_told_with_its_case(tmp_path, monkeypatch, capfd):
    crashing = tmp_path / "python"
    crashing.write_text("#!/bin/sh\necho at 7\nkill -SEGV $$\n")
    crashing.chmod(0o755)
    monkeypatch.setattr("sys.executable", str(crashing))
    assert _in_a_child("pictures", 0, 5, 20, tmp_path / "kept") == (8, 1)
    assert "--kind pictures --seed 0 --first 7 --cases 1: the process ended with -11" in capfd.readouterr().out
    assert list((tmp_path / "kept" / "pictures-0-7").iterdir())
