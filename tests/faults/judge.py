"""Says what is wrong with what a disturbed run has left and told."""

from __future__ import annotations

import io
import json
from typing import TYPE_CHECKING, Any

import av
import numpy as np

from gradcam_cli.store.checking import check
from gradcam_cli.store.reading import Records
from tests.faults.runs import HANGS
from tests.faults.scenes import OUTPUTS, results
from tests.promises import CODES, told_json, told_wrong, unreadable

if TYPE_CHECKING:
    from collections.abc import Collection
    from pathlib import Path

    import numpy.typing as npt

    from tests.faults.runs import Done
    from tests.faults.scenes import Expected, Scene


def said(done: Done, scene: Scene, folder: Path, codes: Collection[int] = CODES, *, lasting: bool = True) -> list[str]:
    """Return what is wrong with an exit code, and with what a run has said.

    Args:
        done: the run.
        scene: what was run.
        folder: where.
        codes: that are right. Below zero: of a run that had no chance to say anything.
        lasting: whether what the run has written is to be there still.
    """
    if done.code == HANGS:
        return ["it hangs"]
    if done.code < 0 and done.code in codes:
        found = [line for line in done.err.splitlines() if line.startswith("Traceback")]
    else:
        found = told_wrong(done.code, done.err, codes)
    found += ["Python says: " + line for line in done.err.splitlines() if line.startswith("Exception ignored")]
    lines = done.out.splitlines(keepends=True)
    if scene.as_json:
        names, wrong = told_json(done.out)
        found += wrong
    else:
        names = [line.removesuffix("\n") for line in lines]
    if lines and not lines[-1].endswith("\n"):
        found.append(f"half a line on stdout: {lines[-1]}")
    if lasting:
        found += [f"told but not there: {name}" for name in names if not (folder / name).is_file()]
        found += [f"told but {why}: {name}" for name in names if (why := unreadable(folder / name))]
    return found


def left(
    folder: Path, expected: Expected, besides: Collection[str] = (), *, parts: bool = False, moved: bool = False
) -> list[str]:
    """Return what is wrong with the results in a folder, as many as are there, and with their records.

    Args:
        folder: of the results.
        expected: what they are to be, see `same`.
        besides: beginnings of the names of results that may be others, if whole.
        parts: whether unfinished files and lines may be there, under names that nobody takes for results.
        moved: whether the folder was moved or removed meanwhile, so that files and records need not be together.
    """
    found = [] if moved else recorded(folder, expected, torn=parts)
    for name, content in results(folder).items():
        path = folder / name
        if path.name.startswith(".") and path.name.endswith(".part"):
            found += [] if parts else [f"left {name}"]
        elif name not in expected.results:
            found.append(f"nobody asked for {name}")
        elif why := unreadable(path):
            found.append(f"{name} is not whole: {why}")
        elif not _begins(name, besides) and not same(name, content, expected.results[name]):
            found.append(f"{name} differs from an undisturbed run's: {_difference(content, expected.results[name])}")
    return found


def complete(folder: Path, expected: Expected) -> list[str]:
    """Return what is wrong with a folder that is to hold all results, each with a record."""
    there = results(folder / OUTPUTS)
    found = [f"missing: {name}" for name in expected.results if name not in there] + left(folder / OUTPUTS, expected)
    named = {file["path"] for record in _records(folder / OUTPUTS) for file in record["files"].values()}
    return found + [f"without a record: {name}" for name in expected.results if name not in named]


def recorded(folder: Path, expected: Expected, *, torn: bool) -> list[str]:
    """Return what is wrong with the records in a folder.

    Args:
        folder: of the results.
        expected: what the results are to be.
        torn: whether the last lines of runs may be unfinished; then a run may also have been killed after it replaced
            another's result by the same one, in which only the seconds differ, and before it recorded that.
    """
    records = Records(folder)
    there = results(folder)
    found = [
        f"recorded, but {name} {problem}"
        for name, problem in check(records).problems.items()
        if not (torn and name in there and same(name, there[name], expected.results.get(name, b"")))
    ]
    for path in records.paths:
        lines = path.read_bytes().splitlines(keepends=True)
        for position, line in enumerate(lines):
            last = position == len(lines) - 1
            if not (_is_whole(line) or (torn and last and not line.endswith(b"\n"))):
                found.append(f"half a record: {line!r}")
    keys = [
        (record["input"], record["cell"], *(file["path"] for file in record["files"].values()))
        for record in _records(folder)
    ]
    return found + [f"recorded {keys.count(key)} times: {key}" for key in dict.fromkeys(keys) if keys.count(key) > 1]


def _records(folder: Path) -> list[dict[str, Any]]:
    """Return the records that hold."""
    return [json.loads(line) for line in Records(folder).current()]


def _is_whole(line: bytes) -> bool:
    try:
        return line.endswith(b"}\n") and isinstance(json.loads(line), dict)
    except ValueError:
        return False


def same(name: str, one: bytes, other: bytes) -> bool:
    """Whether two results are the same: byte for byte, with two exceptions.

    libx264 does not always make the same bytes of the same frames: videos have the same frames at the same times, and
    these look alike. Floats of a picture depend on its company in a batch: maps are the same within 1e-5.
    """
    if one == other:
        return True
    if name.endswith(".npy"):
        maps = [np.load(io.BytesIO(each)) for each in (one, other)]
        return maps[0].shape == maps[1].shape and float(np.abs(maps[0] - maps[1]).max()) <= 1e-5
    if not name.endswith(".mp4"):
        return False
    (times, pictures), (other_times, others) = (_frames(each) for each in (one, other))
    return times == other_times and pictures.shape == others.shape and float(np.abs(pictures - others).mean()) < 3


def _frames(data: bytes) -> tuple[list[int | None], npt.NDArray[np.float32]]:
    with av.open(io.BytesIO(data)) as container:
        frames = list(container.decode(video=0))
    return [frame.pts for frame in frames], np.stack([frame.to_ndarray(format="rgb24") for frame in frames]).astype(
        np.float32
    )


def _begins(name: str, beginnings: Collection[str]) -> bool:
    return any(name.startswith(each) for each in beginnings)


def _difference(one: bytes, other: bytes) -> str:
    try:
        first, second = json.loads(one), json.loads(other)
    except ValueError:
        return f"{len(one)} and {len(other)} bytes"
    return ", ".join(key for key in first if first[key] != second.get(key))
