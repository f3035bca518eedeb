"""Pictures → tensors: against torchvision's own presets, and against themselves."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torchvision
from PIL import Image

from gradcam_cli.errors import UsageError
from gradcam_cli.models.preprocess import MAX_ASPECT, adapted, collate, for_channels, plan_geometry, prepare, to_tensor
from gradcam_cli.records import FITS, Preset

PRESET = Preset()
IDENTITY = Preset(mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0))


@pytest.mark.parametrize(("name", "interpolation"), [("resnet50", "bilinear"), ("swin_t", "bicubic")])
@pytest.mark.parametrize("size", [(300, 500), (500, 333), (64, 64), (375, 500), (224, 901)])
def test_crop_is_torchvisions_preset(name, interpolation, size):
    transforms = torchvision.models.get_model_weights(name).IMAGENET1K_V1.transforms()
    preset = Preset(transforms.resize_size[0], transforms.crop_size[0], interpolation=interpolation)
    rows, columns = np.mgrid[0 : size[0], 0 : size[1]]
    pixels = np.stack([127 + 120 * np.sin(rows / a + columns / b) for a, b in ((9, 31), (17, 8), (6, 40))], 2).astype(
        np.uint8
    )
    found = to_tensor(pixels, plan_geometry(size, preset, "crop"), preset)
    expected = transforms(torch.from_numpy(pixels).permute(2, 0, 1))
    assert found.shape == expected.shape
    # Torch resizes bytes in fixed point, torchvision in float: they agree to a level, which is 1 / 255 / std.
    levels = (found - expected).abs() * 255 * 0.224
    assert levels.max() <= 1.03
    assert levels.mean() < 0.3


def test_crop_against_pillow(photo):
    """An implementation of antialiased resizing that shares nothing with torch's."""
    pixels = np.asarray(Image.fromarray(photo).resize((900, 600), Image.Resampling.BICUBIC))
    geometry = plan_geometry((600, 900), IDENTITY, "stretch")
    found = to_tensor(pixels, geometry, IDENTITY).permute(1, 2, 0).numpy() * 255
    expected = np.asarray(Image.fromarray(pixels).resize((224, 224), Image.Resampling.BILINEAR), np.float64)
    assert np.abs(found - expected).max() <= 1.01


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ((375, 500), (256, 352)),
        ((500, 375), (352, 256)),
        ((1080, 1920), (256, 448)),
        ((256, 256), (256, 256)),
        ((1, 1), (256, 256)),
        ((20, 20000), (256, MAX_ASPECT * 256)),
        ((3000, 1), (MAX_ASPECT * 256, 256)),
    ],
)
def test_whole_keeps_the_aspect_within_bounds(source, expected):
    geometry = plan_geometry(source, PRESET, "whole")
    assert geometry.input == geometry.resized == expected
    assert geometry.sees_all
    assert all(side % PRESET.multiple == 0 for side in geometry.input)


@pytest.mark.parametrize("fit", FITS)
@pytest.mark.parametrize("source", [(375, 500), (97, 31), (1, 1), (2, 900)])
def test_shapes_agree(fit, source):
    geometry = plan_geometry(source, PRESET, fit)
    tensor = to_tensor(np.zeros((*source, 3), np.uint8), geometry, PRESET)
    assert tensor.shape == (3, *geometry.input)
    assert tensor.dtype == torch.float32
    left, top, right, bottom = geometry.seen
    assert 0 <= left < right <= source[1]
    assert 0 <= top < bottom <= source[0]


def test_padding_is_the_mean_colour_around_the_picture():
    geometry = plan_geometry((100, 200), PRESET, "pad")
    assert (geometry.resized, geometry.offset) == ((112, 224), (-56, 0))
    tensor = to_tensor(np.full((100, 200, 3), 255, np.uint8), geometry, PRESET)
    assert not tensor[:, :56].any()
    assert not tensor[:, 168:].any()
    assert (tensor[:, 56:168] > 1).all()


def test_a_marker_lands_where_the_geometry_says():
    """A white square goes through each fit; the tensor's centre of mass, taken back, is the square's."""
    source = (240, 400)
    pixels = np.zeros((*source, 3), np.uint8)
    pixels[100:120, 180:210] = 255
    for fit in FITS:
        geometry = plan_geometry(source, IDENTITY, fit)
        mass = to_tensor(pixels, geometry, IDENTITY)[0].double().numpy()
        rows, columns = (np.arange(length) + 0.5 for length in mass.shape)
        y = (mass.sum(1) @ rows / mass.sum() + geometry.offset[0]) * source[0] / geometry.resized[0]
        x = (mass.sum(0) @ columns / mass.sum() + geometry.offset[1]) * source[1] / geometry.resized[1]
        assert (y, x) == pytest.approx((110, 195), abs=0.3), fit


def test_collate_is_channels_last():
    pictures = [prepare(np.full((8, 12, 3), level, np.uint8), Preset(8, 8, multiple=4), "whole") for level in (0, 255)]
    batch = collate(pictures)
    assert batch.shape == (2, 3, 8, 12)
    assert batch.is_contiguous(memory_format=torch.channels_last)
    assert all(torch.equal(each, picture.tensor) for each, picture in zip(batch, pictures, strict=True))


STATISTICS = {
    "one number": ({"mean": (0.5,), "std": (0.25,)}, lambda x: (x / 255 - 0.5) / 0.25),
    "three numbers": (
        {"mean": (0.1, 0.2, 0.3), "std": (1.0, 2.0, 4.0)},
        lambda x: (x / 255 - [0.1, 0.2, 0.3]) / [1, 2, 4],
    ),
    "mean alone": ({"mean": (0.5,)}, lambda x: (x / 255 - 0.5) / [0.229, 0.224, 0.225]),
    "raw": ({"scale_255": True}, lambda x: x),
    "raw, mean of ImageNet": (
        {"scale_255": True, "mean": (123.68, 116.78, 103.94)},
        lambda x: x - [123.68, 116.78, 103.94],
    ),
    "raw, both": ({"scale_255": True, "mean": (127.5,), "std": (127.5,)}, lambda x: (x - 127.5) / 127.5),
}


@pytest.mark.parametrize("kind", STATISTICS)
@pytest.mark.parametrize("channels", [3, 1])
def test_a_users_statistics_against_numpy(kind, channels, photo):
    chosen, formula = STATISTICS[kind]
    if channels == 1 and kind in ("three numbers", "raw, mean of ImageNet"):
        with pytest.raises(UsageError, match="3 numbers for a network of 1 channel"):
            adapted(for_channels(PRESET, 1), **{"side": None, "mean": None, "std": None, "scale_255": False, **chosen})
        return
    values = photo.astype(np.float64)
    if channels == 1:
        values = values @ [[0.299], [0.587], [0.114]]
        formula = {"mean alone": lambda x: (x / 255 - 0.5) / 0.225609}.get(kind, formula)
    chosen = {"side": 60, "mean": None, "std": None, "scale_255": False, **chosen}
    preset = adapted(for_channels(PRESET, channels), **chosen)
    geometry = plan_geometry((60, 90), Preset(60, 60, multiple=30), "whole")
    assert geometry.resized == (60, 90)  # so that nothing is resized
    found = to_tensor(photo, geometry, preset).permute(1, 2, 0).numpy()
    np.testing.assert_allclose(found, formula(values), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("side", [28, 64, 75, 97, 150, 224, 336, 518])
def test_a_side_that_is_given_is_taken_exactly(side):
    preset = adapted(PRESET, side=side, mean=None, std=None, scale_255=False)
    for fit in ("whole", "crop", "stretch", "pad"):
        assert plan_geometry((300, 300), preset, fit).input == (side, side)
    height, width = plan_geometry((480, 640), preset, "whole").input
    assert height == side
    assert width == pytest.approx(side * 4 / 3, abs=PRESET.multiple / 2)
