"""Pictures in other colour spaces are read as sRGB: profiles, code points, gamma; stills and animations."""

from __future__ import annotations

import io
import zlib

import numpy as np
import pytest
from PIL import Image, features

from gradcam_cli.media.colour.hdr import pq_to_nits
from gradcam_cli.media.gif.read import AnimationReader
from gradcam_cli.media.image.encode import encode
from gradcam_cli.media.image.read import read_picture
from tests.media.colour import oracle
from tests.media.pictures import png_chunk, png_header, saved, scene

SRGB = scene() * (0.6 / 255) + 0.3
"""What all pictures show; not so dark that 8 bits of another space are too few."""
NEEDS_AVIF = pytest.mark.skipif(not features.check("avif"), reason="this Pillow has no AVIF")


def levels(values: np.ndarray) -> np.ndarray:
    return np.round(values.clip(0, 1) * 255).astype(np.uint8)


def encoded_in(name: str, gamma: float | None = None) -> np.ndarray:
    """Return `SRGB` as levels of another space."""
    light = oracle.light(SRGB) @ oracle.between("sRGB", name).T
    return levels(oracle.coded(light) if gamma is None else light.clip(0, 1) ** (1 / gamma))


def difference(data: bytes) -> float:
    """Return how far a picture is from `SRGB`: the 99th percentile, in levels."""
    return float(np.percentile(np.abs(read_picture(data, "a").pixels - SRGB * 255), 99))


FORMS = {
    "PNG": ({}, 3),
    "TIFF": ({}, 3),
    "WEBP": ({"lossless": True}, 3),
    "JPEG": ({"quality": 98, "subsampling": 0}, 6),
    "AVIF": ({"quality": 98, "subsampling": "4:4:4"}, 6),
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(("name", "gamma"), [("P3", None), ("Adobe", 563 / 256), ("2020", None)])
def test_profiles(form, name, gamma):
    if form == "AVIF" and not features.check("avif"):
        pytest.skip("this Pillow has no AVIF")
    options, most = FORMS[form]
    data = saved(encoded_in(name, gamma), form, icc_profile=oracle.profile(name, gamma), **options)
    assert difference(data) <= most
    assert any(name in note and "sRGB" in note for note in read_picture(data, "a").notes)
    untagged = saved(encoded_in(name, gamma), form, **options)
    assert difference(untagged) > 2 * most, "the fixture shows nothing"
    assert read_picture(untagged, "a").notes == ()


def test_srgb_itself_is_left_alone():
    picture = read_picture(saved(scene(), icc_profile=oracle.profile("sRGB")), "a")
    assert np.array_equal(picture.pixels, scene())
    assert picture.notes == ()


def test_a_gray_profile():
    gray = np.linspace(0.4, 1, 64).repeat(48).reshape(64, 48)
    data = saved(levels(oracle.light(gray)), icc_profile=oracle.profile("gray", 1.0))
    picture = read_picture(data, "a")
    assert np.abs(picture.pixels - gray[..., None] * 255).max() <= 3
    assert any("gray" in note for note in picture.notes)


@pytest.mark.parametrize("mode", ["L", "P", "RGBA", "LA"])
def test_a_profile_of_colours_suits_other_modes(mode):
    image = Image.fromarray(encoded_in("P3"))
    expected = np.asarray(image.convert(mode).convert("RGB")) / 255
    data = saved(image.convert(mode), icc_profile=oracle.profile("P3"))
    shown = oracle.coded(oracle.light(expected) @ oracle.between("P3", "sRGB").T)
    assert np.abs(read_picture(data, "a").pixels - shown * 255).max() <= 3


def test_transparency_stays_with_a_profile():
    image = Image.fromarray(encoded_in("P3"))
    image.putalpha(Image.fromarray(np.where(np.arange(64) < 32, 0, 255).astype(np.uint8)[None].repeat(48, 0)))
    pixels = read_picture(saved(image, icc_profile=oracle.profile("P3")), "a").pixels
    assert (pixels[:, :32] == 255).all()
    assert np.abs(pixels[:, 32:] - SRGB[:, 32:] * 255).max() <= 3


def test_a_profile_and_an_orientation():
    image = Image.fromarray(encoded_in("P3"))
    exif = Image.Exif()
    exif[0x0112] = 6
    picture = read_picture(saved(image, icc_profile=oracle.profile("P3"), exif=exif), "a")
    assert np.abs(picture.pixels - np.rot90(SRGB, -1) * 255).max() <= 3


@pytest.mark.parametrize(
    ("image", "profile", "word"),
    [
        (Image.fromarray(scene()), b"no profile at all", "damaged"),
        (Image.fromarray(scene()), oracle.profile("gray", 1.0), "does not suit"),
        (Image.fromarray(scene()).convert("CMYK"), oracle.profile("P3"), "does not suit"),
        (Image.fromarray(scene()).convert("CMYK"), None, "CMYK"),
    ],
)
def test_what_cannot_be_converted_says_so(image, profile, word):
    options = {"icc_profile": profile} if profile else {}
    picture = read_picture(saved(image, "TIFF", **options), "a")
    assert any(word in note for note in picture.notes)
    assert np.array_equal(picture.pixels, np.asarray(image.convert("RGB")))


def test_deep_colours_with_a_profile():
    """12 bits in 16, which are read by another way."""
    values = np.round(oracle.coded(oracle.light(SRGB) @ oracle.between("sRGB", "P3").T) * 4095).astype(">u2")
    rows = b"".join(b"\0" + row.tobytes() for row in values)
    header = io.BytesIO()
    header.write(png_header(64, 48, bits=16))
    header.write(png_chunk(b"iCCP", b"P3\0\0" + zlib.compress(oracle.profile("P3"))))
    header.write(png_chunk(b"IDAT", zlib.compress(rows)) + png_chunk(b"IEND", b""))
    assert difference(header.getvalue()) <= 3


def with_chunk(data: bytes, kind: bytes, content: bytes) -> bytes:
    """Add a chunk behind a PNG's header."""
    return data[:33] + png_chunk(kind, content) + data[33:]


def hdr(transfer: int, white: float = 203.0) -> np.ndarray:
    light = white * oracle.light(SRGB) @ oracle.between("sRGB", "2020").T
    return levels({16: oracle.pq, 18: oracle.hlg}[transfer](light))


@pytest.mark.parametrize(
    ("points", "pixels", "word"),
    [
        ((12, 13), encoded_in("P3"), "Display P3"),
        ((9, 14), encoded_in("2020"), "BT.2020"),
        ((9, 16), hdr(16), "PQ"),
        ((9, 18), hdr(18), "HLG"),
        ((1, 8), levels(oracle.light(SRGB)), "linear"),
    ],
)
def test_code_points_of_png(points, pixels, word):
    data = with_chunk(saved(pixels), b"cICP", bytes([*points, 0, 1]))
    assert difference(data) <= 5
    assert any(word in note for note in read_picture(data, "a").notes)
    with_profile = with_chunk(saved(pixels, icc_profile=oracle.profile("Adobe", 2.2)), b"cICP", bytes([*points, 0, 1]))
    assert difference(with_profile) <= 5, "code points go before a profile"


def test_code_points_of_srgb_say_nothing():
    picture = read_picture(with_chunk(saved(scene()), b"cICP", bytes([1, 13, 0, 1])), "a")
    assert picture.notes == ()
    assert np.array_equal(picture.pixels, scene())


def avif(pixels: np.ndarray, points: tuple[int, int], **options) -> bytes:
    """Return an AVIF file with these code points: Pillow writes sRGB's, of which the bytes are changed."""
    data = bytearray(saved(pixels, "AVIF", quality=98, subsampling="4:4:4", **options))
    place = data.index(b"colrnclx") + 8
    assert data.count(b"colrnclx") == 1 or options
    while place > 7:
        data[place : place + 4] = points[0].to_bytes(2, "big") + points[1].to_bytes(2, "big")
        place = data.find(b"colrnclx", place) + 8
    return bytes(data)


@NEEDS_AVIF
@pytest.mark.parametrize(
    ("points", "pixels", "most"),
    [
        ((12, 13), encoded_in("P3"), 8),
        ((9, 16), hdr(16), 15),  # a level of PQ is two of sRGB
        ((9, 18), hdr(18), 12),
        ((1, 13), levels(SRGB), 6),
    ],
)
def test_code_points_of_avif(points, pixels, most):
    data = avif(pixels, points)
    assert difference(data) <= most
    assert bool(read_picture(data, "a").notes) == (points != (1, 13))


@NEEDS_AVIF
def test_a_profile_goes_before_avifs_code_points_unless_they_are_hdrs():
    data = avif(encoded_in("P3"), (9, 1), icc_profile=oracle.profile("P3"))
    assert difference(data) <= 8


@pytest.mark.parametrize("white", [203.0, 1000.0])
def test_highlights_are_kept_apart(white):
    """Where the brightest is white, all is shown as it is; otherwise highlights are compressed, and none is clipped."""
    pixels = hdr(16, white)
    picture = read_picture(with_chunk(saved(pixels), b"cICP", bytes([9, 16, 0, 1])), "a")
    gray = picture.pixels.max(-1).ravel()
    assert len(np.unique(gray)) > 6
    assert (gray == 255).mean() < 0.6
    assert gray.max() == 255 if white > 203 else gray.max() == pytest.approx(0.9 * 255, abs=4)
    assert any("highlights" in note for note in picture.notes) == (white > 203)


@pytest.mark.parametrize(
    ("gamma", "pixels"), [(1.0, levels(oracle.light(SRGB))), (1 / 1.8, levels(oracle.light(SRGB) ** (1 / 1.8)))]
)
def test_gamma_of_png(gamma, pixels):
    data = with_chunk(saved(pixels), b"gAMA", round(gamma * 100_000).to_bytes(4, "big"))
    assert difference(data) <= 6
    assert any("gamma" in note for note in read_picture(data, "a").notes)
    tagged = with_chunk(data, b"sRGB", b"\0")
    assert np.array_equal(read_picture(tagged, "a").pixels, pixels), "the chunk sRGB goes before gAMA"


def test_the_usual_gamma_is_srgbs():
    data = with_chunk(saved(scene()), b"gAMA", (45_455).to_bytes(4, "big"))
    assert np.array_equal(read_picture(data, "a").pixels, scene())


@pytest.mark.parametrize("form", ["PNG", "WEBP"])
def test_animations(form):
    images = [Image.fromarray(np.roll(encoded_in("P3"), 8 * k, 1)) for k in range(3)]
    buffer = io.BytesIO()
    more = {"icc_profile": oracle.profile("P3"), "duration": 100, "lossless": True}
    images[0].save(buffer, form, save_all=True, append_images=images[1:], **more)
    with AnimationReader(buffer.getvalue(), "a") as reader:
        frames = list(reader)
        assert any("P3" in note for note in reader.info.notes)
    assert len(frames) == 3
    for k, frame in enumerate(frames):
        assert np.abs(frame.pixels - np.roll(SRGB, 8 * k, 1) * 255).max() <= 3


@NEEDS_AVIF
def test_animated_avif_in_hdr():
    images = [Image.fromarray(np.roll(hdr(16), 8 * k, 1)) for k in range(2)]
    buffer = io.BytesIO()
    images[0].save(buffer, "AVIF", save_all=True, append_images=images[1:], quality=98, subsampling="4:4:4")
    data = buffer.getvalue().replace(b"colrnclx\0\1\0\x0d", b"colrnclx\0\x09\0\x10")
    assert data != buffer.getvalue()
    with AnimationReader(data, "a") as reader:
        frames = list(reader)
        assert any("PQ" in note for note in reader.info.notes)
    for k, frame in enumerate(frames):
        assert np.percentile(np.abs(frame.pixels - np.roll(SRGB, 8 * k, 1) * 255), 98) <= 12


def test_what_is_written_is_read_as_it_is():
    for suffix in ("png", "webp", "jpg"):
        data = encode(scene(), suffix, quality=95)
        assert read_picture(data, "a").notes == ()


def test_gray_with_a_transparent_level_and_a_profile():
    image = Image.fromarray(np.repeat(np.array([[10, 200]], np.uint8), 8, 0).repeat(8, 1))
    data = saved(image, transparency=10, icc_profile=oracle.profile("gray", 1.0))
    pixels = read_picture(data, "a").pixels
    assert (pixels[:, :8] == 255).all()
    assert np.abs(pixels[:, 8:].astype(int) - 228).max() <= 2  # of linear light


def test_sixteen_bits_of_hdr():
    """The values are what they are: no guess at their depth, and no loss of bits before the conversion."""
    ramp = np.linspace(0.1, 0.45, 4000).reshape(40, 100, 1).repeat(3, 2)
    rows = b"".join(b"\0" + row.tobytes() for row in np.round(ramp * 65535).astype(">u2"))
    data = png_header(100, 40, bits=16) + png_chunk(b"cICP", bytes([9, 16, 0, 1]))
    data += png_chunk(b"IDAT", zlib.compress(rows)) + png_chunk(b"IEND", b"")
    picture = read_picture(data, "a")
    expected = oracle.coded(pq_to_nits(ramp) / 203) * 255
    assert np.abs(picture.pixels - expected).max() <= 1
    assert len(picture.notes) == 1
