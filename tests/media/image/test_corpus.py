"""Every still picture of the shared corpus: the good are read, the bad are refused in one line."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import numpy as np
import pytest

from gradcam_cli.errors import InputError
from gradcam_cli.media.image.read import read_picture
from gradcam_cli.text import printable
from tests.conftest import corpus_rows

if TYPE_CHECKING:
    from pathlib import Path

ROWS = corpus_rows("image")

pytestmark = [
    pytest.mark.skipif(not ROWS, reason="no corpus beside the project (../shared/data/corpus)"),
    pytest.mark.filterwarnings("ignore::UserWarning", "ignore::RuntimeWarning"),  # see test_image.py
]

MAY_BE_REFUSED = ("float_rgb.tif", "rare_formats")  # good files and categories of files that Pillow may lack
MAY_BE_READ = ("processed", "degraded")  # said of damaged files whose damage no decoder need notice


def located(root: Path, row: dict[str, str]) -> Path:
    r"""Return a row's path; ``\xe9`` stands for that byte in the one name that is no UTF-8."""
    name = row["path"].encode()
    if row["special"]:
        name = name.replace(b"\\xe9", b"\xe9")
    return root / os.fsdecode(name)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: ascii(row["path"]))
def test_row(corpus: Path, row: dict[str, str]):
    path = located(corpus, row)
    if path.name == "unreadable.jpg" and (not hasattr(os, "geteuid") or os.geteuid() == 0):
        pytest.skip("root may read everything")
    picture = error = None
    try:
        picture = read_picture(path, str(path))
    except InputError as refusal:
        error = refusal
    if error is not None:
        assert row["validity"] == "bad" or path.name in MAY_BE_REFUSED or row["category"] in MAY_BE_REFUSED
        assert printable(path.name) in error.message
        assert error.message.isprintable()
        assert error.hint
    else:
        assert row["validity"] == "ok" or any(word in row["expected"] for word in MAY_BE_READ)
        assert picture.pixels.dtype == np.uint8
        assert picture.pixels.shape[2:] == (3,)
        assert picture.pixels.flags.c_contiguous
        if row["category"] in {"gray16", "float", "cmyk", "rgb16", "one_bit"}:  # neither black nor white
            assert 1 < picture.pixels.mean() < 254


def test_all_orientations_are_one_picture(corpus: Path):
    rows = [row for row in ROWS if row["category"] == "orientation_1_8" and "invalid" not in row["path"]]
    pictures = [read_picture(located(corpus, row), row["path"]).pixels.astype(int) for row in rows]
    for picture in pictures:
        assert picture.shape == pictures[0].shape
        assert np.abs(picture - pictures[0]).mean() < 3  # each was compressed by itself


def test_full_range_16_bit_gray_is_the_8_bit_photo(corpus: Path):
    if not (corpus / "image" / "gray16_full.png").exists():
        pytest.skip("not in this corpus")
    sixteen = read_picture(corpus / "image" / "gray16_full.png", "16").pixels.astype(int)
    eight = read_picture(corpus / "image" / "gray.jpg", "8").pixels
    assert np.abs(sixteen - eight).mean() < 3
