"""Reading: every kind of picture becomes upright, opaque 8-bit RGB; everything else a clear refusal."""

from __future__ import annotations

import os
import socket
import struct
import subprocess
import sys
import threading
import zlib
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, features

from gradcam_cli.errors import InputError
from gradcam_cli.media.image import sniff
from gradcam_cli.media.image import to_rgb as media_pixels
from gradcam_cli.media.image.read import read_picture, resized
from gradcam_cli.media.limits import PICTURE_PIXELS
from gradcam_cli.media.suffixes import picture_suffixes
from tests.media.pictures import off, pixels, png_chunk, png_header, saved, scene

# pytest replaces the filters that the module under test sets; a test below looks at those in a fresh interpreter.
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")


LOSSLESS = {
    "PNG": {}, "BMP": {}, "TIFF": {}, "PPM": {}, "TGA": {}, "QOI": {}, "WEBP": {"lossless": True}, "PCX": {}, "SGI": {},
}  # fmt: skip
LOSSY = {"JPEG": {"quality": 95, "subsampling": 0}, "WEBP": {"quality": 95}, "AVIF": {"quality": 95}, "JPEG2000": {}}


def skip_unless_writable(form: str) -> None:
    module = {"AVIF": "avif", "WEBP": "webp", "JPEG2000": "jpg_2000"}.get(form)
    if module and not features.check(module):
        pytest.skip(f"this Pillow has no {form}")
    Image.init()
    if form not in Image.SAVE:
        pytest.skip(f"this Pillow does not write {form}")


@pytest.mark.parametrize("form", LOSSLESS)
def test_lossless_formats_come_back_exactly(form):
    skip_unless_writable(form)
    picture = read_picture(saved(scene(), form, **LOSSLESS[form]), "x")
    assert np.array_equal(picture.pixels, scene())
    assert picture.pixels.dtype == np.uint8
    assert picture.pixels.flags.c_contiguous
    assert picture.notes == ()
    assert picture.size == (48, 64)


@pytest.mark.parametrize("form", LOSSY)
def test_lossy_formats_come_back_nearly(form):
    skip_unless_writable(form)
    assert off(pixels(saved(scene(), form, **LOSSY[form])), scene()) < 4


def test_heights_that_are_no_multiple_of_a_strip():
    for height in (1, 63, 64, 65, 129):
        assert np.array_equal(pixels(saved(scene(height, 5))), scene(height, 5))


def test_a_path_is_read_and_its_suffix_is_not_believed(tmp_path):
    path = tmp_path / "picture.jpg"
    path.write_bytes(saved(scene()))
    assert np.array_equal(read_picture(path, "picture.jpg").pixels, scene())


@pytest.mark.parametrize("orientation", range(10))
def test_orientation(orientation):
    stored_as = {
        2: np.fliplr, 3: lambda a: np.rot90(a, 2), 4: np.flipud, 5: lambda a: a.swapaxes(0, 1),
        6: lambda a: np.rot90(a, 1), 7: lambda a: np.rot90(a, 2).swapaxes(0, 1), 8: lambda a: np.rot90(a, -1),
    }.get(orientation, lambda a: a)  # fmt: skip
    exif = Image.Exif()
    exif[0x0112] = orientation
    for form in ("PNG", "TIFF"):
        data = saved(np.ascontiguousarray(stored_as(scene())), form, exif=exif)
        assert np.array_equal(pixels(data), scene()), form


def wanting(height: int, width: int):
    """Return what says that this size is enough, and a list of the sizes that it is asked about."""
    asked: list[tuple[int, int]] = []

    def enough(whole: tuple[int, int]) -> tuple[int, int]:
        asked.append(whole)
        return height, width

    return enough, asked


@pytest.mark.parametrize(
    ("needed", "scale"),
    [
        ((50, 50), 8),
        ((51, 67), 8),
        ((52, 67), 4),
        ((51, 68), 4),
        ((201, 268), 2),
        ((202, 268), 2),
        ((205, 9), 1),
        ((900, 9), 1),
    ],
)
def test_a_jpeg_is_decoded_no_larger_than_needed(needed, scale, monkeypatch):
    """And no smaller either."""
    decoded = []
    copy = media_pixels.to_rgb
    monkeypatch.setattr(media_pixels, "to_rgb", lambda image: decoded.append(image.size) or copy(image))
    enough, asked = wanting(*needed)
    picture = read_picture(saved(scene(408, 536), "JPEG"), "x", None, enough)
    assert asked == [(408, 536)]
    assert decoded == [(536 // scale, 408 // scale)]  # by Pillow
    assert picture.whole == (408, 536)
    assert picture.size == (408 // scale, 536 // scale)


@pytest.mark.parametrize("form", ["PNG", "TIFF", "WEBP", "GIF", "JPEG2000"])
def test_other_formats_are_decoded_whole(form):
    skip_unless_writable(form)
    picture = read_picture(saved(scene(), form), "x", None, wanting(3, 4)[0])
    assert (picture.size, picture.whole) == ((48, 64), (48, 64))


@pytest.mark.parametrize("progressive", [False, True])
@pytest.mark.parametrize("orientation", range(10))
def test_a_smaller_decoding_is_upright_and_close_to_the_whole_one(orientation, progressive):
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = saved(scene(202, 333), "JPEG", quality=95, exif=exif, progressive=progressive)
    whole = read_picture(data, "x")
    height, width = whole.size
    enough, asked = wanting(height // 4, width // 4)
    picture = read_picture(data, "x", None, enough)
    assert asked == [whole.size]
    assert picture.whole == whole.size
    assert picture.size == (-(-height // 4), -(-width // 4))
    assert off(picture.pixels, resized(whole.pixels, picture.size)) < 1
    assert np.abs(picture.pixels - resized(whole.pixels, picture.size).astype(int)).max() <= 3


def test_stereo_grey_and_cmyk_pictures_are_decoded_smaller_too():
    image = Image.fromarray(scene(64, 96))
    for data in (
        saved(image, "MPO", save_all=True, append_images=[image]),
        saved(image.convert("L"), "JPEG"),
        saved(image.convert("CMYK"), "JPEG"),
    ):
        assert read_picture(data, "x", None, wanting(16, 24)[0]).size == (16, 24)


def test_the_limit_is_for_the_file_and_not_for_its_smaller_decoding():
    with pytest.raises(InputError, match="more than 3000 pixels"):
        read_picture(saved(scene(), "JPEG"), "x", 3000, wanting(6, 8)[0])


def test_cut_off_files_are_refused_in_a_smaller_decoding_too():
    data = saved(np.random.default_rng(0).integers(0, 256, (48, 64, 3), np.uint8), "JPEG")
    for length in (20, len(data) // 2, len(data) * 9 // 10):
        with pytest.raises(InputError):
            read_picture(data[:length], "cut", None, wanting(6, 8)[0])


def test_resized_is_the_mean_of_areas():
    wanted = scene().astype(float).reshape(16, 3, 16, 4, 3).mean((1, 3))
    assert np.abs(resized(scene(), (16, 16)) - wanted).max() <= 0.51
    assert np.array_equal(resized(scene(), (48, 64)), scene())


def test_broken_exif_is_ignored():
    data = saved(scene(), "JPEG", exif=b"Exif\0\0II*\0\xff\xff\xff\x7f" + bytes(range(64)))
    assert pixels(data).shape == scene().shape


@pytest.mark.parametrize(
    ("form", "word"), [("TIFF", "pages"), ("GIF", "frames"), ("WEBP", "frames"), ("PNG", "frames")]
)
def test_the_first_of_several(form, word):
    pages = [Image.fromarray(np.full((8, 8, 3), level, np.uint8)) for level in (0, 99, 200)]
    picture = read_picture(saved(pages[0], form, save_all=True, append_images=pages[1:]), "x")
    more = ": 'gradcam gif' explains them all" if word == "frames" else ""
    assert picture.notes == (f"only the first of its 3 {word} is read{more}",)
    assert picture.pixels.max() < 3


def test_one_frame_and_stereo_pictures_need_no_note():
    image = Image.fromarray(scene())
    assert read_picture(saved(image, "GIF"), "x").notes == ()
    assert read_picture(saved(image, "MPO", save_all=True, append_images=[image]), "x").notes == ()


@pytest.mark.parametrize("form", [*LOSSLESS, "JPEG", "GIF", "AVIF", "JPEG2000", "ICO"])
def test_cut_off_files_are_refused(form):
    skip_unless_writable(form)
    data = saved(np.random.default_rng(0).integers(0, 256, (48, 64, 3), np.uint8), form)
    for length in (1, 20, len(data) // 3, len(data) // 2, len(data) * 9 // 10):
        with pytest.raises(InputError) as caught:
            read_picture(data[:length], "cut")
        assert "\n" not in caught.value.message
        assert caught.value.hint


def test_random_damage_is_refused_or_read_but_never_crashes():
    random = np.random.default_rng(1)
    for form in ("PNG", "JPEG", "GIF", "TIFF", "BMP", "WEBP", "TGA", "PCX", "JPEG2000"):
        data = np.frombuffer(saved(scene(), form), np.uint8)
        for _ in range(20):
            damaged = data.copy()
            damaged[random.integers(0, min(len(data), 200), 4)] = random.integers(0, 256, 4)
            with suppress(InputError):
                assert pixels(damaged.tobytes()).ndim == 3


def test_bombs_are_refused_from_their_header():
    side = int(PICTURE_PIXELS**0.5) + 1
    bomb = png_header(side, side, 1, 0) + png_chunk(b"IDAT", zlib.compress(bytes(1000))) + png_chunk(b"IEND", b"")
    with pytest.raises(InputError, match="bomb: has more than 178 million pixels"):
        read_picture(bomb, "bomb")
    with pytest.raises(InputError):
        read_picture(b"GIF89a\xff\xff\xff\xff\0\0\0," + struct.pack("<4HB", 0, 0, 65535, 65535, 0) + b"\x02\0;", "bomb")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n", "Git LFS"),
        (b"\n<!DOCTYPE html><html>404</html>", "web page"),
        (b"\xef\xbb\xbf<HTML><body>no</body></HTML>", "web page"),
        (b'<?xml version="1.0"?>\n<!-- drawn -->\n<svg xmlns="http://www.w3.org/2000/svg"/>', "SVG"),
        (b"%PDF-1.7\n", "PDF"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "PostScript"),
        (b"PK\x05\x06" + bytes(18), "zip"),
        (b"\x1f\x8b\x08\0", "archive"),
        (b"\0\0\0\x18ftypheic\0\0\0\0", "HEIC|variant that is not supported"),
        (b"\0\0\0\x18ftypisom\0\0\0\0", "video"),
        (b"\x1a\x45\xdf\xa3", "video"),
        (b"\x89PNG\r\n\x1a\nrubbish", "damaged"),
        (bytes(4096), "not a picture"),
        (b"just a text\n" * 40, "not a picture"),
    ],
)
def test_what_is_no_picture_is_named(tmp_path, content, message):
    path = tmp_path / "photo.jpg"
    path.write_bytes(content)
    for source in (path, content):
        with pytest.raises(InputError, match=message) as caught:
            read_picture(source, "photo.jpg")
        assert caught.value.message.startswith("photo.jpg: ")
        assert caught.value.hint


def test_postscript_starts_no_other_program(monkeypatch):
    def started(*_args: object, **_options: object) -> None:
        raise AssertionError("a program was started")

    monkeypatch.setattr(subprocess, "Popen", started)
    eps = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\nshowpage\n%%EOF\n"
    with pytest.raises(InputError, match="PostScript"):
        read_picture(eps, "x")


def refused(path: Path, message: str) -> None:
    """Expect that reading fails with this message, and within seconds."""
    caught: list[Exception] = []

    def attempt() -> None:
        try:
            read_picture(path, path.name)
        except Exception as error:
            caught.append(error)

    thread = threading.Thread(target=attempt, daemon=True)
    thread.start()
    thread.join(10)
    assert not thread.is_alive(), "hangs"
    assert isinstance(caught[0], InputError)
    assert message in caught[0].message
    assert caught[0].hint


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="POSIX only")
def test_special_files_are_refused_at_once(tmp_path, monkeypatch):
    os.mkfifo(tmp_path / "fifo.jpg")
    refused(tmp_path / "fifo.jpg", "not a regular file")
    (tmp_path / "zero.png").symlink_to("/dev/zero")
    refused(tmp_path / "zero.png", "not a regular file")
    monkeypatch.chdir(tmp_path)  # the address of a socket is short
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("socket.jpg")
        refused(tmp_path / "socket.jpg", "not a regular file")


def test_directories_links_and_missing_files(tmp_path):
    refused(tmp_path, "is a directory")
    refused(tmp_path / "gone.jpg", "there is no such file")
    (tmp_path / "dangling.jpg").symlink_to("nowhere.jpg")
    refused(tmp_path / "dangling.jpg", "a symbolic link to a file that does not exist")
    (tmp_path / "loop.jpg").symlink_to("loop.jpg")
    refused(tmp_path / "loop.jpg", "leads back to itself")
    (tmp_path / "file").write_bytes(b"")
    refused(tmp_path / "file" / "in.jpg", "not a directory")
    refused(tmp_path / ("x" * 300), "too long")
    refused(tmp_path / "nul\0.jpg", "no file can have this name")


def test_permission_denied(tmp_path, monkeypatch):
    path = tmp_path / "mine.jpg"
    path.write_bytes(saved(scene()))

    def denied(*_args: object, **_options: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", denied)
    refused(path, "mine.jpg: cannot be read: permission denied")


def test_names_are_printed_safely():
    with pytest.raises(InputError) as caught:
        read_picture(b"", "a\x1b[31m\n\u202egpj caf\udce9 猫.jpg")
    assert caught.value.message == r"a\x1b[31m\n\u202egpj caf\xe9 猫.jpg: is empty"


def test_memory_running_out(monkeypatch):
    def exhausted(*_args: object) -> None:
        raise MemoryError

    monkeypatch.setattr("gradcam_cli.media.image.to_rgb.to_rgb", exhausted)
    with pytest.raises(InputError, match="needs more memory"):
        read_picture(saved(scene()), "x")


def test_several_threads_at_once():
    sources = [saved(np.roll(scene(), shift, 1), form) for shift in range(8) for form in ("PNG", "BMP", "TIFF")]
    with ThreadPoolExecutor(4) as threads:
        for index, result in enumerate(threads.map(pixels, sources)):
            assert np.array_equal(result, np.roll(scene(), index // 3, 1))


@pytest.mark.slow
def test_nothing_is_printed_even_when_warnings_are_errors(tmp_path):
    """Metadata, palettes and sizes that Pillow warns of."""
    palette = Image.fromarray(scene()).quantize(16)
    (tmp_path / "palette.png").write_bytes(saved(palette, transparency=bytes(range(0, 256, 16))))
    (tmp_path / "exif.jpg").write_bytes(saved(scene(), "JPEG", exif=b"Exif\0\0II*\0\x08\0\0\0\xff\xff" + bytes(60)))
    wide = (100_000, 950)  # more than the 89 million pixels that Pillow warns of
    (tmp_path / "large.png").write_bytes(saved(Image.new("1", wide)))
    code = (
        "import sys; from pathlib import Path; from gradcam_cli.media.image.read import read_picture\n"
        "for name in sys.argv[1:]: read_picture(Path(name), name)"
    )
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code, *sorted(map(str, tmp_path.iterdir()))],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        check=False,
    )
    assert (done.returncode, done.stderr, done.stdout) == (0, b"", b"")


def test_suffixes_come_without_anything_heavy():
    assert {".jpg", ".png", ".gif", ".webp"} <= picture_suffixes()
    assert all(suffix.startswith(".") and suffix == suffix.lower() for suffix in picture_suffixes())
    code = (
        "import sys; from gradcam_cli.media.suffixes import picture_suffixes; picture_suffixes()\n"
        "assert not {'numpy', 'PIL', 'cv2'} & set(sys.modules)"
    )
    subprocess.run(
        [sys.executable, "-c", code], env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}, check=True
    )


def test_every_kind_of_rubbish_has_a_hint():
    assert all(what.startswith("is ") and hint for what, hint in map(sniff.describe, (b"", b"%PDF", b"?")))
