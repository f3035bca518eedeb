"""Hugging Face's classifiers, small and untrained: the layer that auto takes, and its map by plain PyTorch."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from gradcam_cli.cam.explainer import Explainer
from gradcam_cli.cam.layers.select import candidates
from gradcam_cli.cam.layers.trace import trace_network

pytestmark = pytest.mark.peers
transformers = pytest.importorskip("transformers", reason="pip install '.[test-all]' for transformers")

SIDE = 64
COMMON: dict[str, Any] = {"hidden_size": 32, "num_hidden_layers": 3, "num_attention_heads": 2, "image_size": SIDE}
VISION = {**COMMON, "intermediate_size": 48, "patch_size": 16}
TEXT = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32, "vocab_size": 99}

NETWORKS: dict[str, tuple[str, dict[str, Any], int]] = {
    "ViT": ("ViTForImageClassification", VISION, 1),
    "DeiT": ("DeiTForImageClassificationWithTeacher", VISION, 2),
    "Beit": ("BeitForImageClassification", {**VISION, "use_mean_pooling": True}, 1),
    "Dinov2": ("Dinov2ForImageClassification", {**COMMON, "patch_size": 16}, 1),
    "Dinov2WithRegisters": (
        "Dinov2WithRegistersForImageClassification", {**COMMON, "patch_size": 16, "num_register_tokens": 4}, 5,
    ),
    "Siglip": ("SiglipForImageClassification", {"vision_config": VISION, "text_config": TEXT}, 0),
    "CLIP": ("CLIPForImageClassification", {"vision_config": VISION, "text_config": TEXT}, 1),
    "Swin": (
        "SwinForImageClassification",
        {"embed_dim": 12, "depths": [1, 1], "num_heads": [1, 2], "image_size": SIDE, "window_size": 4}, 0,
    ),
    "ResNet": (
        "ResNetForImageClassification",
        {"embedding_size": 8, "hidden_sizes": [8, 16], "depths": [1, 2], "layer_type": "basic"}, 0,
    ),
    "ConvNext": ("ConvNextForImageClassification", {"hidden_sizes": [8, 16, 16, 24], "depths": [1, 1, 2, 1]}, 0),
    "ConvNextV2": ("ConvNextV2ForImageClassification", {"hidden_sizes": [8, 16, 16, 24], "depths": [1, 1, 2, 1]}, 0),
}  # fmt: skip
"""Name → class of the classifier, its configuration, and the number of tokens before the grid's."""


def network(name: str) -> torch.nn.Module:
    kind, options, _ = NETWORKS[name]
    torch.manual_seed(0)
    net = getattr(transformers, kind)(getattr(transformers, f"{name}Config")(**options, num_labels=4))
    for parameter in net.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    return net.eval().requires_grad_(False)


@pytest.mark.parametrize("name", NETWORKS)
def test_auto_equals_plain_pytorch(name):
    net, picture = network(name), torch.randn(1, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(1))
    explainer = Explainer(net, input_size=(SIDE, SIDE), optimize=True)
    found = [explainer(picture, target)[0].maps[0] for target in range(4)]
    kept = []

    def keep(module: torch.nn.Module, args: Any, output: Any) -> Any:
        tensor = output if isinstance(output, torch.Tensor) else output[0]
        kept.append(tensor.detach().clone().requires_grad_())
        if isinstance(output, torch.Tensor):
            return kept[0]
        if isinstance(output, dict):
            output[next(iter(output))] = kept[0]
            return output
        return (kept[0], *output[1:])

    net.get_submodule(found[0].layer).register_forward_hook(keep)
    logits = net(picture).logits[0]
    for target, each in enumerate(found):
        (gradient,) = torch.autograd.grad(logits[target], kept[0], retain_graph=True)
        assert gradient.any(), "the score depends on this layer"
        maps, gradient = kept[0].detach()[0], gradient[0]
        if maps.ndim == 2:  # tokens
            prefix = NETWORKS[name][2]
            side = round((len(maps) - prefix) ** 0.5)
            maps, gradient = (tokens[prefix:].T.unflatten(1, (side, side)) for tokens in (maps, gradient))
        expected = (gradient.mean((1, 2), keepdim=True) * maps).sum(0).numpy()
        assert (each.low, each.high) == pytest.approx((expected.min(), expected.max()), rel=1e-4, abs=1e-6)
        np.testing.assert_allclose(each.values, expected.clip(0), atol=1e-5 * np.abs(expected).max())


@pytest.mark.parametrize("name", NETWORKS)
def test_layers_are_listed(name):
    net = network(name)
    listed = candidates(net, trace_network(net, (SIDE, SIDE)))
    assert Explainer(net, input_size=(SIDE, SIDE)).layers[0].name in [each.name for each in listed]
