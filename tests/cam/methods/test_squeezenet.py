"""Every method against its formula in float64, with real weights on real photographs.

Rounding is that of the network's float32. Where it decides something, a gate or an exponent, a network in float64
shows that the formula is met.
"""

from __future__ import annotations

import copy
from functools import lru_cache

import numpy as np
import pytest
import torch
from PIL import Image

from gradcam_cli.cam.explainer import Explainer
from gradcam_cli.cam.methods.registry import METHODS
from tests.cam.oracle import expected, noisy
from tests.cam.squeezenet import SqueezeNetOracle

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("shared_data")]

PHOTOS = {"cat_dog": [243, 282], "zebra": [340]}
"""Name → classes that are in it."""
SMALL = 64
"""Side of photographs for what needs thousands of passes."""

SCORED = [name for name, entry in METHODS.items() if entry.slow]
OF_PIXELS = ["gradient", "smoothgrad", "guided-backprop", "guided-gradcam"]
OF_LAYER = [name for name in METHODS if name not in (*SCORED, *OF_PIXELS, "cam", "random")]

EXACT = 1e-5
"""Of a map's maximum."""
EXPONENTIAL = 1e-4
"""The same for methods that exponentiate logits: of logits up to 28, float32 networks round off up to 6e-5, and that is
by how much their exponentials are off in relation. Measured: 5.6e-5."""


@pytest.fixture(scope="module")
def photograph(shared_data):
    mean, std = np.float32([0.485, 0.456, 0.406]), np.float32([0.229, 0.224, 0.225])

    def load(name: str, side: int = 224) -> torch.Tensor:
        crop = Image.open(shared_data / "reference" / "crops" / f"{name}.png")
        pixels = np.asarray(crop.resize((side, side), Image.Resampling.BILINEAR), dtype=np.float32) / 255
        return torch.from_numpy(((pixels - mean) / std).transpose(2, 0, 1).copy())

    return load


def exact(network):
    return copy.deepcopy(network).double()


@pytest.fixture(scope="module")
def truth_of(squeezenet, photograph):
    """Return the oracle of a small photograph, with what it has computed for other tests."""
    return lru_cache(lambda name, layer="features.12": SqueezeNetOracle(squeezenet, photograph(name, SMALL), layer))


def maps(network, picture, methods, classes, layer="features.12"):
    side = tuple(picture.shape[1:])
    explainer = Explainer(network, layer, method=methods, input_size=side, optimize=True)
    batch = picture[None].contiguous(memory_format=torch.channels_last)
    return explainer(batch, lambda logits: classes)[0].maps


def assert_equal(found, truth, tolerance):
    """Compare the map, and its range before it was rectified."""
    assert found.blank is None
    raw = expected(found.method, truth, found.target.index)
    wanted = np.maximum(raw, 0) if METHODS[found.method].rectified else raw
    off = [np.abs(found.values - wanted).max(), abs(found.low - raw.min()), abs(found.high - raw.max())]
    assert max(off) <= tolerance * raw.max(), (found.method, found.target.index, max(off) / raw.max())


@pytest.mark.parametrize("name", PHOTOS)
def test_methods_of_a_layer(squeezenet, photograph, name):
    picture = photograph(name)
    truth = SqueezeNetOracle(squeezenet, picture)
    for found in maps(squeezenet, picture, OF_LAYER, PHOTOS[name]):
        assert_equal(found, truth, EXACT)


@pytest.mark.parametrize(
    ("name", "layer", "methods"),
    [
        ("cat_dog", "features.12", [name for name in SCORED if name not in ("sscam", "iscam")]),
        # 16 feature maps of 14×14: few enough for those two, which have 18 masks for each.
        ("cat_dog", "features.3.squeeze_activation", ["sscam", "iscam"]),
        ("zebra", "features.3.squeeze_activation", SCORED),
    ],
)
def test_masked_scores(squeezenet, photograph, truth_of, name, layer, methods):
    truth = truth_of(name, layer)
    assert sum(np.ptp(plane) > 0 for plane in truth.activations) >= (64 if layer == "features.12" else 14)
    for found in maps(squeezenet, photograph(name, SMALL), methods, PHOTOS[name], layer):
        assert_equal(found, truth, EXPONENTIAL)


def test_masked_scores_in_float64(squeezenet, photograph, truth_of):
    layer = "features.3.squeeze_activation"
    for found in maps(exact(squeezenet), photograph("zebra", SMALL), SCORED, PHOTOS["zebra"], layer):
        assert_equal(found, truth_of("zebra", layer), EXACT)


@pytest.mark.parametrize("name", PHOTOS)
def test_what_is_sent_back_by_hand_is_the_slope(truth_of, name):
    """So that it may stand for central differences: of the picture, and of a noisy copy, as SmoothGrad has it."""
    target = PHOTOS[name][0]
    plain = truth_of(name)
    for truth in (plain, plain.at(noisy(plain.picture, 16)[15])):
        back = truth.sent_back(target, guided=False).ravel()
        strongest = np.argsort(-np.abs(back))[:12]
        places = np.concatenate([strongest, np.random.default_rng(0).choice(back.size, 20, replace=False)])
        slopes = truth.slopes(target, places)
        assert np.abs(slopes - back[places]).max() <= 1e-6 * np.abs(back).max()


@pytest.mark.parametrize("name", PHOTOS)
def test_methods_of_the_pixels_in_float64(squeezenet, photograph, truth_of, name):
    for found in maps(exact(squeezenet), photograph(name, SMALL), OF_PIXELS, PHOTOS[name]):
        assert_equal(found, truth_of(name), 1e-6)


@pytest.mark.parametrize(("name", "side"), [("zebra", 224), ("cat_dog", SMALL)])
def test_methods_of_the_pixels_in_float32(squeezenet, photograph, name, side):
    """With the gates that float32 sees.

    One of a million whose unit is all but 0 opens or shuts by rounding. With float64's gates the maps differ by up to
    6e-3 of the maximum where such a unit looks, and agree as a whole.
    """
    picture = photograph(name, side)
    methods = [method for method in OF_PIXELS if side == SMALL or method != "smoothgrad"]
    seen, truth = (SqueezeNetOracle(squeezenet, picture, gates=gates) for gates in (torch.float32, torch.float64))
    for found in maps(squeezenet, picture, methods, PHOTOS[name][-1:]):
        assert_equal(found, seen, EXACT)
        raw = expected(found.method, truth, found.target.index)
        assert (raw * found.values).sum() > 0.9999 * np.linalg.norm(raw) * np.linalg.norm(found.values)


@pytest.mark.peers
def test_guided_backpropagation_equals_the_peers(squeezenet, photograph):
    peer = pytest.importorskip("pytorch_grad_cam", reason="pip install '.[test-all]' for pytorch_grad_cam")
    picture = photograph("cat_dog", SMALL)
    (found,) = maps(squeezenet, picture, ["guided-backprop"], [282])
    # It leaves one ReLU in the place of all.
    their_model = peer.GuidedBackpropReLUModel(copy.deepcopy(squeezenet), device="cpu")
    theirs = np.abs(their_model(picture[None], 282)).max(axis=2)
    assert np.abs(found.values - theirs).max() <= EXACT * theirs.max()


def test_batch_mates_change_nothing(squeezenet, photograph):
    methods = ["gradcam", "layercam", "eigencam", "kpca-cam", "fem", "ablationcam", "smoothgradcam++"]
    batch = torch.stack([photograph(name, 96) for name in ("boxer", "cat_dog", "strawberry")])
    explainer = Explainer(squeezenet, "features.12", method=methods, optimize=True)
    together = explainer(batch, 243)[1].maps
    for mine, alone in zip(together, explainer(batch[1:2], 243)[0].maps, strict=True):
        assert np.abs(mine.values - alone.values).max() <= EXACT * alone.values.max() > 0, mine.method
