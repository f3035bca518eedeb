"""A disk that fills up while the commands write: a real one of some kilobytes, in a mount namespace of its own."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from fractions import Fraction
from typing import TYPE_CHECKING

import av
import cv2
import numpy as np
import pytest

from gradcam_cli.media.video.write import VideoWriter

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.slow

MOUNT = 'mount -t tmpfs -o size="$1" none "$2" && shift && '


@pytest.fixture
def on_small_disk(tmp_path):
    """Run ``gradcam`` with an output directory on a disk of so many bytes; what is left there comes back as a copy."""
    disk, after = tmp_path / "disk", tmp_path / "after"
    disk.mkdir()
    script = MOUNT + 'disk="$1" after="$2"; shift 2; "$@"; code=$?; cp -a "$disk" "$after"; exit $code'

    def call(size: int, *arguments: str) -> tuple[int, str, list[Path]]:
        shutil.rmtree(after, ignore_errors=True)
        done = subprocess.run(
            ["unshare", "-m", "sh", "-c", script, "sh", str(size), str(disk), str(after),
             sys.executable, "-m", "gradcam_cli", *arguments, "-m", "tiny", "-o", str(disk)],
            capture_output=True, text=True, cwd=tmp_path, env=dict(os.environ), check=False,
        )  # fmt: skip
        return done.returncode, done.stderr, sorted(path for path in after.iterdir() if path.name != ".gradcam")

    try:
        probe = subprocess.run(
            ["unshare", "-m", "sh", "-c", MOUNT + "true", "sh", "64k", str(disk)], capture_output=True, check=False
        )
    except FileNotFoundError:
        pytest.skip("there is no unshare here")
    if probe.returncode:
        pytest.skip("a disk of our own cannot be mounted here")
    return call


@pytest.fixture
def clip(tmp_path) -> Path:
    path = tmp_path / "clip.mp4"
    noise = np.random.default_rng(0).integers(0, 256, (15, 20, 3), np.uint8)
    picture = cv2.resize(noise, (320, 240), interpolation=cv2.INTER_CUBIC)
    with VideoWriter(path, (240, 320), tick=Fraction(1, 25), rate=Fraction(25)) as writer:
        for k in range(60):
            writer.write_rgb(np.roll(picture, 5 * k, axis=1), Fraction(k, 25), Fraction(1, 25))
    return path


def test_a_clip_leaves_nothing_half_written_and_says_how_far_it_got(on_small_disk, clip):
    code, err, left = on_small_disk(48 << 10, "video", str(clip))
    assert code == 1
    assert "the disk is full" in err
    assert "clip.mp4: stopped after" in err
    assert err.count("error: ") == 1
    assert "Traceback" not in err
    assert left == []


def test_what_is_kept_of_a_clip_plays(on_small_disk, clip):
    code, err, left = on_small_disk(96 << 10, "video", str(clip), "--keep-partial")
    assert code == 1
    assert "the disk is full" in err
    assert left, "nothing was kept, though the disk had room for one file"
    for path in left:
        assert not path.name.startswith(".")
        with av.open(str(path)) as container:
            assert 0 < len(list(container.decode(video=0))) <= 60


def test_pictures_come_whole_or_not_at_all(on_small_disk, tmp_path):
    noise = np.random.default_rng(1).integers(0, 256, (60, 90, 3), np.uint8)
    for k in range(4):
        assert cv2.imwrite(str(tmp_path / f"picture{k}.png"), noise)
    pictures = [str(tmp_path / f"picture{k}.png") for k in range(4)]
    code, err, left = on_small_disk(64 << 10, "image", *pictures, "--batch-size", "1")
    assert code == 3
    assert "the disk is full" in err
    names = {path.name for path in left}
    assert names, "the first picture fits"
    for k in range(4):
        mine = {name for name in names if name.startswith(f"picture{k}_")}
        assert len(mine) in (0, 3), "all of a picture's files or none"
    assert all(cv2.imread(str(path)) is not None for path in left)
