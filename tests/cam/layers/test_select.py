"""The target layer: found on all of torchvision's classifiers by one rule, or looked up by name."""

from __future__ import annotations

import pytest
import torch
import torchvision
from torch import nn

from gradcam_cli.cam.explainer import Explainer
from gradcam_cli.cam.layers.layout import Seen, layout_of, token_grid
from gradcam_cli.cam.layers.select import TargetLayer, find_layer, layer_named
from gradcam_cli.cam.layers.trace import CannotRunError, trace_network
from gradcam_cli.errors import ModelError

CLASSIFIERS = torchvision.models.list_models(module=torchvision.models)

EXPECTED = {
    "alexnet": "features.11", "convnext": "features.7.*", "densenet": "features.norm5", "efficientnet": "features.*",
    "googlenet": "inception5b", "inception": "Mixed_7c", "maxvit": "blocks.3", "mnasnet": "layers.16",
    "mobilenet": "features.*", "regnet": "trunk_output.block4", "resnet": "layer4.*", "resnext": "layer4.*",
    "shufflenet": "conv5.2", "squeezenet": "features.12", "swin": "norm", "vgg": "features.*", "wide": "layer4.*",
}  # fmt: skip
"""By family; a star stands for the last block's number, which grows with depth."""


class Adapted(nn.Module):
    """A linear layer with what LoRA adds to it."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.base_layer = nn.Linear(size, size)
        self.dropout = nn.ModuleDict({"default": nn.Identity()})
        self.a, self.b = (nn.ModuleDict({"default": nn.Linear(size, size, bias=False)}) for _ in range(2))

    def forward(self, x):
        return self.base_layer(x) + self.b["default"](self.a["default"](self.dropout["default"](x)))


class ClassToken(nn.Module):
    """One block of attention, read by its class token alone."""

    def __init__(self) -> None:
        super().__init__()
        self.patches, self.first = nn.Conv2d(3, 8, 8, 8), nn.Parameter(torch.zeros(1, 1, 8))
        self.norm, self.q, self.k, self.v = nn.LayerNorm(8), Adapted(8), nn.Linear(8, 8), Adapted(8)
        self.head = nn.Linear(8, 3)

    def forward(self, x):
        x = self.patches(x).flatten(2).transpose(1, 2)
        x = self.norm(torch.cat([self.first.expand(len(x), -1, -1), x], 1))
        weights = (self.q(x) @ self.k(x).transpose(1, 2)).softmax(-1)
        return self.head((weights @ self.v(x))[:, 0])


def test_a_value_with_lora_is_no_block():
    torch.manual_seed(0)
    assert found_in(ClassToken().eval(), (32, 48)).name == "norm"


def found_in(net: nn.Module, input_size: tuple[int, int]) -> TargetLayer:
    return find_layer(trace_network(net, input_size, gradients=True))


def on_meta(name: str) -> nn.Module:
    """Build a network without values: shapes are all that the rule looks at."""
    options = {"init_weights": False} if name in ("googlenet", "inception_v3") else {}
    # RegNet and Inception compute with values while they are built.
    device = "cpu" if name.startswith(("regnet", "inception")) else "meta"
    with pytest.MonkeyPatch.context() as patch, torch.device(device):
        for initialise in ("normal_", "kaiming_normal_", "kaiming_uniform_", "uniform_", "trunc_normal_"):
            patch.setattr(nn.init, initialise, lambda tensor, *args, **kwargs: tensor)
        return torchvision.models.get_model(name, weights=None, **options).eval().to("meta")


def crop_of(name: str) -> int:
    return torchvision.models.get_model_weights(name).DEFAULT.transforms().crop_size[0]


ONE_OF_EACH = (
    "alexnet", "convnext_tiny", "densenet121", "efficientnet_b0", "efficientnet_v2_s", "googlenet", "inception_v3",
    "maxvit_t", "mnasnet0_5", "mobilenet_v2", "mobilenet_v3_small", "regnet_x_400mf", "resnet18", "resnext50_32x4d",
    "shufflenet_v2_x0_5", "squeezenet1_1", "swin_t", "swin_v2_t", "vgg11_bn", "wide_resnet50_2",
)  # fmt: skip


def require_expected(name: str, net: nn.Module, found: TargetLayer) -> None:
    """Assert that it is the last layer with a grid of a torchvision classifier, by its family."""
    expected = next(layer for family, layer in EXPECTED.items() if name.startswith(family))
    prefix, _, star = expected.rpartition(".") if expected.endswith("*") else (expected, "", "")
    if star:
        container = net.get_submodule(prefix)
        assert found.name.startswith(prefix + ".")
        children = list(container.children())
        behind = children[children.index(net.get_submodule(found.name)) + 1 :]
        assert all(isinstance(module, nn.MaxPool2d) for module in behind), "not the container's last feature layer"
    else:
        assert found.name == expected


@pytest.mark.slow
@pytest.mark.parametrize("name", ONE_OF_EACH)
def test_auto_without_values(name):
    """All of torchvision's are tried with values, see test_every_classifier."""
    net, side = on_meta(name), crop_of(name)
    found = found_in(net, (side, side))
    require_expected(name, net, found)
    grid = found.layout.grid
    assert grid[0] == grid[1]
    # 1/16 or 1/32 of the input: the last one before pooling.
    assert 7 <= grid[0] <= side // 16


def small_vit(depth: int = 3) -> nn.Module:
    torch.manual_seed(0)
    net = torchvision.models.VisionTransformer(
        image_size=48, patch_size=16, num_layers=depth, num_heads=2, hidden_dim=12, mlp_dim=24, num_classes=4
    ).eval()
    nn.init.normal_(net.heads.head.weight)
    return net


def test_auto_on_vision_transformers():
    """The head reads the class token alone, so behind the last attention the patches have no gradient."""
    net = small_vit()
    explainer = Explainer(net, input_size=(48, 48))
    assert explainer.layers[0].name == "encoder.layers.encoder_layer_2.ln_1"
    result = explainer(torch.randn(2, 3, 48, 48, generator=torch.Generator().manual_seed(0)), 1)
    assert [each.maps[0].values.shape for each in result] == [(3, 3), (3, 3)]
    assert any(each.maps[0].blank is None for each in result)
    late = Explainer(net, "encoder.layers", input_size=(48, 48))(torch.zeros(1, 3, 48, 48), 1)[0].maps[0]
    assert late.blank is not None, "behind the last block there is nothing to see, which is why auto does not take it"


def test_auto_on_an_untrained_vision_transformer():
    net = small_vit()
    nn.init.zeros_(net.heads.head.weight)  # as torchvision leaves it
    assert found_in(net, (48, 48)).name == "encoder.layers.encoder_layer_2.ln_1"


@pytest.mark.parametrize("name", [name for name in CLASSIFIERS if name.startswith("vit")])
def test_the_small_transformer_stands_for_torchvisions(name):
    """Same class and the same order of modules, so what auto finds on the small one holds for the large ones."""
    large, small = on_meta(name), small_vit()
    assert type(large) is type(small)
    block = [n for n, _ in large.encoder.layers[-1].named_modules()]
    assert block == [n for n, _ in small.encoder.layers[-1].named_modules()]


def test_patches_that_are_averaged_are_taken_at_the_very_end():
    class Averaging(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.embed = nn.Conv2d(3, 8, 8, 8)
            self.block = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)
            self.head = nn.Linear(8, 3)

        def forward(self, x):
            return self.head(self.block(self.embed(x).flatten(2).transpose(1, 2)).mean(1))

    torch.manual_seed(0)
    net = Averaging().eval()
    explainer = Explainer(net, input_size=(24, 40))
    assert explainer.layers[0].name == "block"
    assert explainer(torch.randn(1, 3, 24, 40), 0)[0].maps[0].values.shape == (3, 5)


def test_class_score_maps_are_passed_over():
    net = nn.Sequential(
        nn.Conv2d(3, 6, 3),
        nn.ReLU(),
        nn.Dropout(),
        nn.Conv2d(6, 4, 1),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
    )
    assert found_in(net, (16, 16)).name == "1"


def test_as_many_features_as_classes_are_still_features():
    net = nn.Sequential(
        nn.Conv2d(3, 6, 3),
        nn.ReLU(),
        nn.Conv2d(6, 4, 1),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(4, 4),
    )
    assert found_in(net, (16, 16)).name == "3"


def test_in_place_activation_in_front_of_the_pooling():
    net = nn.Sequential(
        nn.Conv2d(3, 6, 3),
        nn.BatchNorm2d(6),
        nn.ReLU(inplace=True),
        nn.MaxPool2d(2),
        nn.Dropout(),
        nn.Flatten(),
        nn.Linear(294, 4),
    )
    assert found_in(net, (16, 16)).name == "2"


def test_no_grid_at_all():
    with pytest.raises(ModelError, match="no layer of this network has a grid"):
        found_in(nn.Sequential(nn.Flatten(), nn.Linear(3 * 16 * 16, 4)), (16, 16))


def test_a_size_that_the_network_does_not_take():
    net = nn.Sequential(nn.Conv2d(3, 6, 3), nn.Flatten(), nn.Linear(6 * 14 * 14, 4))
    assert trace_network(net, (16, 16)).classes == 4
    with pytest.raises(CannotRunError, match="cannot be run on a 24×16 picture"):
        trace_network(net, (16, 24))


def test_a_network_that_reads_values():
    class Reads(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv, self.head = nn.Conv2d(3, 4, 3), nn.Linear(4, 2)

        def forward(self, x):
            x = self.conv(x)
            return self.head(x.mean((2, 3)) if float(x.sum()) < 1e9 else x[:, :, 0, 0])

    assert found_in(Reads().eval(), (16, 16)).name == "conv"


def test_names(small_net):
    trace = trace_network(small_net, (24, 40))
    assert layer_named(small_net, "features.2", trace).place(small_net).module is small_net.features[2]
    assert layer_named(small_net, "features.-1", trace).name == "features.4"
    assert layer_named(small_net, "features[-5]", trace).name == "features.0"
    with pytest.raises(ModelError) as caught:
        layer_named(small_net, "feature.2", trace)
    assert "features.2" in caught.value.hint
    with pytest.raises(ModelError):
        layer_named(small_net, "features.5", trace)


@pytest.mark.parametrize("index", ["²", "--1", "9" * 5000])
def test_what_is_no_index_is_no_layer(small_net, index):
    with pytest.raises(ModelError, match="the network has no layer"):
        layer_named(small_net, f"features.{index}", trace_network(small_net, (24, 40)))


@pytest.mark.parametrize(
    ("length", "size", "expected"),
    [
        (196, (224, 224), ((14, 14), 0)),
        (197, (224, 224), ((14, 14), 1)),
        (201, (224, 224), ((14, 14), 5)),
        (50, (224, 224), ((7, 7), 1)),
        (16 * 22 + 1, (256, 352), ((16, 22), 1)),
        (20, (64, 80), ((4, 5), 0)),
    ],
)
def test_token_grid(length, size, expected):
    assert token_grid(length, size) == expected


def test_a_known_grid_counts_more_than_one_side_of_another():
    """16 tokens are those of the latest convolution, 2 × 8, and not one for each row of an earlier one."""
    known = [((16, 64), (24, 68)), ((2, 8), (3, 8))]
    layout = layout_of(Seen((1, 16, 5), (64, 256)), Seen((1, 24, 5), (96, 272)), known=known)
    assert layout is not None
    assert layout.grid == (2, 8)


@pytest.mark.parametrize(
    ("shape", "kind", "grid"),
    [
        ((1, 768, 7, 7), "nchw", (7, 7)),
        ((1, 7, 7, 768), "nhwc", (7, 7)),
        ((1, 512, 8, 11), "nchw", (8, 11)),
        ((1, 8, 11, 96), "nhwc", (8, 11)),
        ((1, 1280, 1, 1), "nchw", (1, 1)),
    ],
)
def test_layout(shape, kind, grid):
    layout = layout_of(Seen(shape, (224, 224) if grid[0] == grid[1] else (256, 352)))
    assert (layout.kind, layout.grid) == (kind, grid)


class InTwoPlaces(nn.Module):
    """Has one convolution under two names."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 3, 3, padding=1)
        self.again = nn.ModuleList([self.first])
        self.head = nn.Linear(3, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.again[0](self.first(x)).mean((2, 3)))


def test_a_module_in_two_places_has_one_name():
    net = InTwoPlaces().eval()
    trace = trace_network(net, (32, 32))
    assert layer_named(net, "again.0", trace).name == layer_named(net, "first", trace).name == "first#2"


class Attention(nn.Module):
    """A class token asks the patches, by projections of its own, as timm's transformers do."""

    def __init__(self, *, apart: bool) -> None:
        super().__init__()
        self.patch = nn.Conv2d(3, 8, 8, stride=8)
        self.inside = nn.Linear(8, 8)
        self.norm1 = nn.LayerNorm(8)
        self.qkv = nn.Linear(8, 24)
        self.norm = nn.LayerNorm(8)
        self.head = nn.Linear(8, 4)
        self.apart = apart

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        patches = self.patch(x)
        self.inside(patches.flatten(2).transpose(1, 2).reshape(-1, 1, 8))  # each patch on its own, as a batch
        tokens = torch.cat([torch.ones(1, 1, 8, device=x.device), patches.flatten(2).transpose(1, 2)], 1)
        q, k, v = self.qkv(self.norm1(tokens)).chunk(3, -1)
        read = tokens + (q[:, :1] @ k.transpose(1, 2)).softmax(-1) @ v
        return self.head(self.norm(read[:, :1] if self.apart else read)[:, 0])


@pytest.mark.parametrize("apart", [True, False])
def test_projections_within_attention_are_passed_over(apart):
    """Also where the class token goes on alone."""
    torch.manual_seed(0)
    assert found_in(Attention(apart=apart).eval(), (32, 32)).name == "norm1"


def test_an_output_of_another_batch_has_no_grid():
    trace = trace_network(Attention(apart=False).eval(), (32, 32))
    assert not next(call.has_grid for call in trace.calls if call.name == "inside")


class Oblong(nn.Module):
    """A network of tokens whose patches are not square: the grid is not of the input's aspect."""

    def __init__(self) -> None:
        super().__init__()
        self.patches = nn.Conv2d(3, 8, (8, 4), (8, 4))
        self.block = nn.Sequential(nn.LayerNorm(8), nn.Linear(8, 8), nn.Tanh())
        self.classifier = nn.Linear(8, 5)
        self.first = nn.Parameter(torch.randn(1, 1, 8))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        tokens = self.patches(x).flatten(2).transpose(1, 2)
        tokens = self.block(torch.cat([self.first.expand(len(x), -1, -1), tokens], dim=1))
        return self.classifier(tokens.mean(1))


def test_patches_that_are_not_square():
    """19 tokens for a square picture look like 4 × 4 behind three others: the convolution, or another size, tells."""
    torch.manual_seed(5)
    net = Oblong().eval()
    picture = torch.randn(1, 3, 24, 24)  # 3 × 6 tokens behind one other
    for explainer in (
        Explainer(net, "block", input_size=(24, 24)),
        Explainer(net, "block", tokens=(3, 6), input_size=(24, 24)),
        Explainer(net, "auto", tokens=(3, 6), input_size=(24, 24), optimize=True),
    ):
        found = explainer(picture, 2)[0].maps[0]
        with torch.no_grad():
            tokens = net.block(torch.cat([net.first, net.patches(picture).flatten(2).transpose(1, 2)], dim=1))
        # The classifier reads the mean of 19 tokens: the gradient is its weights, the same at each.
        expected = (tokens[0, 1:] @ net.classifier.weight[2] / 19).reshape(3, 6).detach().numpy()
        assert (found.low, found.high) == pytest.approx((expected.min(), expected.max()), abs=1e-6)
        assert found.values == pytest.approx(expected.clip(0), abs=1e-6)
    with pytest.raises(ModelError) as caught:
        Explainer(net, "block", tokens=(5, 5), input_size=(24, 24))(picture, 2)
    assert "reshape" in caught.value.hint
