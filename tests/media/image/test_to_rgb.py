"""Modes: gray, palettes, transparency, CMYK, Lab and many bits all become opaque 8-bit RGB."""

from __future__ import annotations

import zlib

import numpy as np
import pytest
from PIL import Image

from gradcam_cli.errors import InputError
from gradcam_cli.media.image.read import read_picture
from tests.media.pictures import off, pixels, png_chunk, png_header, saved, scene


def test_gray_one_bit_and_palette():
    gray = scene()[..., 0]
    as_rgb = np.stack([gray] * 3, -1)
    assert np.array_equal(pixels(saved(gray)), as_rgb)
    assert np.array_equal(pixels(saved(Image.fromarray(gray > 99))), np.where(as_rgb > 99, 255, 0))
    paletted = Image.fromarray(gray)
    paletted.putpalette(bytes((index * k) % 256 for index in range(256) for k in (1, 3, 7)))
    assert np.array_equal(pixels(saved(paletted)), as_rgb.astype(int) * (1, 3, 7) % 256)


def test_alpha_is_put_on_white():
    alpha = np.zeros((48, 64), np.uint8)
    alpha[:, 32:], alpha[:, 48:] = 128, 255
    expected = 255 + (scene().astype(float) - 255) * (alpha[..., None] / 255)
    assert off(pixels(saved(np.dstack([scene(), alpha]))), expected) < 1
    gray = scene()[..., :1]
    expected = 255 + (gray.astype(float) - 255) * (alpha[..., None] / 255)
    assert off(pixels(saved(Image.merge("LA", [Image.fromarray(gray[..., 0]), Image.fromarray(alpha)]))), expected) < 1


@pytest.mark.parametrize("transparency", [3, bytes([255, 255, 255, 0])])
def test_palette_transparency_is_put_on_white(transparency):
    image = Image.fromarray(np.array([[0, 3], [3, 1]], np.uint8))
    image.putpalette([10, 20, 30, 40, 50, 60, 0, 0, 0, 7, 8, 9])
    result = pixels(saved(image, transparency=transparency))
    assert result.tolist() == [[[10, 20, 30], [255] * 3], [[255] * 3, [40, 50, 60]]]


def test_colour_keys_are_put_on_white():
    rgb = pixels(saved(np.array([[[1, 2, 3], [4, 5, 6]]], np.uint8), transparency=(4, 5, 6)))
    assert rgb.tolist() == [[[1, 2, 3], [255, 255, 255]]]
    assert pixels(saved(np.array([[9, 7]], np.uint8), transparency=7))[0, :, 0].tolist() == [9, 255]
    sixteen = png_header(2, 1, 16, 0) + png_chunk(b"tRNS", b"\x12\x34")
    sixteen += png_chunk(b"IDAT", zlib.compress(b"\0\xff\xff\x12\x34")) + png_chunk(b"IEND", b"")
    assert pixels(sixteen)[0, :, 0].tolist() == [255, 255]


def test_cmyk_is_not_inverted():
    cmyk = Image.fromarray(scene()).convert("CMYK")
    for form, options in (("TIFF", {}), ("JPEG", {"quality": 95})):
        assert off(pixels(saved(cmyk, form, **options)), scene()) < 12, form


def test_lab():
    lab = Image.fromarray(np.full((4, 4, 3), (128, 128, 128), np.uint8)).convert("LAB")
    assert off(pixels(saved(lab, "TIFF")), np.full((4, 4, 3), 128)) < 4


def test_colour_profiles_are_ignored():
    assert np.array_equal(pixels(saved(scene(), icc_profile=b"no profile at all")), scene())


@pytest.mark.parametrize("form", ["PNG", "TIFF"])
def test_16_bit_gray_is_the_8_bit_picture(form):
    gray = scene()[..., 0]
    picture = read_picture(saved(gray.astype(np.uint16) * 257, form), "x")
    assert np.array_equal(picture.pixels[..., 1], gray)
    assert picture.notes == ()


@pytest.mark.parametrize("bits", [3, 8, 10, 12, 14])
def test_fewer_bits_in_16_are_neither_black_nor_white(bits):
    white = (1 << bits) - 1
    ramp = np.linspace(0, white, 256).round().astype(np.uint16).reshape(16, 16)
    picture = read_picture(saved(ramp), "x")
    assert np.abs(picture.pixels[..., 0].astype(float) - ramp * (255 / white)).max() <= 0.5
    assert picture.notes == (f"its values go up to {white}: taken as {bits}-bit gray",)


def test_16_bit_pgm():
    gray = scene()[..., 0]
    data = b"P5 64 48 65535\n" + (gray.astype(">u2") * 257).tobytes()
    assert np.array_equal(pixels(data)[..., 0], gray)


def test_32_bit_integers_are_stretched():
    picture = read_picture(saved(np.array([[-1000, 0], [500, 1_000_000]], np.int32), "TIFF"), "x")
    assert picture.pixels[..., 2].tolist() == [[0, 0], [0, 255]]
    assert "stretched" in picture.notes[0]


def test_floats():
    unit = np.linspace(0, 1, 256, dtype=np.float32).reshape(16, 16)
    expected = np.arange(256).reshape(16, 16)
    picture = read_picture(saved(unit, "TIFF"), "x")
    assert np.array_equal(picture.pixels[..., 0], expected)
    assert picture.notes == ()
    picture = read_picture(saved(unit * 2e38 - 1e38, "TIFF"), "x")
    assert np.array_equal(picture.pixels[..., 0], expected)
    assert "stretched" in picture.notes[0]
    assert not pixels(saved(np.full((2, 2), 7, np.float32), "TIFF")).any()


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_values_that_are_no_numbers(value):
    floats = np.zeros((4, 4), np.float32)
    floats[1, 2] = value
    with pytest.raises(InputError, match="x: holds NaN or infinite values"):
        pixels(saved(floats, "TIFF"))
