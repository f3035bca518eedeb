"""Captions: readable on any picture, cut where too long, the same for every frame."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from gradcam_cli.render.text.caption import caption, caption_height, caption_strip

TEXT = "tabby cat · 81.0%"


@pytest.mark.parametrize("size", [(1, 1), (16, 200), (60, 90), (40, 1000), (480, 270), (1080, 1920)])
def test_the_picture_is_not_covered(size):
    picture = np.random.default_rng(0).integers(0, 256, (*size, 3), np.uint8)
    captioned = caption(picture, TEXT)
    np.testing.assert_array_equal(captioned[: size[0]], picture)
    strip = captioned[size[0] :]
    assert len(strip) == caption_height(min(size))
    assert np.array_equal(strip, caption_strip(size[1], TEXT, min(size)))
    assert np.median(strip) == 0
    if size[1] > 50:
        assert strip.max() >= 250


@pytest.mark.parametrize("width", [1, 9, 33, 480, 1921])
def test_strips_are_as_wide_as_asked_and_even_in_height(width):
    strip = caption_strip(width, TEXT, 200)
    assert strip.shape[1:] == (width, 3)
    assert len(strip) % 2 == 0
    assert strip is caption_strip(width, TEXT, 200)
    assert not strip.flags.writeable


def test_letters_grow_with_the_picture():
    heights = [len(caption_strip(1000, TEXT, side)) for side in (100, 400, 800)]
    assert heights == sorted(set(heights))


def test_nothing_reaches_beyond_the_strip():
    for text in ("gjpqyÄÖ|()", "W" * 200):
        strip = caption_strip(400, text, 400)
        for edge in (strip[0], strip[-1], strip[:, 0], strip[:, -1]):
            assert edge.max() == 0


@pytest.mark.parametrize("text", ["", "   ", "a\nb\x1b[0m", "Größe", "\udce9"])
def test_any_text_can_be_drawn(text):
    assert caption_strip(300, text, 300).shape[1] == 300


@pytest.mark.skipif(not hasattr(cv2, "FontFace"), reason="OpenCV before 5 draws ASCII only")
def test_other_scripts_are_drawn():
    unknown = caption_strip(200, "?" * 2, 200)
    strips = [caption_strip(200, text, 200) for text in ("猫犬", "äö", "λΩ", "Пр")]
    for strip in strips:
        assert not np.array_equal(strip, unknown)
        assert strip.max() == 255
