"""Every layer at once, and several layers' maps made into one."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import torch
import torchvision

from gradcam_cli.cam.explainer import Explainer
from gradcam_cli.cam.fuse import fuse
from gradcam_cli.cam.layers.select import every_layer
from gradcam_cli.cam.layers.trace import trace_network
from gradcam_cli.cam.maps import ClassMap
from gradcam_cli.cam.methods.registry import METHODS
from gradcam_cli.cam.targets import Target


def made(values: np.ndarray, layer: str = "a", method: str = "gradcam", blank: str | None = None) -> ClassMap:
    values = np.asarray(values, np.float32)
    rectified = METHODS[method].rectified
    return ClassMap(layer, Target(1), method, values, float(values.min()), float(values.max()), blank, rectified)


def upsampled(values: np.ndarray, side: int) -> np.ndarray:
    """OpenCV's bilinear resize has half-pixel centres too."""
    return cv2.resize(values, (side, side), interpolation=cv2.INTER_LINEAR)


@pytest.mark.parametrize(("how", "combine"), [("mean", np.mean), ("max", np.max), ("product", np.prod)])
def test_maps_count_alike_on_the_finest_grid(how, combine):
    rng = np.random.default_rng(0)
    fine, coarse = rng.random((8, 8)).astype(np.float32), 900 * rng.random((4, 4)).astype(np.float32)
    fused = fuse([made(fine, "a"), made(coarse, "b")], how)
    expected = combine([fine / fine.max(), upsampled(coarse / coarse.max(), 8)], axis=0)
    assert (fused.layer, fused.method, fused.target.index, fused.blank) == ("a+b", "gradcam", 1, None)
    np.testing.assert_allclose(fused.values, expected, atol=1e-6)
    assert (fused.low, fused.high) == pytest.approx((expected.min(), expected.max()), abs=1e-6)


def test_layercams_maximum_lifts_shallow_layers_as_its_authors_do():
    rng = np.random.default_rng(1)
    shallow, middle, deep = (rng.random((side, side)).astype(np.float32) for side in (16, 8, 4))
    found = fuse([made(shallow, "a", "layercam"), made(middle, "b", "layercam"), made(deep, "c", "layercam")], "max")
    lifted = np.tanh(2 * shallow / shallow.max())
    plain = [upsampled(each / each.max(), 16) for each in (middle, deep)]
    np.testing.assert_allclose(found.values, np.max([lifted, *plain], axis=0), atol=1e-6)


def test_blank_layers_do_not_count():
    shown, blank = (
        made([[1, 2], [3, 4]], "b"),
        made(np.zeros((2, 2)), "a", blank="there is no positive evidence for it"),
    )
    for how in ("mean", "max", "product"):
        np.testing.assert_allclose(fuse([blank, shown], how).values, shown.values / 4)
    assert fuse([blank, blank], "mean").blank == "there is no positive evidence for it"
    apart = fuse([made([[1, 0], [0, 0]]), made([[0, 0], [0, 1]])], "product")
    assert "no place in common" in apart.blank


def test_what_is_not_rectified_is_scaled_between_its_ends():
    fused = fuse([made([[-3, 0], [1, 5]], method="guided-weights")] * 2, "mean")
    np.testing.assert_allclose(fused.values, [[0, 3 / 8], [0.5, 1]])


def test_the_explainer_fuses_each_class_and_method_on_its_own(small_net, batch):
    layers, methods = ["features.0", "features"], ["gradcam", "hirescam"]
    apart = Explainer(small_net, layers, method=methods)(batch, lambda logits: [3, 1])
    fused = Explainer(small_net, layers, method=methods, fusion="max")(batch, lambda logits: [3, 1])
    for single, together in zip(apart, fused, strict=True):
        assert [(each.target.index, each.method) for each in together.maps] == [
            (target, method) for target in (3, 1) for method in methods
        ]
        for position, each in enumerate(together.maps):
            expected = fuse([single.maps[position], single.maps[position + 4]], "max")
            np.testing.assert_array_equal(each.values, expected.values)


def test_all_layers_are_those_with_a_grid_each_output_once(small_net, batch):
    explainer = Explainer(small_net, "all", input_size=tuple(batch.shape[2:]), optimize=True)
    names = [f"features.{k}" for k in range(5)] + ["tail.0", "tail.1"]
    assert [layer.name for layer in explainer.layers] == names
    singles = {name: Explainer(small_net, name)(batch, 2) for name in ("features.0", "features.2", "features.3")}
    for position, explained in enumerate(explainer(batch, 2)):
        for each in explained.maps:
            if each.layer in singles:
                alone = singles[each.layer][position].maps[0]
                np.testing.assert_allclose(each.values, alone.values, atol=1e-5 * max(alone.values.max(), 1e-3))


def test_an_output_that_several_modules_return_is_named_after_the_block():
    with torch.device("meta"):
        net = torchvision.models.resnet18()
    names = [layer.name for layer in every_layer(trace_network(net.eval(), (224, 224)))]
    assert len(names) == len(set(names))
    assert {"conv1", "maxpool", "layer1.0", "layer4.1"} <= set(names)
    assert not {"layer1", "layer4", "layer1.0.bn2", "avgpool", "fc"} & set(names)
