"""Results smaller than their pictures: exact sizes, the same predictions, a true geometry."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

import gradcam_cli
from gradcam_cli.errors import UsageError
from gradcam_cli.media.image.read import resized
from gradcam_cli.pipeline.images.loading import prepare_picture, read_picture_for
from gradcam_cli.pipeline.session import Session
from gradcam_cli.pipeline.settings import ModelSettings
from tests.media.pictures import saved, scene


@pytest.fixture(scope="module")
def session() -> Session:
    return Session(ModelSettings(model="tiny", input_size=192))


@pytest.fixture(scope="module")
def picture() -> np.ndarray:
    """Return a picture with structure, uint8 RGB 751×1000."""
    rows, columns = np.mgrid[0:751, 0:1000]
    waves = [127 + 60 * np.sin(rows / a + columns / b) for a, b in ((31, 57), (71, 24), (19, 103))]
    return (np.stack(waves, axis=2) + scene(751, 1000) / 4).astype(np.uint8)


@pytest.mark.slow
@pytest.mark.parametrize(("max_size", "size"), [(None, (751, 1000)), (1000, (751, 1000)), (99, (74, 99)), (3, (2, 3))])
@pytest.mark.parametrize("form", ["JPEG", "PNG"])
def test_results_have_the_size_that_is_asked_for(form, max_size, size, session, picture):
    read = read_picture_for(session, saved(picture, form), "x", None, max_size)
    shown, prepared = prepare_picture(session, read, max_size)
    assert shown.size == prepared.geometry.source == size
    assert shown.whole == (751, 1000)
    assert np.abs(shown.pixels - resized(picture, size).astype(int)).mean() < 2


def test_the_network_gets_the_pixels_that_it_needs(session, picture):
    """However small the results are, and nothing that is larger than needed is decoded."""
    whole = prepare_picture(
        session, read_picture_for(session, saved(picture, "JPEG", quality=95), "x", None, None), None
    )[1]
    read = read_picture_for(session, saved(picture, "JPEG", quality=95), "x", None, 16)
    assert session.geometry((751, 1000)).resized == (192, 256)
    assert read.size == (376, 500)
    small = prepare_picture(session, read, 16)[1]
    assert small.geometry.input == whole.geometry.input
    assert float((small.tensor - whole.tensor).abs().mean()) < 0.01


def test_other_formats_give_the_network_the_same_at_any_size(session, picture):
    data = saved(picture)
    whole, small = (
        prepare_picture(session, read_picture_for(session, data, "x", None, most), most)[1] for most in (None, 50)
    )
    assert whole.tensor.equal(small.tensor)


@pytest.mark.slow
@pytest.mark.parametrize("orientation", [1, 6])
def test_explain_takes_a_size(orientation, picture, tmp_path):
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = tmp_path / "a.jpg"
    path.write_bytes(saved(picture, "JPEG", quality=95, exif=exif))
    size = (75, 100) if orientation == 1 else (100, 75)
    whole = gradcam_cli.explain(path, model="tiny", input_size=192)
    for given in (path, path.read_bytes(), whole.pixels):
        small = gradcam_cli.explain(given, model="tiny", input_size=192, max_size=100)
        assert small.map.shape == small.overlay.shape[:2] == small.heatmap.shape[:2] == small.pixels.shape[:2] == size
        assert small.record()["geometry"]["source"] == list(size)
        assert small.record()["geometry"]["seen"] == [0, 0, size[1], size[0]]
        assert small.target.index == whole.target.index
        assert small.target.probability == pytest.approx(whole.target.probability, abs=0.01)
        coarse = np.asarray(Image.fromarray(whole.map).resize(size[::-1], Image.Resampling.BOX))
        assert np.abs(coarse - small.map).mean() < 0.05


def test_no_size_at_all_is_refused(picture):
    with pytest.raises(UsageError, match="longest side of 0"):
        gradcam_cli.explain(picture, model="tiny", max_size=0)


def test_explain_enlarges_for_the_result_alone(picture):
    small = picture[:60, :90]
    plain, large = (gradcam_cli.explain(small, model="tiny", size=size) for size in (None, 360))
    assert large.map.shape == large.overlay.shape[:2] == large.pixels.shape[:2] == (240, 360)
    assert large.record()["geometry"]["source"] == [240, 360]
    assert large.predictions == plain.predictions
    np.testing.assert_array_equal(large.class_map.values, plain.class_map.values)
    reduced, most = (gradcam_cli.explain(small, model="tiny", **{name: 45}) for name in ("size", "max_size"))
    np.testing.assert_array_equal(reduced.overlay, most.overlay)


@pytest.mark.parametrize(
    ("given", "reason"), [({"size": 300, "max_size": 300}, "given twice"), ({"size": 3}, "longest side of 3")]
)
def test_two_sizes_or_a_tiny_one_are_refused(picture, given, reason):
    with pytest.raises(UsageError, match=reason):
        gradcam_cli.explain(picture, model="tiny", **given)
