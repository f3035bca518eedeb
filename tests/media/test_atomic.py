"""Writing: every file appears whole or not at all, and no part file stays."""

from __future__ import annotations

import contextlib
import errno
import os
import re
import signal
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from gradcam_cli.errors import OutputError
from gradcam_cli.media.atomic import atomic_path, remove_abandoned, write_all
from gradcam_cli.media.gif.write import GifWriter
from gradcam_cli.media.video.write import VideoWriter


def tree(root: Path) -> dict[str, bytes]:
    return {str(p.relative_to(root)): p.read_bytes() for p in sorted(root.rglob("*")) if p.is_file()}


def test_files_are_written_and_directories_made(tmp_path):
    write_all({tmp_path / "a.png": b"a", tmp_path / "deep" / "er" / "b.npy": b"", tmp_path / "c d\n猫.json": b"c" * 9})
    assert tree(tmp_path) == {"a.png": b"a", "c d\n猫.json": b"c" * 9, "deep/er/b.npy": b""}
    write_all({})


def test_relative_paths(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_all({Path("a.png"): b"a"})
    assert tree(tmp_path) == {"a.png": b"a"}


def test_an_existing_file_is_replaced(tmp_path):
    (tmp_path / "a").write_bytes(b"old and longer")
    write_all({tmp_path / "a": b"new"})
    assert tree(tmp_path) == {"a": b"new"}


def test_permissions_are_the_usual_ones(tmp_path):
    previous = os.umask(0o027)
    try:
        write_all({tmp_path / "a": b"a"})
    finally:
        os.umask(previous)
    assert (tmp_path / "a").stat().st_mode & 0o777 == 0o640


def test_part_files_are_hidden_and_ones_own(tmp_path):
    with atomic_path(tmp_path / "dog.png") as one, atomic_path(tmp_path / "dog.png") as two:
        assert one != two
        assert re.fullmatch(rf"\.dog\.png\.{os.getpid()}-[0-9a-f]+\.part", one.name)
        assert one.parent == tmp_path
        one.write_bytes(b"1")
        two.write_bytes(b"2")
    assert tree(tmp_path) == {"dog.png": b"1"}


@pytest.mark.parametrize("letter", ["x", "猫"])
def test_long_names(tmp_path, letter):
    name = letter * (251 // len(letter.encode())) + ".png"
    write_all({tmp_path / name: b"long"})
    assert tree(tmp_path) == {name: b"long"}


def test_a_name_that_is_too_long_is_an_error(tmp_path):
    with pytest.raises(OutputError, match="the name is too long"):
        write_all({tmp_path / "a": b"a", tmp_path / ("x" * 300): b"b"})
    assert tree(tmp_path) == {}


def fail_on(monkeypatch: pytest.MonkeyPatch, number: int, error: BaseException) -> None:
    """Let the file that is opened as the ``number``-th be written by half, then raise."""
    plain, count = Path.open, 0

    def opening(self: Path, *args: object, **options: object) -> object:
        nonlocal count
        count += 1
        stream = plain(self, *args, **options)
        if count != number:
            return stream
        stream.write(b"half")
        stream.close()
        raise error

    monkeypatch.setattr(Path, "open", opening)


@pytest.mark.parametrize(
    ("number", "message"),
    [
        (errno.ENOSPC, "the disk is full"),
        (errno.EDQUOT, "the disk quota is used up"),
        (errno.EACCES, "permission denied"),
        (errno.EROFS, "read-only"),
        (errno.EIO, "input/output error"),
        (errno.EXDEV, os.strerror(errno.EXDEV)),
    ],
)
def test_a_failure_leaves_everything_as_it_was(tmp_path, monkeypatch, number, message):
    (tmp_path / "a").write_bytes(b"old")
    fail_on(monkeypatch, 2, OSError(number, os.strerror(number)))
    with pytest.raises(OutputError, match=message) as caught:
        write_all({tmp_path / "a": b"new", tmp_path / "b\n": b"new", tmp_path / "c": b"new"})
    monkeypatch.undo()
    assert tree(tmp_path) == {"a": b"old"}
    assert caught.value.message.startswith(f"{tmp_path}/b\\n: cannot be written: ")
    assert caught.value.hint


@pytest.mark.parametrize("number", [1, 2, 3])
def test_ctrl_c_leaves_no_part(tmp_path, monkeypatch, number):
    fail_on(monkeypatch, number, KeyboardInterrupt())
    with pytest.raises(KeyboardInterrupt):
        write_all({tmp_path / name: b"new" for name in "abc"})
    monkeypatch.undo()
    assert tree(tmp_path) == {}


def test_ctrl_c_while_replacing_leaves_whole_files_only(tmp_path, monkeypatch):
    plain, calls = os.replace, []

    def replacing(source: Path, target: Path) -> None:
        calls.append(target)
        if len(calls) == 2:
            raise KeyboardInterrupt
        plain(source, target)

    monkeypatch.setattr(os, "replace", replacing)
    with pytest.raises(KeyboardInterrupt):
        write_all({tmp_path / name: b"new" for name in "abc"})
    assert tree(tmp_path) == {calls[0].name: b"new"}


def test_a_stream_that_fails_leaves_nothing(tmp_path):
    (tmp_path / "clip.mp4").write_bytes(b"old")

    def stream() -> None:
        with atomic_path(tmp_path / "clip.mp4") as part:
            part.write_bytes(b"half")
            raise OSError(errno.ENOENT, "of the block itself")

    with pytest.raises(OSError, match="of the block itself"):
        stream()
    assert tree(tmp_path) == {"clip.mp4": b"old"}


def test_places_that_cannot_be_written_to(tmp_path):
    (tmp_path / "file").write_bytes(b"old")
    (tmp_path / "directory").mkdir()
    for path, message in (
        (tmp_path / "file" / "a.png", "not a directory"),
        (tmp_path / "file" / "deeper" / "a.png", "not a directory"),
        (tmp_path / "directory", "it is a directory"),
    ):
        with pytest.raises(OutputError, match=message) as caught:
            write_all({tmp_path / "other": b"new", path: b"new"})
        assert caught.value.hint
        assert tree(tmp_path) == {"file": b"old"}


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write everywhere")
def test_a_directory_without_permission(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(OutputError, match="permission denied"):
        write_all({tmp_path / "a": b"new"})
    tmp_path.chmod(0o700)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_disk_that_is_really_full(tmp_path, monkeypatch):
    plain = Path.open
    monkeypatch.setattr(Path, "open", lambda self, mode, buffering: plain(Path("/dev/full"), "wb", buffering))
    with pytest.raises(OutputError, match="the disk is full"):
        write_all({tmp_path / "a": b"new"})
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(os.name != "posix", reason="whether a process lives can be asked on POSIX systems")
def test_part_files_of_killed_processes_are_removed(tmp_path):
    code = "import os, signal; from pathlib import Path; from gradcam_cli.media.atomic import atomic_path\n"
    code += "with atomic_path(Path('killed.png')) as part: part.touch(); os.kill(os.getpid(), signal.SIGKILL)"
    environment = dict(os.environ)
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=environment, check=False)
    assert done.returncode == -signal.SIGKILL
    (left,) = tmp_path.iterdir()
    process, system = re.fullmatch(r"\.killed\.png\.([0-9]+)-([0-9a-f]{8})[0-9a-f]{6}\.part", left.name).groups()
    elsewhere = f"{int(system, 16) ^ 1:08x}"
    others = [f".a.png.{process}-{elsewhere}123456.part", f".a.png.{process}.part", f"a.png.{process}-{system}123456",
              f".a.png.{'9' * 30}-{system}123456.part", ".part", "a.part"]  # fmt: skip
    for name in others:
        (tmp_path / name).touch()
    with atomic_path(tmp_path / "b.png") as mine:
        mine.touch()
        remove_abandoned(tmp_path)
        assert mine.exists()
    assert {path.name for path in tmp_path.iterdir()} == {*others, "b.png"}
    remove_abandoned(tmp_path / "missing")


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="open files are looked up in /proc")
@pytest.mark.parametrize("fails", [False, True])
def test_files_are_closed_before_they_are_renamed(fails, tmp_path, monkeypatch):
    """Windows refuses to rename an open file, and would keep a part file that is open."""
    renamed = []

    def replace(source, target):
        names = (os.path.realpath(f"/proc/self/fd/{number}") for number in os.listdir("/proc/self/fd"))
        assert str(source) not in names, f"{source} is still open"
        renamed.append(Path(target).name)
        os.rename(source, target)

    monkeypatch.setattr("gradcam_cli.media.atomic.os.replace", replace)
    grey, time = np.zeros((16, 16, 3), np.uint8), Fraction(1, 10)
    write_all({tmp_path / "a.png": b"a"})
    makers = {
        "b.gif": lambda path: GifWriter(path, (16, 16), keep_partial=True),
        "c.mp4": lambda path: VideoWriter(path, (16, 16), tick=time, rate=1 / time, keep_partial=True),
    }
    for name, make in makers.items():
        with contextlib.suppress(KeyboardInterrupt), make(tmp_path / name) as writer:
            add = writer.write if name == "b.gif" else writer.write_rgb
            for k in range(3):
                add(grey + 80 * k, k * time, time)
            if fails:
                raise KeyboardInterrupt
    assert renamed == ["a.png", *(["b.partial.gif", "c.partial.mp4"] if fails else ["b.gif", "c.mp4"])]
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(renamed)
