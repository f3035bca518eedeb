"""Pictures whose pixels are whole although Pillow refuses them or reads them wrongly; and what is no picture."""

from __future__ import annotations

import io
import re
import shutil
import struct
import subprocess
import zlib

import cv2
import numpy as np
import pytest
from PIL import Image, features
from PIL.TiffImagePlugin import ImageFileDirectory_v2

from gradcam_cli.errors import InputError
from gradcam_cli.media.image.read import read_picture
from gradcam_cli.media.image.repair import brands


def png_of(image, *extra, behind=False):
    """Return a PNG with further chunks (name, content), before or behind the pixels."""
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    data = buffer.getvalue()
    place = data.rindex(struct.pack(">I4s", 0, b"IEND")) if behind else data.index(b"IDAT") - 4
    chunks = b"".join(
        struct.pack(">I4s", len(content), name) + content + struct.pack(">I", zlib.crc32(name + content))
        for name, content in extra
    )
    return data[:place] + chunks + data[place:]


LONG = b"x" * (3 << 20)
WORDS = {
    "ztxt": (b"zTXt", b"workflow\0\0" + zlib.compress(LONG)),
    "itxt": (b"iTXt", b"workflow\0\1\0\0\0" + zlib.compress(LONG)),
    "text": (b"tEXt", b"workflow\0" + LONG * 30),
    "iccp": (b"iCCP", b"profile\0\0" + zlib.compress(LONG)),
    "bomb": (b"zTXt", b"workflow\0\0" + zlib.compress(bytes(200 << 20))),
}


@pytest.mark.parametrize("behind", [False, True])
@pytest.mark.parametrize("kind", WORDS)
def test_words_of_any_size_cost_no_picture(photo, kind, behind, tmp_path):
    data = png_of(Image.fromarray(photo), WORDS[kind], behind=behind and kind != "iccp")
    with pytest.raises(ValueError, match=r"text|large"), Image.open(io.BytesIO(data)) as image:  # what it is about
        image.load()
    path = tmp_path / "a.png"
    path.write_bytes(data)
    for source in (data, path):
        assert np.array_equal(read_picture(source, "a.png").pixels, photo)


def test_orientation_is_kept_where_words_are_dropped(photo):
    exif = Image.Exif()
    exif[0x0112] = 6
    buffer = io.BytesIO()
    Image.fromarray(photo).save(buffer, "PNG", exif=exif)
    with Image.open(buffer) as image:
        data = png_of(image, WORDS["ztxt"], (b"eXIf", exif.tobytes()[6:]))
    assert np.array_equal(read_picture(data, "a.png").pixels, np.rot90(photo, -1))


def test_a_damaged_picture_with_words_is_still_damaged(photo):
    data = png_of(Image.fromarray(photo), WORDS["ztxt"])
    with pytest.raises(InputError, match="damaged or cut off"):
        read_picture(data[:-2000], "a.png")


# ---- more than eight bits


def deep(photo, bits, suffix=".png", alpha=None):
    """Return a picture whose colours have so many of 16 bits."""
    values = (photo[..., ::-1].astype(np.uint32) * ((1 << bits) - 1) // 255).astype(np.uint16)
    if alpha is not None:
        values = np.dstack([values, alpha.astype(np.uint16)])
    done, data = cv2.imencode(suffix, values)
    assert done
    return data.tobytes()


@pytest.mark.parametrize("suffix", [".png", ".tiff"])
@pytest.mark.parametrize("bits", [10, 12, 14])
def test_colours_of_fewer_bits_are_not_black(photo, bits, suffix):
    picture = read_picture(deep(photo, bits, suffix), "a")
    assert np.abs(picture.pixels.astype(int) - photo).max() <= 1
    (note,) = picture.notes
    assert re.fullmatch(rf"its values go up to \d+: taken as {bits}-bit colour", note)


@pytest.mark.parametrize("suffix", [".png", ".tiff"])
def test_colours_of_sixteen_bits_are_as_before(photo, suffix):
    picture = read_picture(deep(photo, 16, suffix), "a")
    assert np.abs(picture.pixels.astype(int) - photo).max() <= 1
    assert picture.notes == ()


def test_transparency_of_twelve_bits_is_on_white(photo):
    alpha = np.where(np.arange(photo.shape[1]) < 30, 0, 4095) * np.ones((photo.shape[0], 1))
    picture = read_picture(deep(photo, 12, alpha=alpha), "a")
    assert (picture.pixels[:, :30] == 255).all()
    assert np.abs(picture.pixels[:, 30:].astype(int) - photo[:, 30:]).max() <= 1


def test_colours_of_twelve_bits_are_turned_upright(photo):
    exif = Image.Exif()
    exif[0x0112] = 6
    data = deep(photo, 12)
    place = data.index(b"IDAT") - 4
    content = exif.tobytes()[6:]
    chunk = struct.pack(">I4s", len(content), b"eXIf") + content + struct.pack(">I", zlib.crc32(b"eXIf" + content))
    picture = read_picture(data[:place] + chunk + data[place:], "a")
    assert np.abs(picture.pixels.astype(int) - np.rot90(photo, -1)).max() <= 1


def test_ffmpeg_sees_the_same_twelve_bits(photo, tmp_path):
    if shutil.which("ffmpeg") is None:
        pytest.skip("there is no ffmpeg here")
    (tmp_path / "a.png").write_bytes(deep(photo, 12))
    raw = ["-f", "rawvideo", "-pix_fmt", "rgb48le", "-"]
    done = subprocess.run(
        ["ffmpeg", "-v", "error", "-i", str(tmp_path / "a.png"), *raw], capture_output=True, check=True
    )
    theirs = np.frombuffer(done.stdout, "<u2").reshape(photo.shape) * (255 / 4095)
    assert np.abs(read_picture(tmp_path / "a.png", "a").pixels - theirs).max() <= 1


# ---- brands


@pytest.mark.parametrize("brand", [b"miaf", b"MA1B", b"mif1", b"avif", b"xxxx"])
def test_an_avif_picture_may_have_any_brand_first(photo, brand):
    if not features.check("avif"):
        pytest.skip("this Pillow reads no AVIF")
    buffer = io.BytesIO()
    Image.fromarray(photo).save(buffer, "AVIF", quality=95)
    data = buffer.getvalue()
    size = int.from_bytes(data[:4], "big")
    compatible = data[16:size] if b"avif" in data[16:size] else data[16:size] + b"avif"
    box = struct.pack(">I", 16 + len(compatible)) + b"ftyp" + brand + data[12:16] + compatible
    assert len(box) == size, "otherwise the places of the pixels would be others"
    expected = read_picture(data, "a").pixels
    assert np.array_equal(read_picture(box + data[size:], "a").pixels, expected)


def test_brands():
    assert brands(struct.pack(">I", 24) + b"ftypmiaf\0\0\0\0avifmif1more") == [b"miaf", b"avif", b"mif1"]
    assert brands(struct.pack(">I", 4000) + b"ftypmiaf\0\0\0\0avi") == [b"miaf"]
    assert brands(b"\x89PNG") == []


# ---- raw files and volumes


def tiff(*tags, mode="RGB"):
    info = ImageFileDirectory_v2()
    for tag, kind, value in tags:
        info.tagtype[tag] = kind
        info[tag] = value
    buffer = io.BytesIO()
    Image.new(mode, (64, 48), 90).save(buffer, "TIFF", tiffinfo=info)
    return buffer.getvalue()


@pytest.mark.parametrize(
    "content",
    [
        tiff((50706, 1, b"\1\4\0\0")),
        tiff((254, 4, 1), (330, 4, 8)),
        b"II*\0\x10\0\0\0CR\2\0" + bytes(64),
        b"IIRO\x08\0\0\0" + bytes(64),
        b"IIU\0\x08\0\0\0" + bytes(64),
        b"FUJIFILMCCD-RAW 0201" + bytes(64),
        b"FOVb" + bytes(64),
        b"\0MRM" + bytes(64),
        b"\0\0\0\x18ftypcrx " + bytes(64),
    ],
    ids=["dng", "nef", "cr2", "orf", "rw2", "raf", "x3f", "mrw", "cr3"],
)
def test_a_cameras_raw_file_is_not_taken_for_its_thumbnail(content):
    with pytest.raises(InputError, match="is a camera's raw file") as caught:
        read_picture(content, "a.dng")
    assert "JPEG or PNG" in caught.value.hint


def test_pyramids_and_pages_are_no_raw_files():
    assert read_picture(tiff((254, 4, 0), (330, 4, 8)), "a").size == (48, 64)
    assert read_picture(tiff((254, 4, 1)), "a").size == (48, 64)


@pytest.mark.parametrize(
    ("content", "what", "hint"),
    [
        (bytes(128) + b"DICM" + bytes(400), "DICOM", "window"),
        (struct.pack("<i", 348) + bytes(340) + b"n+1\0" + bytes(200), "NIfTI", "slice"),
    ],
)
def test_what_medicine_keeps_is_named(content, what, hint):
    with pytest.raises(InputError, match=what) as caught:
        read_picture(content, "a")
    assert hint in caught.value.hint
