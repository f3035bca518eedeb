"""Animations in: whole frames as a browser shows them, with their times; damage ends them, and says so."""

from __future__ import annotations

import io
import itertools
import os
import struct
import tracemalloc
from contextlib import suppress
from fractions import Fraction
from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import GifImagePlugin, Image, ImageOps, features

from gradcam_cli.errors import InputError
from gradcam_cli.media.gif.read import AnimationReader
from gradcam_cli.media.image import sniff
from gradcam_cli.pipeline.clips.sources import registry
from tests.conftest import corpus_rows
from tests.media.pictures import saved, scene

if TYPE_CHECKING:
    from pathlib import Path

RED, GREEN, BLUE, WHITE = (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255)
PALETTE = [RED, GREEN, BLUE, (9, 9, 9)]


def read(data: bytes) -> list:
    with AnimationReader(data, "x.gif") as animation:
        return list(animation)


def control(delay: int = 10, disposal: int = 0, transparent: int | None = None) -> bytes:
    flags = disposal << 2 | (transparent is not None)
    return b"!\xf9\x04" + struct.pack("<BHB", flags, delay, transparent or 0) + b"\0"


def patch(colour: int, left: int, top: int, height: int, width: int) -> bytes:
    """Return the block of a patch of one colour of the palette."""
    image = Image.fromarray(np.full((height, width), colour, np.uint8))
    image.putpalette(np.array(PALETTE, np.uint8).tobytes())
    return b"".join(GifImagePlugin.getdata(image, (left, top)))


def gif(*blocks: bytes, size: tuple[int, int] = (4, 6)) -> bytes:
    """Return a file of these blocks on a canvas of (height, width) with the four colours of `PALETTE`."""
    header = b"GIF89a" + struct.pack("<HHBBB", size[1], size[0], 0x81, 3, 0)
    return header + np.array(PALETTE, np.uint8).tobytes() + b"".join(blocks) + b";"


def looping(count: int) -> bytes:
    return b"!\xff\x0bNETSCAPE2.0\x03\x01" + struct.pack("<H", count) + b"\0"


def test_frames_times_and_durations():
    delays = [3, 0, 1, 2, 65535]
    blocks = itertools.chain.from_iterable((control(d), patch(i % 4, 0, 0, 4, 6)) for i, d in enumerate(delays))
    data = gif(*blocks)
    with AnimationReader(data, "x.gif") as animation:
        frames = list(animation)
        assert animation.info.size == (4, 6)
        assert animation.info.frames == 5
        assert animation.info.duration == Fraction(3 + 10 + 10 + 2 + 65535, 100)
        assert animation.damage == ""
        assert [frame.time for frame in animation] == [Fraction(n, 100) for n in (0, 3, 13, 23, 25)]  # anew
    assert [frame.duration for frame in frames] == [Fraction(n, 100) for n in (3, 10, 10, 2, 65535)]
    assert all((frame.pixels == PALETTE[i % 4]).all() for i, frame in enumerate(frames))
    assert all(frame.alpha is None for frame in frames)


@pytest.mark.parametrize(("blocks", "loop"), [((), None), ((looping(0),), 0), ((looping(7),), 7)])
def test_loop_count(blocks, loop):
    with AnimationReader(gif(*blocks, patch(0, 0, 0, 4, 6)), "x") as animation:
        assert animation.info.loop == loop


@pytest.mark.parametrize(
    ("disposal", "below"), [(0, GREEN), (1, GREEN), (2, WHITE), (3, RED), (4, RED)]
)  # what shows, once the green patch is gone, where it was
def test_disposal(disposal, below):
    frames = read(
        gif(
            control() + patch(0, 0, 0, 4, 6),
            control(disposal=disposal) + patch(1, 1, 1, 2, 3),
            control() + patch(2, 0, 0, 1, 1),
        )
    )
    assert (frames[1].pixels[1:3, 1:4] == GREEN).all()
    last = frames[2]
    assert (last.pixels[1:3, 1:4] == below).all()
    assert (last.pixels[0, 0] == BLUE).all()
    assert (last.pixels[3] == RED).all()
    if disposal == 2:  # browsers know no background colour
        assert (last.alpha[1:3, 1:4] == 0).all()
        assert (last.alpha == 0).sum() == 6
    else:
        assert last.alpha is None


def test_transparent_pixels_let_through_what_lies_below():
    frames = read(gif(control() + patch(0, 0, 0, 4, 3), control(transparent=1) + patch(1, 0, 0, 4, 6)))
    for frame in frames:  # the first leaves half of the canvas free
        assert (frame.pixels[:, :3] == RED).all()
        assert (frame.pixels[:, 3:] == WHITE).all()
        assert (frame.alpha[:, 3:] == 0).all()
        assert (frame.alpha[:, :3] == 255).all()


def test_canvas_grows_for_the_first_frame_only():
    frames = read(gif(patch(0, 2, 2, 4, 6), patch(1, 5, 5, 9, 9)))
    assert [frame.pixels.shape for frame in frames] == [(6, 8, 3)] * 2
    assert (frames[1].pixels[5, 5:] == GREEN).all()


def test_frames_wholly_outside_draw_nothing():
    frames = read(gif(patch(0, 0, 0, 4, 6), patch(1, 50, 50, 2, 2)))
    assert (frames[1].pixels == RED).all()


@pytest.mark.parametrize("form", ["PNG", "WEBP", "AVIF"])
def test_other_animations(form):
    if form == "AVIF" and not features.check("avif"):
        pytest.skip("this Pillow has no AVIF")
    pictures = [Image.fromarray(np.roll(scene(), 9 * i, 1)) for i in range(3)]
    lossless = {"lossless": True} if form == "WEBP" else {}
    data = saved(
        pictures[0], form, save_all=True, append_images=pictures[1:], duration=[70, 200, 5], loop=3, **lossless
    )
    with AnimationReader(data, "x") as animation:
        frames = list(animation)
        assert animation.info.frames == 3
        assert animation.info.loop == (0 if form == "AVIF" else 2)  # shown three times: repeated twice
    assert [frame.duration for frame in frames] == [Fraction(7, 100), Fraction(1, 5), Fraction(1, 10)]
    assert [frame.time for frame in frames] == [0, Fraction(7, 100), Fraction(27, 100)]
    for frame, picture in zip(frames, pictures, strict=True):
        assert frame.alpha is None
        assert np.abs(frame.pixels.astype(int) - np.asarray(picture)).mean() < (4 if form == "AVIF" else 0.01)


def test_transparent_webp_lies_on_white():
    clear = Image.new("RGBA", (8, 8), (255, 0, 0, 0))
    data = saved(clear, "WEBP", save_all=True, append_images=[Image.new("RGBA", (8, 8), "blue")], lossless=True)
    first, second = read(data)
    assert (first.pixels == 255).all()
    assert (first.alpha == 0).all()
    assert (second.pixels == BLUE).all()
    assert second.alpha is None


@pytest.mark.skipif(not features.check("avif"), reason="this Pillow has no AVIF")
@pytest.mark.parametrize("brand", [b"avis", b"iso8", b"miaf"])
def test_avif_of_any_brand(brand, tmp_path):
    buffer = io.BytesIO()
    images = [Image.fromarray(np.roll(scene(), 9 * k, 1)) for k in range(3)]
    images[0].save(buffer, "AVIF", save_all=True, append_images=images[1:], duration=100)
    data = buffer.getvalue()
    assert data[8:12] == b"avis"
    data = data[:8] + brand + data[12:16] + b"avis" + data[20:]
    assert len(read(data)) == 3
    path = tmp_path / "a.bin"
    path.write_bytes(data)
    assert registry._recognised(path, registry.MEDIA["video"]) is registry.MEDIA["animation"]


def test_an_apng_with_a_profile_in_front_is_an_animation(tmp_path):
    images = [Image.fromarray(np.roll(scene(), 9 * k, 1)) for k in range(3)]
    path, still = tmp_path / "a.png", tmp_path / "b.png"
    profile = np.random.default_rng(0).bytes(4000)
    images[0].save(path, save_all=True, append_images=images[1:], icc_profile=profile)
    images[0].save(still, icc_profile=profile)
    assert path.read_bytes().index(b"acTL") > 4000
    assert registry._recognised(path, registry.MEDIA["video"]) is registry.MEDIA["animation"]
    assert sniff.misplaced(path.read_bytes()[: sniff.HEAD], "clip") is None
    assert sniff.misplaced(still.read_bytes()[: sniff.HEAD], "clip") is not None


@pytest.mark.parametrize("form", ["WEBP", "PNG"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation(form, orientation):
    """As `ImageOps.exif_transpose` turns a picture."""
    pixels = np.zeros((20, 32, 3), np.uint8)
    pixels[:10, :16], pixels[:10, 16:], pixels[10:, :16] = (255, 0, 0), (0, 255, 0), (0, 0, 255)
    still = Image.fromarray(pixels)
    exif = Image.Exif()
    exif[0x0112] = orientation
    buffer = io.BytesIO()
    others = [Image.fromarray(255 - pixels), still]
    still.save(buffer, form, save_all=True, append_images=others, exif=exif, lossless=True, duration=100)
    frames = read(buffer.getvalue())
    still.getexif()[0x0112] = orientation
    upright = np.asarray(ImageOps.exif_transpose(still))
    assert [np.array_equal(frame.pixels, upright) for frame in frames] == [True, False, True]
    with AnimationReader(buffer.getvalue(), "a") as reader:
        assert reader.info.size == upright.shape[:2]


@pytest.mark.parametrize("form", ["PNG", "JPEG", "BMP"])
def test_a_still_picture_is_one_frame(form, tmp_path):
    path = tmp_path / "x.gif"
    path.write_bytes(saved(scene(), form))
    with AnimationReader(path, "x.gif") as animation:
        (frame,) = animation
    assert frame.pixels.shape == scene().shape
    assert (frame.time, frame.duration, animation.info.frames) == (0, Fraction(1, 10), 1)


def test_truncated_files_give_the_frames_before_the_damage():
    whole = gif(*(control() + patch(i % 4, 0, 0, 4, 6) for i in range(4)))
    complete = [len(read(whole)) for whole in (whole, whole[:-1])]
    assert complete == [4, 4]
    for length in range(13 + 12, len(whole) - 1):
        with suppress(InputError), AnimationReader(whole[:length], "x.gif") as animation:
            frames = list(animation)
            assert 1 <= len(frames) <= 4
            assert animation.damage or animation.info.frames == len(frames)


def test_a_broken_frame_ends_the_animation():
    broken = patch(1, 0, 0, 4, 6)
    at = broken.index(b"\x08", 10)
    data = gif(patch(0, 0, 0, 4, 6), broken[:at] + b"\x0d" + broken[at + 1 :], patch(2, 0, 0, 4, 6))
    with AnimationReader(data, "x") as animation:
        assert animation.info.frames == 3
        assert len(list(animation)) == 1
        assert animation.damage.startswith("frame 2 and what follows")


@pytest.mark.parametrize(
    "data",
    [b"", b"GIF89a", b"GIF89a" + bytes(7), gif(), gif(size=(0, 0)), b"text", b"GIF89a" + bytes(range(256)) * 9],
    ids=["empty", "signature", "no canvas", "no frame", "zero size", "text", "noise"],
)
def test_what_is_no_animation_is_refused(data):
    with pytest.raises(InputError, match=r"x\.gif") as caught, AnimationReader(data, "x.gif") as animation:
        list(animation)
    assert caught.value.hint


def test_noise_never_hangs_nor_raises_anything_else():
    good = gif(*(control(disposal=i % 5, transparent=1) + patch(i % 4, i, 0, 3, 2) for i in range(5)))
    random = np.random.default_rng(5)
    for _ in range(300):
        data = bytearray(good)
        for at in random.integers(6, len(data), 4):
            data[at] = random.integers(256)
        with suppress(InputError):
            for frame in read(bytes(data)):
                assert frame.pixels.dtype == np.uint8


@pytest.mark.parametrize("place", ["missing.gif", "."])
def test_files_that_cannot_be_read(tmp_path, place):
    with pytest.raises(InputError, match=r"no such file|is a directory, not an animation"):
        AnimationReader(tmp_path / place, place)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes here")
def test_a_pipe_is_refused_without_waiting(tmp_path):
    os.mkfifo(tmp_path / "pipe.gif")
    with pytest.raises(InputError, match="not a regular file but a pipe"):
        AnimationReader(tmp_path / "pipe.gif", "pipe.gif")


def test_huge_pictures_are_refused_before_they_cost_memory():
    large = gif(patch(0, 0, 0, 4, 6), size=(65535, 65535))
    with pytest.raises(InputError, match="million pixels"):
        AnimationReader(large, "x")


def test_memory_does_not_grow_with_the_number_of_frames(tmp_path):
    path = tmp_path / "long.gif"
    block = control() + patch(1, 0, 0, 4, 6)

    def peak(count: int) -> int:
        path.write_bytes(gif(*[block] * count))
        tracemalloc.start()
        with AnimationReader(path, "x") as animation:
            assert sum(1 for _ in animation) == count
        used = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return used

    peak(10)
    assert peak(1000) < peak(100) + 50_000


ROWS = corpus_rows("gif")


@pytest.mark.skipif(not ROWS, reason="no corpus beside the project (../shared/data/corpus)")
@pytest.mark.parametrize("row", ROWS, ids=lambda row: row["path"])
def test_row(corpus: Path, row: dict[str, str]):
    path = corpus / row["path"]
    frames = refused = None
    try:
        with AnimationReader(path, path.name) as animation:
            frames = list(animation)
    except InputError as error:
        refused = error
    if refused is not None:
        assert row["validity"] == "bad"
        assert path.name in refused.message
        assert refused.message.isprintable()
        assert refused.hint
        return
    assert row["validity"] == "ok" or animation.damage or row["category"] == "wrong_suffix"
    if row["validity"] == "bad":
        return
    theirs = list(pillows(path.read_bytes()))
    assert len(frames) == len(theirs) == animation.info.frames
    for frame, (pixels, milliseconds) in zip(frames, theirs, strict=True):
        assert frame.duration == Fraction(milliseconds if milliseconds > 10 else 100, 1000)
        assert frame.pixels.shape == (*animation.info.size, 3)
        if row["path"] in UNLIKE_PILLOW:
            continue
        assert np.array_equal(frame.pixels, pixels)


UNLIKE_PILLOW = {
    "gif/partial_dispose2.gif": "it paints the background colour where browsers clear",
    "gif/pil_dispose_bgnd.gif": "the same",
    "gif/pil_test_extents.gif": "it enlarges the canvas for any frame",
}


def pillows(data: bytes):
    """Yield Pillow's frames on white, and their milliseconds."""
    with Image.open(io.BytesIO(data)) as image:
        for index in range(image.n_frames):
            image.seek(index)
            ground = Image.new("RGBA", image.size, "white")
            ground.alpha_composite(image.convert("RGBA"))
            yield np.asarray(ground.convert("RGB")), image.info.get("duration", 0)


def test_background_disposal_is_as_ffmpeg_has_it(corpus: Path):
    av = pytest.importorskip("av")
    path = corpus / "gif" / "partial_dispose2.gif"
    if not path.exists():
        pytest.skip("not in this corpus")
    with av.open(str(path)) as container:
        theirs = [frame.to_ndarray(format="rgba") for frame in container.decode(video=0)]
    for frame, their in zip(read(path.read_bytes()), theirs, strict=True):
        clear = their[..., 3] == 0
        assert np.array_equal(frame.pixels[~clear], their[..., :3][~clear])
        assert np.array_equal(clear, np.zeros_like(clear) if frame.alpha is None else frame.alpha == 0)
