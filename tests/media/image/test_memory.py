"""Pictures of Pillow are read as their files are, whatever is in these."""

from __future__ import annotations

import io

import cv2
import numpy as np
import pytest
from PIL import Image, ImageCms, ImageOps

from gradcam_cli.errors import InputError
from gradcam_cli.media.image.memory import picture_in
from gradcam_cli.media.image.read import read_picture
from tests.conftest import corpus_rows


def written(path, image: Image.Image, **options):
    image.save(path, **options)
    return path


def turned(folder, photo):
    exif = Image.Exif()
    exif[0x0112] = 6
    return written(folder / "a.jpg", Image.fromarray(photo), exif=exif)


def deep(folder, photo):
    """Colours of 16 bits of which only the lower twelve are used: Pillow drops what matters."""
    path = folder / "deep.png"
    cv2.imwrite(str(path), photo.astype(np.uint16) << 4)
    return path


def transparent(folder, photo):
    alpha = Image.fromarray(photo[..., 0])
    image = Image.fromarray(photo)
    image.putalpha(alpha)
    return written(folder / "a.png", image)


def profiled(folder, photo):
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()
    return written(folder / "a.png", Image.fromarray(photo), icc_profile=profile)


def animated(folder, photo):
    frames = [Image.fromarray(photo), Image.fromarray(photo[::-1].copy())]
    return written(folder / "a.gif", frames[0], save_all=True, append_images=frames[1:])


FILES = {
    "turned": turned,
    "deep": deep,
    "transparent": transparent,
    "profiled": profiled,
    "animated": animated,
    "cmyk": lambda folder, photo: written(folder / "a.jpg", Image.fromarray(photo).convert("CMYK")),
    "palette": lambda folder, photo: written(folder / "a.png", Image.fromarray(photo).quantize(16), transparency=3),
    "gray16": lambda folder, photo: written(folder / "a.png", Image.fromarray(photo[..., 0].astype(np.uint16) * 9)),
    "bits": lambda folder, photo: written(folder / "a.tif", Image.fromarray(photo).convert("1")),
    "webp": lambda folder, photo: written(folder / "a.webp", Image.fromarray(photo)),
}


def same(given: Image.Image, path) -> None:
    read = read_picture(path, str(path))
    found = picture_in(given)
    assert found is not None
    np.testing.assert_array_equal(found[1].pixels, read.pixels)
    assert (found[1].whole, found[1].notes) == (read.whole, read.notes)


@pytest.mark.parametrize("kind", FILES)
def test_an_opened_picture_is_its_file(tmp_path, photo, kind):
    path = FILES[kind](tmp_path, photo)
    with Image.open(path) as image:
        for _ in range(2):
            same(image, path)
        assert image.size in ((90, 60), (60, 90))
        if kind != "deep":  # its lower bits are lost as soon as Pillow decodes it
            image.load()
            same(image, path)


@pytest.mark.filterwarnings("ignore::UserWarning", "ignore::PIL.Image.DecompressionBombWarning")
def test_pictures_of_the_corpus_are_their_files(corpus):
    compared = 0
    for row in corpus_rows("image"):
        path = corpus / row["path"]
        try:
            read_picture(path, "it", 1 << 20)
            image = Image.open(path)
        except (InputError, OSError, ValueError):  # some are no pictures, some are repaired before Pillow opens them
            continue
        with image:
            same(image, path)
        compared += 1
    assert compared > 80


def test_a_copy_and_a_changed_picture_count_as_they_are(tmp_path, photo):
    path = turned(tmp_path, photo)
    with Image.open(path) as image:
        upright = ImageOps.exif_transpose(image)
        plain = image.convert("RGB")
    for each in (upright, plain):  # the latter is not upright, and its EXIF data says so
        same(each, path)
    drawn = upright.copy()
    drawn.paste("red", (0, 0, 30, 30))
    _, found = picture_in(drawn)
    assert found.pixels[0, 0].tolist() == [255, 0, 0]


def test_the_frame_that_was_chosen_is_read(tmp_path, photo):
    with Image.open(animated(tmp_path, photo)) as image:
        image.seek(1)
        _, found = picture_in(image)
        np.testing.assert_array_equal(found.pixels, np.asarray(image.convert("RGB")))
        assert (found.notes, image.tell()) == ((), 1)


def test_a_reduced_decoding_is_kept(cat):
    with Image.open(cat) as image:
        image.draft("RGB", (100, 100))
        size = image.size
        _, found = picture_in(image)
    assert found.whole == size[::-1]
    assert size < (451, 300)


def test_names_are_those_of_the_files(tmp_path, photo):
    path = written(tmp_path / "it.png", Image.fromarray(photo))
    with Image.open(path) as image:
        assert picture_in(image)[0] == str(path)
    assert picture_in(Image.fromarray(photo))[0] == "picture"
    assert picture_in(photo)[0] == "array"
    assert picture_in("it.png") is None


def test_pictures_that_cannot_be_used_are_refused(tmp_path, photo):
    with pytest.raises(InputError, match=r"no pixels \(0×3\)"):
        picture_in(Image.new("RGB", (0, 3)))
    with pytest.raises(InputError, match="more than 50 pixels"):
        picture_in(Image.fromarray(photo), 50)
    with pytest.raises(InputError, match="NaN"):
        picture_in(Image.fromarray(np.full((3, 3), np.nan, np.float32)))
    cut = tmp_path / "cut.jpg"
    buffer = io.BytesIO()
    Image.fromarray(photo).save(buffer, "JPEG")
    cut.write_bytes(buffer.getvalue()[:-400])
    with Image.open(cut) as image, pytest.raises(InputError, match=r"cut\.jpg: the picture is damaged or cut off"):
        picture_in(image)
