"""Every video of the shared corpus: the good are read and written, the bad are refused in one line, none hangs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from gradcam_cli.errors import InputError
from gradcam_cli.media.video.read import VideoReader
from gradcam_cli.media.video.write import VideoWriter
from gradcam_cli.text import printable
from tests.conftest import corpus_rows
from tests.media.clips import look

if TYPE_CHECKING:
    from pathlib import Path

ROWS = corpus_rows("video")

pytestmark = pytest.mark.skipif(not ROWS, reason="no corpus beside the project (../shared/data/corpus)")


@pytest.mark.parametrize("row", ROWS, ids=lambda row: ascii(row["path"]))
def test_row(corpus: Path, tmp_path: Path, row: dict[str, str]):
    path = corpus / row["path"]
    refusal = found = None
    try:
        found = _rewritten(path, tmp_path / "b.mp4")
    except InputError as error:
        refusal = error
    if found:
        assert row["validity"] == "ok" or "decodable frames processed" in row["expected"]
        _is_plausible(row, *found)
        assert look(tmp_path / "b.mp4").times == [time for time, _, _ in found[1]]
    else:
        assert row["validity"] == "bad", refusal
        assert printable(path.name) in refusal.message
        assert refusal.message.isprintable()
        assert refusal.hint
        assert list(tmp_path.iterdir()) == []


def _rewritten(source: Path, target: Path) -> tuple[tuple[int, int], list]:
    """Read and write; return the size, and each frame's time, duration and mean."""
    with VideoReader(source) as reader:
        info, frames = reader.info, []
        with VideoWriter(target, info.size, tick=info.tick, rate=info.rate, audio=reader.audio) as writer:
            for frame in reader:
                writer.write(frame.planes, frame.time, frame.duration)
                frames.append((frame.time, frame.duration, frame.rgb().mean()))
    return info.size, frames


def _is_plausible(row: dict[str, str], size: tuple[int, int], frames: list) -> None:
    """Compare with what the corpus' maker saw in the file: ``… [(160, 120)] n=12 …``."""
    probe = dict(word.split("=", 1) for word in row["probe"].split() if "=" in word)
    times = [time for time, _, _ in frames]
    assert times[0] == 0
    assert times == sorted(set(times))
    assert all(0 < duration < 10 for _, duration, _ in frames)
    assert all(1 < mean < 254 for _, _, mean in frames)
    if row["validity"] == "ok":
        assert len(frames) == int(probe["n"])
        assert min(size) >= 2
        coded = row["probe"].split("[(")[1].split(")")[0]
        if probe["rot"] == "0" and row["category"] != "rotation":
            assert f"{size[1]}, {size[0]}" == coded
