"""Captions: readable on any picture, cut where too long, the same for every frame."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from gradcam_cli.render.text.caption import caption, caption_strip

TEXT = "tabby cat  81 %"


@pytest.mark.parametrize("light", [0, 128, 255])
@pytest.mark.parametrize("size", [(60, 90), (480, 270), (1080, 1920)])
def test_it_can_be_read_on_any_ground(light, size):
    picture = np.full((*size, 3), light, np.uint8)
    before = picture.copy()
    captioned = caption(picture, TEXT)
    assert captioned.shape == picture.shape
    assert captioned.dtype == np.uint8
    assert np.array_equal(picture, before)
    strip = caption_strip(size[1], TEXT, min(size))
    lower = captioned[-len(strip) :]
    assert lower.max() >= 254
    assert np.median(lower) < 90  # the ground, at least 165 levels darker than the letters
    assert (lower > 200).mean() > 0.005
    assert np.array_equal(captioned[: -len(strip)], picture[: -len(strip)])


def test_tiny_pictures_stay_as_they_are(photo):
    for height, width in ((1, 1), (16, 200), (30, 4)):
        picture = np.full((height, width, 3), 50, np.uint8)
        assert caption(picture, TEXT).shape == picture.shape
    assert np.array_equal(caption(photo[:16], TEXT), photo[:16])


@pytest.mark.parametrize("width", [1, 9, 33, 480, 1921])
def test_strips_are_as_wide_as_asked_and_even_in_height(width):
    strip = caption_strip(width, TEXT)
    assert strip.shape[1:] == (width, 3)
    assert len(strip) % 2 == 0
    assert strip is caption_strip(width, TEXT)
    assert not strip.flags.writeable


def test_letters_grow_with_the_picture():
    heights = [len(caption_strip(1000, TEXT, side)) for side in (100, 400, 800)]
    assert heights == sorted(set(heights))


def test_nothing_reaches_beyond_the_strip():
    for text in ("gjpqyÄÖ|()", "W" * 200):
        strip = caption_strip(400, text)
        for edge in (strip[0], strip[-1], strip[:, 0], strip[:, -1]):
            assert edge.max() == 0


@pytest.mark.parametrize("text", ["", "   ", "a\nb\x1b[0m", "Größe", "\udce9"])
def test_any_text_can_be_drawn(text):
    assert caption_strip(300, text).shape[1] == 300


@pytest.mark.skipif(not hasattr(cv2, "FontFace"), reason="OpenCV before 5 draws ASCII only")
def test_other_scripts_are_drawn():
    unknown = caption_strip(200, "?" * 2)
    strips = [caption_strip(200, text) for text in ("猫犬", "äö", "λΩ", "Пр")]
    for strip in strips:
        assert not np.array_equal(strip, unknown)
        assert strip.max() == 255
