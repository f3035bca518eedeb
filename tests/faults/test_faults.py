"""Some faults of every kind, the same ones every time; ``python -m tests.faults`` runs any number."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys

import numpy as np
import pytest

if os.name != "posix":
    pytest.skip("processes are forked and sent signals as POSIX systems can", allow_module_level=True)

from gradcam_cli.media.atomic import write_all
from gradcam_cli.records import FileState
from gradcam_cli.store.record import line
from gradcam_cli.store.writing import Recorder
from tests.faults import judge
from tests.faults.cases import KINDS, MOUNTED, Bench
from tests.faults.runs import HANGS, ROOT, Done, Server, environment
from tests.faults.scenes import OUTPUTS, Expected, scene
from tests.fuzz import samples

pytestmark = pytest.mark.slow

SEED = 52
CASES = {"image": 3, "video": 1, "gif": 1, "start": 1, "vanish": 2, "inputs": 2, "twice": 1, "killed": 1}


@pytest.fixture(scope="module")
def server():
    with Server() as started:
        yield started


@pytest.fixture(scope="module")
def bench(server, tmp_path_factory):
    return Bench(server, tmp_path_factory.mktemp("bench").resolve())


@pytest.mark.parametrize("kind", CASES)
def test_nothing_is_lost(kind, bench):
    for number in range(CASES[kind]):
        assert bench.problems(kind, SEED, number) == [], f"--kind {kind} --seed {SEED} --first {number} --cases 1"


def test_nothing_is_lost_on_bad_disks():
    kinds = [word for kind in sorted(MOUNTED) for word in ("--kind", kind)]
    command = [sys.executable, "-m", "tests.faults", *kinds, "--cases", "2", "--seed", str(SEED)]
    done = subprocess.run(
        command, cwd=ROOT, env=environment() | {"PYTHONSAFEPATH": ""}, capture_output=True, text=True, check=False
    )
    if "skipped" in done.stdout:
        pytest.skip("a disk of our own cannot be mounted here")
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_kind_is_among_these():
    assert set(CASES) | MOUNTED == set(KINDS)


@pytest.fixture
def made(tmp_path):
    """Return (folder, expected): one finished result with its record."""
    picture = samples.of("pictures")[0][1]
    (tmp_path / OUTPUTS).mkdir()
    written = write_all({tmp_path / OUTPUTS / "a_overlay.png": picture})
    with Recorder(tmp_path / OUTPUTS) as recorder:
        recorder.add([record_of(state) for state in written.values()])
    return tmp_path, Expected({"a_overlay.png": picture}, 1)


def record_of(state, name="a_overlay.png"):
    keys = dict.fromkeys(("model", "layer", "method", "target", "predictions", "map"))
    return line(
        keys, settings_hash="ab" * 16, settings={}, complete=True, source="in", source_size=1, cell=0,
        files={"overlay": (name, state)},
    )  # fmt: skip


def records_in(path):
    (found,) = path.with_name(".gradcam").iterdir()
    return found


def append(path, data):
    with records_in(path).open("ab") as file:
        file.write(data)


@pytest.mark.parametrize(
    ("damage", "told"),
    [
        (lambda path: path.write_bytes(path.read_bytes()[:-30]), "is not whole"),
        (lambda path: path.write_bytes(path.read_bytes() + b"more"), "differs from an undisturbed run's"),
        (lambda path: path.with_name(f".{path.name}.1-2.part").touch(), "left .a_overlay.png.1-2.part"),
        (lambda path: path.with_name("b_overlay.png").touch(), "nobody asked for b_overlay.png"),
        (lambda path: path.unlink(), "missing: a_overlay.png"),
        (lambda path: path.unlink(), "recorded, but a_overlay.png is missing"),
        (lambda path: path.write_bytes(path.read_bytes() + b"more"), "recorded, but a_overlay.png is of another size"),
        (lambda path: append(path, b'{"schema":1'), "half a record"),
        (lambda path: append(path, record_of(FileState(1, "0" * 64, 1), "b.png")), "recorded, but b.png is missing"),
        (lambda path: records_in(path).unlink(), "without a record: a_overlay.png"),
    ],
)
def test_the_judge_sees_what_is_left(made, damage, told):
    folder, expected = made
    assert judge.complete(folder, expected) == []
    damage(folder / OUTPUTS / "a_overlay.png")
    found = judge.complete(folder, expected)
    assert any(told in each for each in found), found


@pytest.mark.parametrize(
    ("done", "told"),
    [
        (Done(0, "out/b_overlay.png\n", "", 1), "told but not there"),
        (Done(0, "out/a_over", "", 1), "half a line"),
        (Done(1, "", "", 1), "exit code 1 without a word"),
        (Done(130, "", "error: interrupted\n", 1), "exit code 130"),
        (Done(-signal.SIGSEGV, "", "", 1), "exit code -11"),
        (Done(0, "", "Exception ignored in: <x>\n", 1), "Python says"),
        (Done(HANGS, "", "", 1), "hangs"),
    ],
)
def test_the_judge_sees_what_is_said(made, done, told):
    folder, _ = made
    assert judge.said(Done(0, "out/a_overlay.png\n", "", 1), scene("image", 0), folder) == []
    found = judge.said(done, scene("image", 0), folder)
    assert any(told in each for each in found), found


def test_records_are_looked_at_too(made):
    folder, _ = made
    for name, found in (("a", []), ("b", ["told but not there: out/b_overlay.png"])):
        out = json.dumps({"files": {"overlay": f"out/{name}_overlay.png"}}) + "\n"
        assert judge.said(Done(0, out, "", 1), scene("image", 1), folder)[:1] == found


def test_what_counts_as_the_same():
    buffers = [io.BytesIO() for _ in range(3)]
    for buffer, more in zip(buffers, (0, 1e-6, 1e-3), strict=True):
        np.save(buffer, np.full((3, 4), 0.5 + more, np.float32))
    one, near, far = (buffer.getvalue() for buffer in buffers)
    assert judge.same("a.npy", one, near)
    assert not judge.same("a.npy", one, far)
    assert not judge.same("a.png", one, near)
    video, other = samples.of("videos")[0][1], samples.of("videos")[-1][1]
    assert judge.same("a.mp4", video, video + b"\0\0\0\x08free")
    assert not judge.same("a.mp4", video, other)
