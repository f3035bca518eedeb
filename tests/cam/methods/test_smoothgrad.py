"""Smoothing: over versions of a picture, and by the main component of what makes up a map."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from gradcam_cli.cam.augmentation import Augmentation
from gradcam_cli.cam.explainer import Explainer
from gradcam_cli.cam.methods.registry import METHODS
from tests.cam.oracle import Oracle, component, expected

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


@pytest.mark.parametrize(("channels", "white"), [(3, 1), (1, 1), (3, 255)])
def test_versions_are_flips_and_brightness_of_the_pixels(channels, white):
    pixels = white * np.random.default_rng(0).random((2, channels, 6, 8))
    mean, std = (white * np.array(values[:channels]).reshape(-1, 1, 1) for values in (MEAN, STD))
    batch = torch.from_numpy((pixels - mean) / std).float()
    versions = list(Augmentation(tuple(mean.flat), tuple(std.flat), white).versions(batch))
    assert torch.equal(versions[0][0], batch)
    found = [(version.double().numpy() * std + mean, flipped) for version, flipped in versions]
    for (values, flipped), (factor, wanted) in zip(
        found, [(f, flip) for f in (1.0, 0.9, 1.1) for flip in (False, True)], strict=True
    ):
        assert flipped is wanted
        shown = np.clip(pixels * factor, 0, white)
        np.testing.assert_allclose(values, shown[..., ::-1] if flipped else shown, atol=1e-6 * white)


@pytest.mark.slow
@pytest.mark.parametrize("method", ["gradcam", "layercam", "scorecam", "gradient"])
def test_maps_of_all_versions_are_averaged_and_then_rectified(small_net, batch, method):
    augmentation = Augmentation(MEAN, STD)
    explained = Explainer(small_net, "features.3", method=method, augmentation=augmentation)(batch[:2], [0, 2])
    raws = []
    for version, flipped in augmentation.versions(batch[:2]):
        found = [expected(method, Oracle(small_net, version[k], "features.3"), (0, 2)[k]) for k in range(2)]
        raws.append([raw[:, ::-1] if flipped else raw for raw in found])
    for k, result in enumerate(explained):
        mean = np.mean([raw[k] for raw in raws], axis=0)
        found = result.maps[0]
        assert (found.low, found.high) == pytest.approx((mean.min(), mean.max()), abs=1e-5 * np.abs(mean).max())
        assert np.abs(found.values - np.maximum(mean, 0)).max() <= 1e-5 * np.abs(mean).max()
        assert found.blank is None


def test_the_class_is_the_pictures_own(small_net, batch):
    """Also where a version of it has another one."""
    augmentation = Augmentation(MEAN, STD)
    (_, _), (other, _), *_ = augmentation.versions(batch[:1])
    with torch.no_grad():
        before, after = small_net(batch[:1])[0], small_net(other)[0]
        gain = after - before
        rising, falling = int(gain.argmax()), int(gain.argmin())
        small_net.classifier.bias[rising] += before[falling] - before[rising] - (gain[rising] - gain[falling]) / 2
        small_net.classifier.bias[[rising, falling]] += 100
        assert int(small_net(batch[:1]).argmax()) == falling
        assert int(small_net(other).argmax()) == rising
    assert Explainer(small_net, "features", augmentation=augmentation)(batch[:1])[0].maps[0].target.index == falling


def test_a_symmetric_picture_has_a_symmetric_map(small_net):
    """Convolutions with stride are not symmetric themselves, so that the plain map is not."""
    torch.manual_seed(3)
    half = torch.randn(1, 3, 32, 15)
    picture = torch.cat([half, torch.randn(1, 3, 32, 1), half.flip(3)], dim=3)
    smoothed = Explainer(small_net, "features.3", method="hirescam", augmentation=Augmentation(MEAN, STD))
    values = smoothed(picture, 1)[0].maps[0].values
    assert values.any()
    np.testing.assert_allclose(values, values[:, ::-1], atol=1e-5 * values.max())


@pytest.mark.slow
@pytest.mark.parametrize(("method", "parts"), [
    ("gradcam", lambda a, g: g.mean((1, 2), keepdims=True) * a),
    ("layercam", lambda a, g: np.maximum(g, 0) * a),
    ("hirescam", lambda a, g: g * a),
])  # fmt: skip
def test_eigen_smoothing_keeps_the_main_component(small_net, batch, method, parts):
    targets = (0, 2, 4)
    explained = Explainer(small_net, "features", method=method, eigen_smooth=True)(batch, targets)
    shown = 0
    for picture, target, result in zip(batch, targets, explained, strict=True):
        truth = Oracle(small_net, picture, "features")
        terms = parts(truth.activations, truth.gradients()[target])
        expected = component(terms, terms)
        found = result.maps[0]
        shown += found.blank is None
        size = np.abs(expected).max()
        assert (found.low, found.high) == pytest.approx((expected.min(), expected.max()), abs=1e-5 * size)
        assert found.blank or np.abs(found.values - np.maximum(expected, 0)).max() <= 1e-5 * size
    assert shown


@pytest.mark.parametrize("method", [name for name, entry in METHODS.items() if not entry.needs and not entry.slow])
def test_every_method_can_be_smoothed(small_net, batch, method):
    explainer = Explainer(small_net, "features", method=method, eigen_smooth=True, augmentation=Augmentation(MEAN, STD))
    together = explainer(batch, 2)
    alone = [explainer(batch[k : k + 1], 2)[0] for k in range(len(batch))]
    for one, other in zip(together, alone, strict=True):
        assert np.isfinite(one.maps[0].values).all()
        np.testing.assert_allclose(
            one.maps[0].values, other.maps[0].values, atol=2e-5 * max(one.maps[0].values.max(), 1e-3)
        )
