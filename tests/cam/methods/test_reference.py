"""Real weights on real photographs, against the maps of two peers and of float64 formulas."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

from gradcam_cli.cam.capture import capture
from gradcam_cli.cam.context import BatchContext, Budget
from gradcam_cli.cam.explainer import Explainer
from gradcam_cli.cam.function_modes import recording
from gradcam_cli.cam.methods.registry import METHODS
from gradcam_cli.cam.targets import Target
from tests.cam.oracle import component
from tests.cam.squeezenet import SqueezeNetOracle

MEAN, STD = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("shared_data")]


NAMES = (
    "acoustic_guitar", "afghan_hound", "ambulance", "basketball", "boxer", "cat_dog", "golden_retriever",
    "indigo_bunting", "siamese_cat", "strawberry", "streetcar", "zebra",
)  # fmt: skip


SAME = {
    "gradcam": {"ref": "GradCAM", "pgc": "GradCAM", "torchcam": "GradCAM"},
    "gradcam++": {"ref": "GradCAMpp"},
    "xgradcam": {"ref": "XGradCAM", "pgc": "XGradCAM", "torchcam": "XGradCAM"},
    "layercam": {"ref": "LayerCAM", "pgc": "LayerCAM", "torchcam": "LayerCAM"},
    "hirescam": {"ref": "HiResCAM", "pgc": "HiResCAM"},
    "gradcam-elementwise": {"ref": "GradCAMElementWise", "pgc": "GradCAMElementWise"},
    "eigencam": {"ref": "EigenCAM_paper"},
}
"""Method → who has a raw map by the same formula, under which name."""


def sample(shared_data, name):
    """Return a photograph as the network takes it, (1, 3, 224, 224), and what is known of it."""
    pixels = np.asarray(Image.open(shared_data / "reference" / "crops" / f"{name}.png"))
    batch = ((torch.from_numpy(pixels.copy()).float() / 255 - MEAN) / STD).permute(2, 0, 1)[None]
    return batch, np.load(shared_data / "reference" / f"{name}.npz")


@pytest.mark.parametrize("name", NAMES)
def test_equals_the_peers_raw_maps(squeezenet, shared_data, name):
    batch, reference = sample(shared_data, name)
    classes = [int(index) for index in reference["classes"]]
    explained = Explainer(squeezenet, "auto", method=list(SAME))(batch, lambda logits: classes)[0]
    np.testing.assert_allclose(explained.logits, reference["logits_f64"].ravel(), atol=1e-3)
    for class_map in explained.maps:
        for who, called in SAME[class_map.method].items():
            raw = reference[f"{who}/features.12/{class_map.target.index}/{called}/raw"].squeeze()
            expected = np.maximum(raw, 0)
            assert expected.max() > 0
            assert np.abs(class_map.values - expected).max() <= 1e-4 * expected.max(), (who, class_map.method)


@pytest.mark.parametrize("name", NAMES)
def test_points_where_the_formulas_do_in_a_middle_layer(squeezenet, shared_data, name):
    """There float32 rounding flips some gate behind the layer, so the maps agree as a whole, not place by place."""
    batch, reference = sample(shared_data, name)
    classes = [int(index) for index in reference["classes"]]
    for class_map in Explainer(squeezenet, "features.7", method=list(SAME))(batch, lambda logits: classes)[0].maps:
        key = f"ref/features.7/{class_map.target.index}/{SAME[class_map.method]['ref']}/raw"
        if key in reference:
            expected = np.maximum(reference[key].squeeze(), 0)
            cosine = (expected * class_map.values).sum() / np.linalg.norm(expected) / np.linalg.norm(class_map.values)
            assert cosine > 0.999, class_map.method


@pytest.mark.parametrize("name", ["afghan_hound", "cat_dog"])
def test_the_peers_gradcam_pp_is_not_the_formula(squeezenet, shared_data, name):
    """What the docstring says of them, so that it stays true or is corrected."""
    batch, reference = sample(shared_data, name)
    target = int(reference["classes"][0])
    mine = Explainer(squeezenet, "auto", method="gradcam++")(batch, target)[0].maps[0].values
    for who, called in (("pgc", "GradCAMPlusPlus"), ("torchcam", "GradCAMpp")):
        theirs = np.maximum(reference[f"{who}/features.12/{target}/{called}/raw"].squeeze(), 0)
        assert np.abs(mine / mine.max() - theirs / theirs.max()).max() > 0.05, who


@pytest.mark.parametrize("name", ["cat_dog", "afghan_hound"])
def test_ablation_equals_the_peers(squeezenet, shared_data, name):
    batch, reference = sample(shared_data, name)
    classes = [int(index) for index in reference["classes"]]
    for class_map in Explainer(squeezenet, "auto", method="ablationcam")(batch, lambda logits: classes)[0].maps:
        for who in ("ref", "pgc"):
            expected = np.maximum(reference[f"{who}/features.12/{class_map.target.index}/AblationCAM/raw"].squeeze(), 0)
            # pytorch-grad-cam divides by y as we do by |y|: the logits are positive here.
            assert np.abs(class_map.values - expected).max() <= 1e-4 * expected.max(), who


@pytest.mark.parametrize("name", ["afghan_hound", "cat_dog"])
def test_the_peers_components_are_centred_and_of_either_sign(squeezenet, shared_data, name):
    """Again what the docstrings say of them: else they are ours."""
    batch, reference = sample(shared_data, name)
    truth = SqueezeNetOracle(squeezenet, batch[0])
    for target in map(int, reference["classes"]):
        a = truth.activations
        for called, maps in (("EigenCAM", a), ("EigenGradCAM", a * truth.gradient(target))):
            centred = component(maps - maps.mean((1, 2), keepdims=True), a)
            for who, name_there in (("pgc", called), ("ref", f"{called}_centred")):
                raw = reference[f"{who}/features.12/{target}/{name_there}/raw"].squeeze()
                off = min(np.abs(centred - raw).max(), np.abs(centred + raw).max())
                assert off <= 1e-4 * np.abs(raw).max(), (who, called)


@pytest.mark.parametrize("name", ["afghan_hound", "cat_dog"])
def test_scorecam_of_the_paper_equals_the_reference_given_its_scores(squeezenet, shared_data, name):
    """All 512 masks' logits as the reference has them; that ours are the same is tested below."""
    batch, reference = sample(shared_data, name)
    explainer = Explainer(squeezenet, "auto")
    for target in map(int, reference["classes"]):
        key = f"ref/features.12/{target}/ScoreCAM_alignFalse"
        scores, weights = (torch.from_numpy(reference[f"{key}/{what}"].ravel()) for what in ("scores", "weights"))
        with recording(), explainer.running() as (network, layers):
            context = BatchContext(capture(network, layers, batch, explainer.readout), [Target(target)], Budget()).at(0)
            rows = scores[:, None] * torch.nn.functional.one_hot(torch.tensor(target), 1000)
            context.memory["masked", 0] = dict(enumerate(rows.float()))
            found = METHODS["scorecam-paper"].load()(context)[0].numpy()
            flat = (context.activations[0].flatten(1).std(1) == 0).double()
        # The reference gives a share to feature maps that are flat.
        expected = reference[f"{key}/raw"].squeeze() / (1 - float((weights * flat).sum()))
        assert np.abs(found - expected).max() <= 1e-4 * expected.max()


def test_masked_scores_equal_the_reference(squeezenet, shared_data):
    """Some of 512 masks: their logits are all that Score-CAM's weights are made of."""
    batch, reference = sample(shared_data, "cat_dog")
    target = int(reference["classes"][0])
    explainer = Explainer(squeezenet, "auto", method="faster-scorecam", budget=Budget(seconds=1e-9))
    with recording(), explainer.running() as (network, layers):
        captured = capture(network, layers, batch, explainer.readout)
        context = BatchContext(captured, [Target(target)], explainer.budget).at(0)
        METHODS["faster-scorecam"].load()(context)
    rows = context.memory["masked", 0]
    assert len(rows) == 16
    scores = reference[f"ref/features.12/{target}/ScoreCAM_alignFalse/scores"].ravel()
    for channel, logits in rows.items():
        assert float(logits[target]) == pytest.approx(scores[channel], abs=2e-3), channel
