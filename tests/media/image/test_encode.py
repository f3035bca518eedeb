"""Encoding: what is written is what is read again, exactly where the format allows it."""

from __future__ import annotations

import io
import struct

import cv2
import numpy as np
import pytest
from PIL import Image, ImageCms

from gradcam_cli.errors import OutputError
from gradcam_cli.media.image.encode import encode, encode_array, encode_figure
from gradcam_cli.media.image.read import read_picture

RANDOM = np.random.default_rng(0)
GRAY = RANDOM.integers(0, 256, (37, 53), np.uint8)
RGB = RANDOM.integers(0, 256, (37, 53, 3), np.uint8)
PALETTE = RANDOM.integers(0, 256, (256, 3), np.uint8)


def smooth(height: int = 64, width: int = 96) -> np.ndarray:
    y, x = np.mgrid[0:height, 0:width]
    return (127 * (2 + np.sin(x / 17) + np.cos(y / 13)) / 2).astype(np.uint8)


def opened(data: bytes) -> Image.Image:
    image = Image.open(io.BytesIO(data))
    image.load()
    return image


def test_png_is_exact():
    assert np.array_equal(np.asarray(opened(encode(RGB, "png"))), RGB)
    gray = opened(encode(GRAY, "png"))
    assert gray.mode == "L"
    assert np.array_equal(np.asarray(gray), GRAY)


def test_palette_png_is_exact_and_a_byte_a_pixel():
    for values in (GRAY, smooth(), GRAY[:1, :1], np.ascontiguousarray(GRAY.T)):
        data = encode(values, "png", PALETTE)
        image = opened(data)
        assert image.mode == "P"
        assert np.array_equal(np.asarray(image), values)
        assert np.array_equal(np.asarray(image.convert("RGB")), PALETTE[values])
        assert np.array_equal(read_picture(data, "x").pixels, PALETTE[values])
    assert len(encode(smooth(), "png", PALETTE)) < len(encode(PALETTE[smooth()], "png")) / 2


def test_palette_png_has_sound_chunks():
    data, position, kinds = encode(smooth(), "png", PALETTE), 8, []
    while position < len(data):
        (length,) = struct.unpack_from(">I", data, position)
        kinds.append(data[position + 4 : position + 8])
        position += 12 + length
    assert kinds[:4] == [b"IHDR", b"sRGB", b"PLTE", b"IDAT"]
    assert kinds[-1] == b"IEND"
    assert data[24:26] == bytes([8, 3])  # bits and colour type


@pytest.mark.parametrize("palette", [None, PALETTE])
@pytest.mark.parametrize("pixels", [RGB, GRAY])
@pytest.mark.parametrize("suffix", ["png", "jpg", "webp"])
def test_colours_are_tagged(suffix, pixels, palette):
    if palette is not None and pixels.ndim == 3:
        pytest.skip("a palette is for gray")
    image = opened(encode(pixels, suffix, palette))
    if suffix == "png":
        assert image.info["srgb"] == 0
    elif image.mode == "RGB":
        profile = ImageCms.ImageCmsProfile(io.BytesIO(image.info["icc_profile"]))
        assert "sRGB" in ImageCms.getProfileDescription(profile)
    else:
        assert "icc_profile" not in image.info  # a profile of colours does not suit a gray JPEG


@pytest.mark.parametrize("suffix", ["png", "jpg", "webp"])
def test_arrays_that_are_views(suffix):
    for view in (RGB[::2, ::-1], RGB[..., ::-1], GRAY[::-1, ::2]):
        assert encode(view, suffix) == encode(np.ascontiguousarray(view), suffix)
    assert encode(GRAY[:, ::2], suffix, PALETTE[::-1]) == encode(GRAY[:, ::2].copy(), suffix, PALETTE[::-1].copy())


@pytest.mark.parametrize(("suffix", "form"), [("jpg", "JPEG"), ("webp", "WEBP")])
def test_lossy_formats_are_near_and_in_the_right_channel_order(suffix, form):
    picture = np.stack([smooth(), np.full((64, 96), 20, np.uint8), 255 - smooth()], -1)
    image = opened(encode(picture, suffix))
    assert image.format == form
    assert np.abs(np.asarray(image.convert("RGB")).astype(int) - picture).mean() < 4
    gray = opened(encode(smooth(), suffix)).convert("L")
    assert np.abs(np.asarray(gray).astype(int) - smooth()).mean() < 4


@pytest.mark.parametrize("suffix", ["jpg", "webp"])
def test_other_formats_store_the_palettes_colours(suffix):
    ramp = np.stack([np.arange(256), 255 - np.arange(256), np.full(256, 90)], -1).astype(np.uint8)
    assert encode(smooth(), suffix, ramp) == encode(ramp[smooth()], suffix)


def test_jpeg_keeps_the_colours_resolution():
    stripes = np.zeros((32, 32, 3), np.uint8)
    stripes[:, ::2, 0] = stripes[:, 1::2, 2] = 255
    assert np.abs(np.asarray(opened(encode(stripes, "jpg"))).astype(int) - stripes).mean() < 5


def test_quality_is_a_trade_against_size():
    for suffix in ("jpg", "webp"):
        assert len(encode(RGB, suffix, quality=30)) < len(encode(RGB, suffix, quality=95))


@pytest.mark.parametrize(("suffix", "limit"), [("jpg", 65500), ("webp", 16383)])
def test_pictures_too_long_for_the_format(suffix, limit):
    assert opened(encode(np.zeros((1, limit), np.uint8), suffix)).size == (limit, 1)
    with pytest.raises(OutputError, match=str(limit)) as caught:
        encode(np.zeros((limit + 1, 1, 3), np.uint8), suffix)
    assert "format png" in caught.value.hint
    assert opened(encode(np.zeros((1, limit + 1), np.uint8), "png")).size == (limit + 1, 1)


def test_png_has_a_limit_too():
    with pytest.raises(OutputError, match="1000000"):
        encode(np.zeros((1, 1_000_001), np.uint8), "png")


def fails(*_args: object) -> tuple[bool, None]:
    return False, None


def raises(*_args: object) -> None:
    raise cv2.error("inside OpenCV")


@pytest.mark.parametrize("encoder", [fails, raises])
def test_an_encoder_that_fails(monkeypatch, encoder):
    monkeypatch.setattr(cv2, "imencode", encoder)
    with pytest.raises(OutputError, match="cannot be encoded as PNG"):
        encode(RGB, "png")


def test_arrays():
    for array in (RANDOM.random((5, 7), np.float32), RANDOM.random((5, 7)), np.asfortranarray(GRAY)):
        loaded = np.load(io.BytesIO(encode_array(array)), allow_pickle=False)
        assert loaded.dtype == np.float32
        assert np.array_equal(loaded, array.astype(np.float32))


@pytest.mark.parametrize("dpi", [72, 150, 300])
def test_figures_are_exact_and_tell_their_resolution_and_origin(dpi):
    about = {"Title": "Ä · 42%", "Subject": '{"network": "tiny"}', "Creator": "gradcam 1"}
    data = encode_figure(RGB, dpi, about)
    image = opened(data)
    assert np.array_equal(np.asarray(image), RGB)
    assert image.info["dpi"] == pytest.approx((dpi, dpi), abs=0.02)
    assert image.text == {"Title": "Ä · 42%", "Description": '{"network": "tiny"}', "Software": "gradcam 1"}
    assert encode_figure(RGB, dpi, about) == data
    assert opened(encode_figure(RGB, dpi, {})).text == {}
