"""Grids and places: every layer's map equals plain PyTorch's, whatever the layout and however often a module runs."""

from __future__ import annotations

import functools
import math
import os
from typing import Any

import numpy as np
import pytest
import torch
import torchvision
from torch import nn

from gradcam_cli.cam.explainer import Explainer
from gradcam_cli.cam.layers.select import candidates, every_layer, find_layer
from gradcam_cli.cam.layers.trace import trace_network
from gradcam_cli.errors import ModelError

SIZES = [(96, 128), (64, 256), (128, 96)]
"""4:3, 4:1 and upright."""


def outputs_of(net: nn.Module, size: tuple[int, int]) -> dict[str, torch.Size]:
    """Return the shape of every module's last output, by plain hooks."""
    shapes: dict[str, torch.Size] = {}

    def note(name: str, module: nn.Module, args: Any, output: Any) -> None:
        tensor = output[0] if isinstance(output, tuple) else output
        shapes[name] = tensor.shape

    handles = [module.register_forward_hook(functools.partial(note, name)) for name, module in net.named_modules()]
    with torch.no_grad():
        net(torch.zeros(1, 3, *size))
    for handle in handles:
        handle.remove()
    return shapes


def plain_gradcam(
    net: nn.Module, name: str, picture: torch.Tensor, target: int, dims: tuple[int, int, int]
) -> np.ndarray:
    """Return Grad-CAM at a module with one call, by plain PyTorch; ``dims`` are those of rows, columns and channels."""
    kept = []

    def keep(module: nn.Module, args: Any, output: Any) -> Any:
        leaf = output.detach().clone().requires_grad_(True)
        kept.append(leaf)
        return leaf.clone()

    handle = net.get_submodule(name).register_forward_hook(keep)
    net(picture)[0, target].backward()
    handle.remove()
    return weighed(kept[0], dims)


def weighed(output: torch.Tensor, dims: tuple[int, int, int]) -> np.ndarray:
    """Return Grad-CAM's sum for an output with its gradient."""
    maps, gradient = (each.permute(0, dims[2], dims[0], dims[1]) for each in (output.detach(), output.grad))
    return (gradient.mean((2, 3), keepdim=True) * maps).sum(1)[0].relu().numpy()


def dims_of(shape: torch.Size, higher: torch.Size, wider: torch.Size) -> tuple[int, int, int] | None:
    """Tell rows and columns as the dimensions that change when only the picture's height or width does."""
    rows = [d for d in range(len(shape)) if higher[d] != shape[d] and wider[d] == shape[d]]
    columns = [d for d in range(len(shape)) if wider[d] != shape[d] and higher[d] == shape[d]]
    if len(shape) != 4 or len(rows) != 1 or len(columns) != 1:
        return None
    (channels,) = {1, 2, 3} - {rows[0], columns[0]}
    return rows[0], columns[0], channels


FREE = {"strict_img_size": False}
RELATIVES = {
    "swin_tiny_patch4_window7_224": FREE, "swinv2_cr_tiny_ns_224": FREE, "swinv2_tiny_window8_256": FREE,
    "convnext_atto": {}, "convnextv2_atto": {}, "convnext_atto_ols": {"conv_mlp": True}, "mambaout_femto": {},
    "davit_tiny": {}, "focalnet_tiny_srf": {}, "caformer_s18": {}, "twins_svt_small": {},
}  # fmt: skip
"""Networks of timm that have their channels last in places, and what lets them take pictures of other sizes."""

everywhere = pytest.mark.skipif(
    not os.environ.get("GRADCAM_TEST_FAMILIES"), reason="set GRADCAM_TEST_FAMILIES=1 to try every family of timm"
)


def built(name: str, size: tuple[int, int]) -> nn.Module:
    torch.manual_seed(0)
    if name not in RELATIVES:
        return torchvision.models.get_model(name, weights=None, num_classes=5).eval().requires_grad_(False)
    timm = pytest.importorskip("timm")
    given = {"img_size": size, **RELATIVES[name]} if "strict_img_size" in RELATIVES[name] else RELATIVES[name]
    return timm.create_model(name, num_classes=5, **given).eval().requires_grad_(False)


@pytest.mark.slow
@pytest.mark.parametrize("size", [(192, 256), (64, 256)], ids=["4:3", "4:1"])
@pytest.mark.parametrize(
    "name", ["swin_t", "swin_v2_t", "convnext_tiny", *(pytest.param(each, marks=everywhere) for each in RELATIVES)]
)
def test_all_layers_of_networks_with_channels_last(name, size):
    net = built(name, size)
    picture = torch.randn(1, 3, *size, generator=torch.Generator().manual_seed(1))
    explainer = Explainer(net, "all", input_size=size)
    maps = {each.layer: each.values for each in explainer(picture, 3)[0].maps}
    own, higher, wider = (outputs_of(net, (size[0] + dh, size[1] + dw)) for dh, dw in ((0, 0), (64, 0), (0, 64)))
    known = {layer: dims_of(own[layer], higher[layer], wider[layer]) for layer in own}
    kept: dict[str, torch.Tensor] = {}
    values_of: dict[str, torch.Tensor] = {}

    def keep(name: str, module: nn.Module, args: Any, output: Any) -> None:
        kept[name] = output if isinstance(output, torch.Tensor) else output[0]
        kept[name].retain_grad()
        values_of[name] = kept[name].detach().clone()  # what follows may write into it

    for layer in maps:
        net.get_submodule(layer).register_forward_hook(functools.partial(keep, layer))
    net(picture.requires_grad_())[0, 3].backward()
    assert len(maps) > 50
    for layer, values in maps.items():
        dims, output = known[layer], values_of[layer]
        output.grad = kept[layer].grad
        if output.ndim == 3:  # tokens, row by row
            side = math.sqrt(size[0] * size[1] / output.shape[1])
            grid = (round(size[0] / side), round(size[1] / side))
            output, gradient, dims = output.unflatten(1, grid), output.grad.unflatten(1, grid), (1, 2, 3)
            output.grad = gradient
        assert dims is not None, layer
        expected = weighed(output, dims)
        np.testing.assert_allclose(values, expected, atol=1e-5 * max(expected.max(), 1e-3), err_msg=layer)


class Channels(nn.Module):
    """A network whose blocks are (N, h, w, C)."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 24, 8, stride=8)
        self.block = nn.Sequential(nn.LayerNorm(24), nn.Linear(24, 24), nn.GELU())
        self.norm = nn.LayerNorm(24)
        self.head = nn.Linear(24, 4)

    def forward(self, x):
        x = self.stem(x).permute(0, 2, 3, 1)
        return self.head(self.norm(x + self.block(x)).mean((1, 2)))


@pytest.mark.parametrize("size", [*SIZES, (192, 192)])
def test_channels_last(size):
    """24 feature maps, and on the last input a grid of 24 × 24 as well."""
    torch.manual_seed(1)
    net = Channels().eval().requires_grad_(False)
    picture = torch.randn(1, 3, *size, generator=torch.Generator().manual_seed(1))
    for layer in ("block.0", "block.2", "norm"):
        found = Explainer(net, layer, input_size=size)(picture, 1)[0].maps[0].values
        expected = plain_gradcam(net, layer, picture, 1, (1, 2, 3))
        np.testing.assert_allclose(found, expected, atol=1e-6)


class Tokens(nn.Module):
    """Tokens of patches behind others, in either order of dimensions, with or without a convolution for the patches."""

    def __init__(self, *, first: bool, prefix: int, convolution: bool, reads: str) -> None:
        super().__init__()
        self.first, self.reads = first, reads
        self.patches = nn.Conv2d(3, 12, 16, 16) if convolution else nn.Linear(3 * 256, 12)
        self.others = nn.Parameter(torch.randn(1, prefix, 12))
        self.blocks = nn.ModuleList(
            nn.TransformerEncoderLayer(12, 2, 24, 0.0, batch_first=not first, norm_first=True) for _ in range(3)
        )
        self.head = nn.Linear(12, 4)

    def tokens(self, x):
        if isinstance(self.patches, nn.Conv2d):
            patches = self.patches(x).flatten(2).transpose(1, 2)
        else:
            patches = self.patches(nn.functional.unfold(x, 16, stride=16).transpose(1, 2))
        return torch.cat([self.others.expand(len(x), -1, -1), patches], 1)

    def forward(self, x):
        tokens = self.tokens(x)
        tokens = tokens.transpose(0, 1) if self.first else tokens
        for block in self.blocks:
            tokens = block(tokens)
        tokens = tokens.transpose(0, 1) if self.first else tokens
        return self.head(tokens[:, 0] if self.reads == "class token" else tokens.mean(1))


@pytest.mark.parametrize("size", [*SIZES, (96, 96), (64, 80)])
@pytest.mark.parametrize("prefix", [1, 5])
@pytest.mark.parametrize("convolution", [True, False])
@pytest.mark.parametrize("first", [True, False], ids=["(L, N, C)", "(N, L, C)"])
def test_tokens(first, prefix, convolution, size):
    torch.manual_seed(2)
    net = Tokens(first=first, prefix=prefix, convolution=convolution, reads="mean").eval().requires_grad_(False)
    pictures = torch.randn(2, 3, *size, generator=torch.Generator().manual_seed(1))
    explainer = Explainer(net, input_size=size)
    assert explainer.layers[0].name == "blocks.2"
    found = explainer(pictures, 1)
    for picture, each in zip(pictures, found, strict=True):
        kept = []
        handle = net.blocks[2].register_forward_hook(
            lambda m, a, out, kept=kept: kept.append(out.requires_grad_()) or out
        )
        net(picture[None])[0, 1].backward()
        handle.remove()
        order = (1, 2, 0) if first else (0, 2, 1)
        maps, gradient = (
            tensor.permute(order)[0, :, prefix:].reshape(12, size[0] // 16, size[1] // 16)
            for tensor in (kept[0].detach(), kept[0].grad)
        )
        expected = (gradient.mean((1, 2), keepdim=True) * maps).sum(0).relu()
        np.testing.assert_allclose(each.maps[0].values, expected, atol=1e-6)


@pytest.mark.parametrize("first", [True, False], ids=["(L, N, C)", "(N, L, C)"])
def test_a_class_token_alone_is_read_before_the_last_attention(first):
    torch.manual_seed(2)
    net = Tokens(first=first, prefix=1, convolution=True, reads="class token").eval()
    found = Explainer(net, input_size=(64, 64))
    assert found.layers[0].name == "blocks.2.norm1"
    assert found(torch.randn(1, 3, 64, 64, generator=torch.Generator().manual_seed(0)))[0].maps[0].blank is None


@pytest.mark.parametrize("method", ["ablationcam", "scorecam", "hirescam", "eigencam"])
def test_methods_on_tokens_in_front_of_the_batch(method):
    """The same map as with the batch in front."""
    maps = []
    for first in (True, False):
        torch.manual_seed(2)
        net = Tokens(first=first, prefix=1, convolution=True, reads="mean").eval()
        pictures = torch.randn(2, 3, 64, 80, generator=torch.Generator().manual_seed(1))
        found = Explainer(net, "blocks.1", method=method, input_size=(64, 80))(pictures, 2)
        maps.append(np.stack([each.maps[0].values for each in found]))
    np.testing.assert_allclose(maps[0], maps[1], atol=1e-5 * np.abs(maps[1]).max())


class Reader(nn.Module):
    """A convolution and a recurrent layer that reads its columns, as networks for text and plates have them."""

    def __init__(self, *, batch_first: bool) -> None:
        super().__init__()
        self.features = nn.Sequential(nn.Conv2d(3, 8, 3, 8, 1), nn.ReLU())
        self.lstm = nn.LSTM(8, 6, batch_first=batch_first)
        self.batch_first = batch_first
        self.head = nn.Linear(6, 3)

    def forward(self, x):
        columns = self.features(x).mean(2)
        steps = columns.permute(0, 2, 1) if self.batch_first else columns.permute(2, 0, 1)
        read, _ = self.lstm(steps)
        return self.head(read.mean(1 if self.batch_first else 0))


@pytest.mark.parametrize("batch_first", [True, False])
def test_steps_of_a_recurrent_layer_are_columns(batch_first):
    torch.manual_seed(3)
    net = Reader(batch_first=batch_first).eval()
    trace = trace_network(net, (64, 104), gradients=True)
    layout = next(call.layout for call in trace.calls if call.name == "lstm")
    assert layout.grid == (1, 13)
    assert find_layer(trace).name == "lstm"
    assert Explainer(net, input_size=(64, 104))(torch.randn(2, 3, 64, 104), 1)[1].maps[0].values.shape == (1, 13)


class Attending(nn.Module):
    """Has an attention map (N, heads, L, L), windows (k·N, 4, C) and a sequence of fixed length among its outputs."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 8, 8)
        self.weights, self.windows, self.queries, self.head = (
            nn.Softmax(-1),
            nn.Linear(8, 8),
            nn.Linear(8, 8),
            nn.Linear(8, 3),
        )
        self.asked = nn.Parameter(torch.randn(1, 9, 8))

    def forward(self, x):
        maps = self.stem(x)
        n, c, h, w = maps.shape
        windows = maps.reshape(n, c, h // 2, 2, w // 2, 2).permute(0, 2, 4, 3, 5, 1).reshape(-1, 4, c)
        tokens = self.windows(windows).reshape(n, -1, c)
        mixed = self.weights(tokens[:, None] @ tokens[:, None].transpose(2, 3))[:, 0] @ tokens
        asked = self.queries(self.asked + mixed.mean(1, keepdim=True))
        return self.head(asked.mean(1))


def test_what_does_not_scale_with_the_input_is_no_grid():
    net = Attending().eval()
    calls = {call.name: call for call in trace_network(net, (64, 96)).calls}
    assert {name for name, call in calls.items() if call.has_grid} == {"stem"}


class OneSize(nn.Module):
    """A transformer of one size, by its positions: shapes alone tell its grids, and attention has shapes like grids."""

    def __init__(self, *, maps: bool) -> None:
        super().__init__()
        self.patches = nn.Conv2d(3, 128, 8, 8)
        self.first, self.positions = nn.Parameter(torch.randn(1, 1, 128)), nn.Parameter(torch.randn(1, 65, 128))
        self.norm1, self.qkv = nn.LayerNorm(128), nn.Linear(128, 384)
        self.q_norm, self.k_norm, self.softmax = nn.LayerNorm(64), nn.LayerNorm(64), nn.Softmax(-1)
        self.proj, self.mlp, self.norm, self.head = (
            nn.Linear(128, 128),
            nn.Linear(128, 128),
            nn.LayerNorm(128),
            nn.Linear(128, 4),
        )
        self.maps = nn.Identity() if not maps else nn.BatchNorm2d(128)

    def forward(self, x):
        x = self.patches(x).flatten(2).transpose(1, 2)
        x = torch.cat([self.first.expand(len(x), -1, -1), x], 1) + self.positions
        q, k, v = self.qkv(self.norm1(x)).reshape(len(x), 65, 3, 2, 64).permute(2, 0, 3, 1, 4)
        weights = self.softmax(self.q_norm(q) @ self.k_norm(k).transpose(2, 3) / 8)
        x = x + self.proj((weights @ v).transpose(1, 2).flatten(2))
        x = x + self.mlp(x).tanh()
        self.maps(x[:, 1:].transpose(1, 2).unflatten(2, (8, 8)))  # made, and not read, as by PiT's last stage
        return self.head(self.norm(x[:, :1])[:, 0])


@pytest.mark.parametrize("maps", [False, True])
def test_shapes_of_attention_are_no_grids(maps):
    torch.manual_seed(7)
    net = OneSize(maps=maps).eval()
    trace = trace_network(net, (64, 64), gradients=True)
    calls = {call.name: call for call in trace.calls}
    assert not any(calls[name].has_grid for name in ("q_norm", "k_norm", "softmax", "norm"))
    assert calls["norm1"].layout.grid == (8, 8)
    assert calls["norm1"].layout.guessed
    assert find_layer(trace).name == "norm1"


class Pooled(nn.Module):
    """Of one size only, by its linear layer; in front of that the grid is always 7 × 7, or as the input has it."""

    def __init__(self, *, fixed: bool) -> None:
        super().__init__()
        self.features = nn.Sequential(nn.Conv2d(3, 5, 3, 4, 1), nn.ReLU())
        self.pool = nn.AdaptiveAvgPool2d(7) if fixed else nn.Identity()
        self.mix = nn.Conv2d(5, 6, 1)
        self.head = nn.Sequential(nn.Flatten(), nn.Linear(6 * (49 if fixed else 8 * 8), 3))

    def forward(self, x):
        return self.head(self.mix(self.pool(self.features(x))))


@pytest.mark.parametrize(("fixed", "grid"), [(True, (7, 7)), (False, (8, 8))])
def test_networks_of_one_size(fixed, grid):
    explainer = Explainer(Pooled(fixed=fixed).eval(), input_size=(32, 32))
    assert (explainer.layers[0].name, explainer.layers[0].layout.grid) == ("mix", grid)
    assert ("read off its shape alone" in explainer.layers[0].reason) == fixed, "behind a pool of 7 × 7 nothing scales"


class Shared(nn.Module):
    """The CNN of first tutorials: one ReLU and one pooling layer for all convolutions."""

    def __init__(self, *, inplace: bool = False) -> None:
        super().__init__()
        self.conv1, self.conv2, self.conv3 = (
            nn.Conv2d(3, 4, 3, padding=1),
            nn.Conv2d(4, 5, 3, 2, 1),
            nn.Conv2d(5, 6, 3, 2, 1),
        )
        self.relu, self.pool, self.fc = nn.ReLU(inplace=inplace), nn.MaxPool2d(2), nn.Linear(6, 4)

    def forward(self, x):
        for conv in (self.conv1, self.conv2, self.conv3):
            x = self.relu(conv(x))
        return self.fc(self.pool(x).mean((2, 3)))


@pytest.mark.parametrize("method", ["gradcam", "ablationcam", "scorecam", "hirescam"])
@pytest.mark.parametrize("inplace", [False, True])
def test_each_call_of_a_module_is_a_place(inplace, method):
    torch.manual_seed(4)
    net = Shared(inplace=inplace).eval()
    apart = nn.Sequential(
        net.conv1,
        nn.ReLU(),
        net.conv2,
        nn.ReLU(),
        net.conv3,
        nn.ReLU(),
        net.pool,
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        net.fc,
    )
    pictures = torch.randn(2, 3, 24, 32, generator=torch.Generator().manual_seed(1))
    for number, place in ((1, "1"), (2, "3"), (3, "5")):
        for optimize in (False, True):
            explainer = Explainer(net, f"relu#{number}", method=method, input_size=(24, 32), optimize=optimize)
            found, expected = (
                explainer(pictures, 2),
                Explainer(apart, place, method=method, input_size=(24, 32))(pictures, 2),
            )
            for each, other in zip(found, expected, strict=True):
                np.testing.assert_allclose(
                    each.maps[0].values, other.maps[0].values, atol=1e-5 * max(np.abs(other.maps[0].values).max(), 1)
                )


def test_of_several_calls_the_last_is_the_default():
    net = Shared().eval()
    assert Explainer(net, input_size=(24, 32)).layers[0].name == "relu#3"
    explainer = Explainer(net, "relu", input_size=(24, 32))
    assert (explainer.layers[0].name, explainer.layers[0].layout.grid) == ("relu#3", (6, 8))
    assert "called 3 times" in explainer.notes[0]
    assert not Explainer(net, "relu#3", input_size=(24, 32)).notes
    with pytest.raises(ModelError, match="called 3 times, so that there is no 'relu#4'"):
        Explainer(net, "relu#4", input_size=(24, 32))
    trace = trace_network(net, (24, 32))
    assert [each.name for each in candidates(net, trace)][3:6] == ["relu#1", "relu#2", "relu#3"]
    assert {"relu#1", "relu#2", "relu#3"} <= {each.name for each in every_layer(trace)}


class Siamese(nn.Module):
    """Compares a picture with a reference, by the same layers; the reference comes first or last."""

    def __init__(self, *, last: bool) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(3, 6, 3, 4, 1), nn.ReLU(), nn.Conv2d(6, 6, 3, padding=1), nn.ReLU())
        self.head = nn.Linear(6, 1)
        self.register_buffer("reference", torch.randn(1, 3, 32, 48, generator=torch.Generator().manual_seed(9)))
        self.last = last

    def forward(self, x):
        one, other = (self.reference.expand(len(x), -1, -1, -1), x)[:: 1 if self.last else -1]
        a, b = self.body(one).mean((2, 3)), self.body(other).mean((2, 3))
        return self.head((a - b).square())


@pytest.mark.parametrize("layer", ["auto", "body", "body.2"])
@pytest.mark.parametrize("last", [True, False])
def test_a_reference_is_never_painted_on_the_picture(last, layer):
    torch.manual_seed(5)
    net = Siamese(last=last).eval().requires_grad_(False)
    picture = torch.randn(1, 3, 32, 48, generator=torch.Generator().manual_seed(1))
    explainer = Explainer(net, layer, input_size=(32, 48))
    assert explainer.layers[0].name.endswith("#2" if last else "#1")
    found = explainer(picture, 1)[0].maps[0].values
    tail = net.body[3] if layer == "body.2" else nn.Identity()
    body = net.body[:3] if layer == "body.2" else net.body
    maps = body(picture).requires_grad_()
    reference = net.body(net.reference).mean((2, 3))
    net.head((tail(maps).mean((2, 3)) - reference).square())[0, 0].backward()
    expected = (maps.grad.mean((2, 3), keepdim=True) * maps.detach()).sum(1)[0].relu()
    np.testing.assert_allclose(found, expected, atol=1e-6)
    with pytest.raises(ModelError, match="does not depend on the picture"):
        Explainer(net, f"body#{1 if last else 2}", input_size=(32, 48))


class Output(dict):
    """A backbone's output: its maps, and what a pooler makes of them, as Hugging Face's have it."""


class Backbone(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 6, 3, 4, 1)
        self.stages = nn.ModuleList(
            [nn.Sequential(nn.Conv2d(6, 6, 1), nn.Tanh()), nn.Sequential(nn.Conv2d(6, 6, 1), nn.Tanh())]
        )
        self.pooler = nn.AdaptiveAvgPool2d(1)

    def forward(self, x):
        x = self.stem(x)
        for stage in self.stages:
            x = stage(x)
        return Output(last_hidden_state=x, pooled=self.pooler(x).flatten(1))


class Beside(nn.Module):
    """Its head reads the second of a module's outputs; maps of an auxiliary head run last."""

    def __init__(self) -> None:
        super().__init__()
        self.backbone, self.head = Backbone(), nn.Linear(6, 4)
        self.decoder = nn.Sequential(*(nn.Sequential(nn.Conv2d(6, 6, 1), nn.ReLU()) for _ in range(20)))

    def forward(self, x):
        found = self.backbone(x)
        mask = self.decoder(found["last_hidden_state"])
        return {"mask": mask, "label": self.head(found["pooled"])}


def test_auto_takes_a_place_that_the_score_depends_on():
    """It walks back over sixty calls of the decoder, and over the backbone, whose pooled output is read."""
    torch.manual_seed(6)
    net = Beside().eval().requires_grad_(False)
    picture = torch.randn(1, 3, 32, 48, generator=torch.Generator().manual_seed(1))
    explainer = Explainer(net, input_size=(32, 48))
    assert explainer.layers[0].name == "backbone.stages.1.1"
    found = explainer(picture, 2)[0].maps[0]
    assert found.blank is None
    maps = net.backbone(picture)["last_hidden_state"].detach().requires_grad_()
    net.head(maps.mean((2, 3)))[0, 2].backward()
    expected = (maps.grad.mean((2, 3), keepdim=True) * maps.detach()).sum(1)[0].relu()
    np.testing.assert_allclose(found.values, expected, atol=1e-6)
    assert Explainer(net, "backbone", input_size=(32, 48))(picture, 2)[0].maps[0].blank is not None


def test_a_score_that_depends_on_no_layer():
    class Apart(Beside):
        def forward(self, x):
            self.backbone(x)
            return self.head(x.mean((2, 3)).repeat(1, 2))

    with pytest.raises(ModelError, match="does not depend on any layer") as caught:
        Explainer(Apart().eval(), input_size=(32, 48))
    assert "backbone.stages.1" in caught.value.hint
