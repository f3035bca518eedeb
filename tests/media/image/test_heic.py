"""HEIC pictures: with the package of the extra they are read, without it the line to type is told."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from gradcam_cli.errors import InputError
from gradcam_cli.media import suffixes
from gradcam_cli.media.image import read
from gradcam_cli.media.image.read import read_picture
from tests.media.colour import oracle
from tests.media.image.heic import heic
from tests.media.pictures import scene

PIXELS = (scene() * 0.6 + 76).astype(np.uint8)


@pytest.fixture
def caches():
    yield
    read._formats.cache_clear()
    suffixes.picture_suffixes.cache_clear()


@pytest.mark.parametrize("turns", [0, 1, 2, 3])
def test_a_picture(turns):
    pytest.importorskip("pi_heif", reason="pip install '.[heif]'")
    picture = read_picture(heic(PIXELS, turns), "a")
    assert np.abs(picture.pixels.astype(int) - np.rot90(PIXELS, turns)).max() <= 12
    assert picture.notes == ()
    assert picture.whole == picture.pixels.shape[:2]


def test_code_points():
    pytest.importorskip("pi_heif", reason="pip install '.[heif]'")
    own = oracle.coded(oracle.light(PIXELS / 255) @ oracle.between("sRGB", "P3").T)
    picture = read_picture(heic(np.round(own * 255).astype(np.uint8), points=(12, 13)), "a")
    assert np.percentile(np.abs(picture.pixels.astype(int) - PIXELS), 99) <= 10
    assert any("Display P3" in note for note in picture.notes)


def test_damaged_ones():
    pytest.importorskip("pi_heif", reason="pip install '.[heif]'")
    whole = heic(PIXELS)
    for data in (whole[: len(whole) // 2], whole[:60], whole[:40] + bytes(200)):
        with pytest.raises(InputError, match="damaged") as caught:
            read_picture(data, "a")
        assert "pip" not in caught.value.hint


def test_code_points_of_another_item_are_not_the_pictures():
    """A gain map's are PQ or HLG, while the picture itself is SDR."""
    pytest.importorskip("pi_heif", reason="pip install '.[heif]'")
    picture = read_picture(heic(PIXELS, foreign=(9, 16)), "a")
    assert picture.notes == ()
    assert np.abs(picture.pixels.astype(int) - PIXELS).max() <= 12


def test_without_the_package(monkeypatch, caches):
    read._formats.cache_clear()
    monkeypatch.setitem(sys.modules, "pi_heif", None)
    with pytest.raises(InputError, match="HEIC/HEIF picture, which needs one more package") as caught:
        read_picture(heic(PIXELS), "a")
    assert "pip install 'gradcam[heif]'" in caught.value.hint


@pytest.mark.parametrize("is_there", [True, False])
def test_folders_are_searched_for_what_can_be_read(monkeypatch, caches, is_there):
    suffixes.picture_suffixes.cache_clear()
    monkeypatch.setattr(suffixes, "find_spec", lambda name: object() if is_there else None)
    assert ({".heic", ".heif"} <= suffixes.picture_suffixes()) == is_there
    assert {".jpg", ".png", ".gif", ".webp"} <= suffixes.picture_suffixes()
