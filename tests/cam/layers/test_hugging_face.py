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
pytest.importorskip("transformers", reason="pip install '.[test-all]' for transformers")

from tests.hugging_face import NETWORKS, SIDE, network  # noqa: E402


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
