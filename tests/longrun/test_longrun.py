"""The judge of long runs judges: what grows is told, what does not is not; and a short run passes."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests import module_environment
from tests.longrun.observe import Observed, Sample, growth

pytestmark = [pytest.mark.slow, pytest.mark.skipif(not sys.platform.startswith("linux"), reason="/proc is Linux's")]


def observed(**slopes: float) -> Observed:
    """Return 400 samples whose attributes grow by so much in all."""
    usual = {"memory": 300 << 20, "files": 20, "threads": 9}
    samples = [
        Sample(3 + 0.25 * k, **{name: int(start + slopes.get(name, 0) * k / 400) for name, start in usual.items()})
        for k in range(400)
    ]
    return Observed(0, 103, samples, 1000)


def test_what_is_constant_passes():
    assert growth(observed()) == []


def test_what_grows_before_the_second_quarter_passes():
    steady = observed()
    early = [Sample(each.seconds, each.memory // 2, 5, 2) for each in steady.samples[:100]]
    assert growth(Observed(0, 103, [*early, *steady.samples[100:]], 1000)) == []


@pytest.mark.parametrize(
    ("slopes", "told"),
    [({"memory": 60 << 20}, "memory grew"), ({"files": 10}, "open files grew"), ({"threads": 10}, "threads grew")],
)
def test_what_grows_is_told(slopes, told):
    (found,) = growth(observed(**slopes))
    assert told in found


def test_threads_that_end_a_clip_are_no_growth():
    steady = observed()
    ending = [Sample(each.seconds, each.memory, each.files, 12) for each in steady.samples[-10:]]
    assert growth(Observed(0, 103, [*steady.samples[:-10], *ending], 1000)) == []


def test_a_run_that_is_too_short_to_tell_is_no_success():
    assert growth(Observed(0, 1, [Sample(1, 1, 1, 1)], 1)) != []
    assert growth(Observed(1, 1, [], 0)) != []


def test_a_short_run():
    command = [sys.executable, "-m", "tests.longrun", "--pictures", "200", "--clips", "0", "--seconds", "10"]
    done = subprocess.run(
        [*command, "--every", "0.02"], capture_output=True, text=True, check=False, env=module_environment()
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "pictures: 800 results" in done.stdout
    assert "video: 4 results" in done.stdout
