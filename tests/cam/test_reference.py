"""Real weights on real photographs, against the maps of two peers and of float64 formulas."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torchvision
from PIL import Image

from gradcam_cli.cam.explainer import Explainer

MEAN, STD = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])

pytestmark = pytest.mark.usefixtures("shared_data")


@pytest.fixture(scope="module")
def squeezenet(shared_data):
    net = torchvision.models.squeezenet1_0()
    net.load_state_dict(torch.load(shared_data / "weights" / "squeezenet1_0_imagenet.pth", weights_only=True))
    return net.eval()


NAMES = (
    "acoustic_guitar", "afghan_hound", "ambulance", "basketball", "boxer", "cat_dog", "golden_retriever",
    "indigo_bunting", "siamese_cat", "strawberry", "streetcar", "zebra",
)  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_equals_the_peers_raw_maps(squeezenet, shared_data, name):
    pixels = np.asarray(Image.open(shared_data / "reference" / "crops" / f"{name}.png"))
    batch = ((torch.from_numpy(pixels.copy()).float() / 255 - MEAN) / STD).permute(2, 0, 1)[None]
    reference = np.load(shared_data / "reference" / f"{name}.npz")
    classes = [int(index) for index in reference["classes"]]
    explained = Explainer(squeezenet, "auto")(batch, lambda logits: classes)[0]
    np.testing.assert_allclose(explained.logits, reference["logits_f64"].ravel(), atol=1e-3)
    for class_map in explained.maps:
        compared = 0
        for who in ("ref", "pgc", "torchcam"):
            key = f"{who}/{class_map.layer}/{class_map.target}/GradCAM/raw"
            if key in reference:
                expected = np.maximum(reference[key].squeeze(), 0)
                assert np.abs(class_map.values - expected).max() <= 1e-4 * expected.max(), who
                compared += 1
        assert compared == 3
