"""Every file of the corpus through the command that it is for: good ones done right, bad ones told, nothing else.

The corpus is the shared one, where that is, and one in small that has a file of each of its categories.
"""

from __future__ import annotations

import faulthandler
import io
import json
import os
import re
import sys
import threading
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from PIL import Image, ImageCms, ImageOps

from gradcam_cli.cli.main import run
from gradcam_cli.text import printable
from tests.cli import small_corpus
from tests.conftest import corpus_rows
from tests.fuzz.samples import MARKER, NETWORK

pytestmark = pytest.mark.slow

MINUTES = 10
"""For all files of a kind; then the process ends with a traceback of what hangs."""

MAY_BE_REFUSED = re.compile(r"or one-line error|else one-line error|^clear error|or clear 'AVIF")
MAY_BE_DONE = re.compile(r"decodable frames|degraded|or the complete frames|one-frame result|decoded right|garbled")
"""What the table says of files whose outcome it leaves open."""

ODD = "\udce9"
"""How the table's ``\\xe9``, a byte that is no UTF-8, appears in a file name."""


class Corpus:
    """A folder of files with their table."""

    def __init__(self, folder: Path, rows: list[dict[str, str]]) -> None:
        self.folder = folder
        self._rows = rows

    def of(self, kind: str) -> dict[str, dict[str, str]]:
        """Return the rows of a kind by their file's path; root may read what nobody may."""
        rows = {str(self.folder / row["path"].replace("\\xe9", ODD)): row for row in self._rows if row["kind"] == kind}
        return {path: row for path, row in rows.items() if os.geteuid() or "unreadable" not in path}


@pytest.fixture(scope="module", params=["shared", "small"])
def files(request, tmp_path_factory) -> Corpus:
    if request.param == "small":
        folder = tmp_path_factory.mktemp("small")
        return Corpus(folder, small_corpus.build(folder))
    return Corpus(request.getfixturevalue("corpus"), corpus_rows(*small_corpus.KINDS))


@pytest.fixture(autouse=True)
def _here(tmp_path, monkeypatch):
    """Work in an empty folder, with a time limit."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GRADCAM_TEST_MARKER", str(tmp_path / MARKER))
    stderr = os.dup(2)
    faulthandler.dump_traceback_later(60 * MINUTES, exit=True, file=stderr)
    yield
    faulthandler.cancel_dump_traceback_later()
    os.close(stderr)


def walked(command: str, files: Corpus, kind: str, capfdbinary, *options: str) -> dict[str, dict]:
    """Give all files of a kind to a command at once; return the records of what was done, by path."""
    rows, threads = files.of(kind), threading.active_count()
    code = run([command, "-m", "tiny", "--json", "--name-from", "path", *options, "--", *rows])
    captured = capfdbinary.readouterr()
    records = {record["input"]: record for record in map(json.loads, captured.out.decode().splitlines())}
    assert code == 3
    assert sorted(records) == sorted(rows)
    for path, record in records.items():
        judge(rows[path], Path(path), done="error" not in record, told=record.get("error", {}).get("message", ""))

    done = {path: record for path, record in records.items() if "error" not in record}
    told = {Path(file) for record in done.values() for file in record["files"].values()}
    there = (path for path in Path.cwd().rglob("*") if path.is_file() and path.parent.name != ".gradcam")
    assert {path.relative_to(Path.cwd()) for path in there} == told
    messages = captured.err.decode("utf-8", "backslashreplace").splitlines()
    for start in ("error: ", "  hint: "):
        assert sum(line.startswith(start) for line in messages) == len(rows) - len(done)
    assert not [line for line in messages if "Traceback" in line or "fault of gradcam" in line]
    assert threading.active_count() == threads
    return done


def judge(row: dict[str, str], path: Path, *, done: bool, told: str) -> None:
    if done:
        assert row["validity"] == "ok" or MAY_BE_DONE.search(row["expected"]), (row["path"], "was done")
    else:
        assert row["validity"] == "bad" or MAY_BE_REFUSED.search(row["expected"]), (row["path"], told)
        assert printable(path.name) in told or "…" in told
        assert told.isprintable()


def test_pictures(files, capfdbinary):
    done = walked("image", files, "image", capfdbinary, "--save", "overlay,original")
    rows, compared = files.of("image"), set()
    for path, record in done.items():
        if rows[path]["validity"] == "ok":
            ours = _shown(record["files"]["original"])
            assert _shown(record["files"]["overlay"]).shape == ours.shape
            theirs = expected(Path(path), rows[path]["category"], int(ours.max()))
            if theirs is not None:
                compared.add(rows[path]["category"])
                assert ours.shape == theirs.shape, path
                off = np.abs(ours - theirs.astype(np.float32)).mean()
                assert off < 3, (path, off)
    odd = {
        "cmyk",
        "gray16",
        "palette_transparency",
        "rgba",
        "la",
        "float",
        "orientation_1_8",
        "tiny",
        "aspect",
        "rgb16",
    }
    assert odd <= compared


def _shown(path: str) -> np.ndarray:
    shown = cv2.imdecode(np.fromfile(path, np.uint8), cv2.IMREAD_COLOR)  # imread dies of names that are no text
    assert shown is not None
    return shown[..., ::-1]


def expected(path: Path, category: str, white: int) -> np.ndarray | None:
    """Return a picture's pixels, RGB in 0…255, as OpenCV or, several to a file or turned, Pillow's own tools read them.

    Args:
        path: the picture.
        category: that the table gives it.
        white: the lightest gray that gray of more than 8 bits is brought to.

    Returns:
        The pixels; None if they cannot read it.
    """
    if category.startswith(("orientation", "apng", "animated")):
        with Image.open(path) as image:
            return np.asarray(ImageOps.exif_transpose(image).convert("RGB"))
    if category == "icc":
        return _by_profile(path)
    raw = cv2.imdecode(np.fromfile(path, np.uint8), cv2.IMREAD_UNCHANGED | cv2.IMREAD_IGNORE_ORIENTATION)
    if raw is None or category == "lab":  # OpenCV does not convert it
        return None
    if category in {"gray16", "float"}:
        assert 64 <= white <= 255, path  # neither black nor beyond white
        return np.repeat((raw / raw.max() * white)[..., None], 3, axis=2)
    if category in {"la", "rgba", "palette_transparency"}:
        return _on_white(raw) if raw.shape[2:] == (4,) else None
    if raw.shape[2:] == (4,) and raw.dtype == np.uint8:
        return _on_white(raw)
    shown = cv2.imdecode(np.fromfile(path, np.uint8), cv2.IMREAD_COLOR)
    return None if shown is None else shown[..., ::-1]


def _by_profile(path: Path) -> np.ndarray:
    """Return a picture's pixels as Pillow's own tool converts them to sRGB, on white."""
    with Image.open(path) as image:
        profile = ImageCms.ImageCmsProfile(io.BytesIO(image.info["icc_profile"]))
        shown = image.convert("RGBA")
        colours = ImageCms.profileToProfile(shown.convert("RGB"), profile, ImageCms.createProfile("sRGB"))
        colours.putalpha(shown.getchannel("A"))
        return _on_white(np.asarray(colours)[..., [2, 1, 0, 3]])


def _on_white(bgra: np.ndarray) -> np.ndarray:
    alpha = bgra[..., 3:] / 255
    return bgra[..., 2::-1] * alpha + 255 * (1 - alpha)


def test_animations(files, capfdbinary):
    """Their frames' pixels are compared in ``media/gif/test_read.py``."""
    done = walked("gif", files, "gif", capfdbinary, "--save", "heatmap", "--input-size", "32")
    for path, record in done.items():
        if files.of("gif")[path]["validity"] == "ok":
            with Image.open(path) as source, Image.open(record["files"]["heatmap"]) as made:
                times = _milliseconds(source)
                assert record["clip"]["frames"] == len(times), path
                assert list(made.size[::-1]) == record["clip"]["size"]
                assert made.info.get("loop") == source.info.get("loop")
                shown = sum(time if time > 10 else 100 for time in times)
                assert record["clip"]["seconds"] == pytest.approx(shown / 1000)
                assert len(times) == 1 or sum(_milliseconds(made)) == pytest.approx(shown, abs=10), path


def _milliseconds(image: Image.Image) -> list[int]:
    found = []
    for k in range(getattr(image, "n_frames", 1)):
        image.seek(k)
        found.append(image.info.get("duration", 0))
    return found


def test_videos(files, capfdbinary):
    options = ("--save", "overlay", "--alpha", "0", "--quality", "95", "--input-size", "32", "--no-audio")
    done = walked("video", files, "video", capfdbinary, *options)
    rows, compared = files.of("video"), 0
    for path, record in done.items():
        made = _frames(record["files"]["overlay"])
        assert len(made) == record["clip"]["frames"]
        if rows[path]["validity"] == "ok" and rows[path]["category"] not in {"rotation", "resolution_change"}:
            source = _frames(path)
            assert len(source) == len(made), path
            height, width = source[0].shape[:2]
            for theirs, ours in zip(source, made, strict=True):
                assert min(height, width) < 16 or np.abs(theirs - ours[:height, :width]).mean() < 6, path
            compared += 1
    assert compared >= 12


def _frames(path: str) -> list[np.ndarray]:
    """Return a video's frames, RGB in 0…255, on white where they have alpha."""
    with av.open(f"file:{path}") as container:
        stream = container.streams.video[0]
        frames = container.decode(stream)
        if stream.metadata.get("alpha_mode") == "1":  # FFmpeg's own decoder leaves it out
            codec = av.CodecContext.create("libvpx-vp9", "r")
            frames = (frame for packet in container.demux(stream) for frame in codec.decode(packet))
        return [_opaque(frame) for frame in frames]


def _opaque(frame: av.VideoFrame) -> np.ndarray:
    if not any(component.is_alpha for component in frame.format.components):
        return frame.to_ndarray(format="rgb24").astype(np.float32)
    return _on_white(frame.to_ndarray(format="bgra").astype(np.float32))


@pytest.fixture
def picture() -> str:
    """Make a picture to ask networks about, and the code of a network."""
    Path("net.py").write_text(NETWORK)
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (24, 32, 3), np.uint8)).save("photo.png")
    return "photo.png"


def judged(row: dict[str, str], path: Path, capfdbinary, *arguments: str) -> str:
    """Run a command with a file beside its input; return what it wrote to stdout."""
    sys.modules.pop("net", None)
    code = run(["image", "photo.png", "--save", "json", "--input-size", "32", "--no-records", *arguments])
    captured = capfdbinary.readouterr()
    err = captured.err.decode("utf-8", "backslashreplace")
    assert code in (0, 1), (row["path"], err)
    assert "Traceback" not in err
    assert "fault of gradcam" not in err
    error = re.search(r"^error: (.*)\n  hint: .", err, re.MULTILINE)
    assert (error is None) == (code == 0), (row["path"], err)
    written = [each for each in Path("gradcam_output").rglob("*") if each.is_file()]
    assert len(written) == (code == 0), row["path"]
    for each in written:
        each.unlink()
    if row["category"] != "non_finite":
        judge(row, path, done=code == 0, told=error[1] if error else "")
    else:
        assert code == 1
        assert "non-finite" in err
    assert not Path(MARKER).exists(), f"{path} ran code"
    return captured.out.decode("utf-8", "surrogateescape")


def test_weights(files, picture, capfdbinary):
    for path, row in files.of("weights").items():
        network = "shufflenet_v2_x0_5" if "exercises" in row else "net.py:build"  # the shared ones are for that
        judged(row, Path(path), capfdbinary, "-m", network, f"--weights={path}")


def test_labels(files, picture, capfdbinary):
    for path, row in files.of("labels").items():
        count = small_corpus.CLASSES
        if "exercises" in row:
            count = len(Path(path).read_text().split("\n")) if "small" in row["path"] else 1000
        network = ("-m", "net.py:build", "--model-arg", f"num_classes={count}")
        out = judged(row, Path(path), capfdbinary, *network, f"--labels={path}", "--json")
        assert out.replace("\n", "").isprintable()


def test_the_small_corpus_has_every_category(corpus, tmp_path):
    def categories(rows: list[dict[str, str]]) -> set[tuple[str, str, str]]:
        return {(row["kind"], row["validity"], row["category"]) for row in rows}

    assert categories(corpus_rows(*small_corpus.KINDS)) <= categories(small_corpus.build(tmp_path))
