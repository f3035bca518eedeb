"""The part of a network behind a layer: the same logits as the whole network, nothing before the layer computed."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torchvision
from torch import nn
from torch.nn import functional as F

from gradcam_cli.cam.execution.partial_forward import PartialForward
from gradcam_cli.cam.explainer import Explainer
from gradcam_cli.cam.layers.select import layer_named
from gradcam_cli.cam.layers.trace import trace_network


def partial(net: nn.Module, name: str, picture: torch.Tensor) -> PartialForward:
    """Return the part of a network behind a layer."""
    trace = trace_network(net, (picture.shape[2], picture.shape[3]))
    return PartialForward(net, layer_named(net, name, trace).place(net), picture, trace.readout)


LAYERS = {
    "resnet18": "layer3.1", "squeezenet1_0": "features.7", "densenet121": "features.denseblock3.denselayer2",
    "mobilenet_v2": "features.7.conv.1", "googlenet": "inception4b.branch3", "swin_t": "features.3.1",
    "vit_b_32": "encoder.layers.encoder_layer_5.ln_1", "efficientnet_b0": "features.4.0.block.2.avgpool",
    "convnext_tiny": "features.5.2.block.0", "shufflenet_v2_x0_5": "stage3.1.branch2",
}  # fmt: skip
"""Layers in the middle of blocks, beside shortcuts and branches."""


@pytest.mark.slow
@pytest.mark.parametrize("name", LAYERS)
def test_gives_what_the_whole_network_gives(name):
    torch.manual_seed(0)
    options = {"init_weights": False} if name == "googlenet" else {}
    net = torchvision.models.get_model(name, weights=None, num_classes=9, **options).eval()
    layer = net.get_submodule(LAYERS[name])
    size = 224 if name.startswith(("vit", "swin")) else 64
    picture = torch.randn(1, 3, size, size)
    with torch.no_grad():
        partial_forward = partial(net, LAYERS[name], picture)
        assert partial_forward.shortened
        others = partial_forward.activation * torch.tensor([1.0, 0.5, -2.0]).view(
            3, *[1] * (partial_forward.activation.ndim - 1)
        )
        found = partial_forward(others)
        expected = []
        for other in others:
            handle = layer.register_forward_hook(lambda m, a, out, other=other: other[None])
            expected.append(net(picture)[0])
            handle.remove()
    torch.testing.assert_close(found, torch.stack(expected), rtol=1e-3, atol=1e-5)
    assert not any("forward" in module.__dict__ or module._forward_hooks for module in net.modules())


def test_nothing_before_the_layer_is_computed():
    net = torchvision.models.resnet18(num_classes=4).eval()
    with torch.no_grad():
        partial_forward = partial(net, "layer3", torch.randn(1, 3, 64, 64))
        computed = []
        for name, module in net.named_modules():
            if isinstance(module, (nn.Conv2d, nn.Linear)):
                forward = module.forward
                module.forward = lambda x, name=name, forward=forward: computed.append(name) or forward(x)
        partial_forward(partial_forward.activation)
    assert {name.split(".")[0] for name in computed} == {"layer4", "fc"}


class Awkward(nn.Module):
    """Uses its layers in a way that forbids leaving anything out, or needs care."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        self.first, self.second, self.head = (
            nn.Conv2d(3, 5, 3, padding=1),
            nn.Conv2d(5, 5, 3, padding=1),
            nn.Linear(5, 4),
        )
        self.kind = kind
        self.seen = 0

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.first(x)
        if self.kind == "writes":
            y += 1.0
        if self.kind == "in place":
            F.relu_(y)
        z = self.second(y)
        if self.kind == "twice":
            z = self.second(z)
        if self.kind == "shared later":
            z = z + self.first(x)
        if self.kind == "skips":
            z = z + y
        return self.head(z.mean((2, 3)))


@pytest.mark.parametrize("kind", ["plain", "writes", "in place", "twice", "shared later", "skips"])
def test_awkward_networks(kind):
    torch.manual_seed(1)
    net = Awkward(kind).eval()
    picture = torch.randn(1, 3, 12, 12)
    with torch.no_grad():
        partial_forward = partial(net, "second", picture)
        calls = []

        def doubled(module, args, out):
            calls.append(1)
            return out * 2 if kind != "twice" or len(calls) == 2 else out

        torch.testing.assert_close(partial_forward(partial_forward.activation), net(picture))
        handle = net.second.register_forward_hook(doubled)
        expected = net(picture)
        handle.remove()
        torch.testing.assert_close(partial_forward(partial_forward.activation * 2), expected)


def test_one_relu_for_all_of_a_network():
    """It runs before the layer, within it and behind it; its outputs differ in shape."""
    torch.manual_seed(3)
    relu = nn.ReLU()
    block = nn.Sequential(nn.Conv2d(5, 6, 3), relu)
    net = nn.Sequential(
        nn.Conv2d(3, 5, 3), relu, block, nn.Conv2d(6, 4, 1), relu, nn.AdaptiveAvgPool2d(1), nn.Flatten()
    )
    picture = torch.randn(1, 3, 12, 12)
    with torch.no_grad():
        partial_forward = partial(net, "2", picture)
        others = torch.cat([partial_forward.activation, partial_forward.activation * 0.5])
        torch.testing.assert_close(partial_forward(others), net[3:](others))


def test_ablation_of_a_tokens_network_is_what_it_says():
    torch.manual_seed(2)
    net = torchvision.models.vision_transformer.VisionTransformer(
        image_size=48, patch_size=16, num_layers=2, num_heads=2, hidden_dim=12, mlp_dim=24, num_classes=4
    ).eval()
    nn.init.normal_(net.heads.head.weight)
    picture = torch.randn(1, 3, 48, 48)
    layer = net.encoder.layers[1].ln_1
    found = Explainer(net, layer, method="ablationcam", input_size=(48, 48))(picture, 1)[0].maps[0]
    kept = []
    layer.register_forward_hook(lambda m, a, out: kept.append(out))
    with torch.no_grad():
        whole = net(picture)[0, 1]
    total = torch.zeros(3, 3)
    for channel in range(12):

        def ablated(module, args, out, channel=channel):
            out = out.clone()
            out[..., channel] = 0
            return out

        handle = layer.register_forward_hook(ablated)
        with torch.no_grad():
            weight = (whole - net(picture)[0, 1]) / whole.abs()
        handle.remove()
        total += weight * kept[0][0, 1:, channel].detach().view(3, 3)
    raw = total.numpy()
    assert (found.low, found.high) == pytest.approx((raw.min(), raw.max()), rel=1e-4)
    np.testing.assert_allclose(found.values, np.maximum(raw, 0), atol=1e-4 * np.abs(raw).max())
