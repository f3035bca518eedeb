"""timm's networks: described, found, filled from a cache or a checkpoint, and explained, family by family."""

from __future__ import annotations

import time

import numpy as np
import pytest
import torch

from gradcam_cli.cam.explainer import Explainer
from gradcam_cli.errors import ModelError, UsageError
from gradcam_cli.models.load import load_model
from gradcam_cli.models.registry import check_name, describe, find_models
from gradcam_cli.models.sources import timm as timm_source
from gradcam_cli.pipeline.session import Session
from gradcam_cli.pipeline.settings import ModelSettings

timm = pytest.importorskip("timm")
source = pytest.importorskip("gradcam_cli.models.sources.timm.networks")
hub_client = pytest.importorskip("gradcam_cli.models.sources.hub")

pytestmark = pytest.mark.slow

FAMILIES = {
    "resnet18": (64, "layer4.1"), "convnext_atto": (64, "stages.3"), "vit_tiny_patch16_224": (224, "blocks.11.norm1"),
    "deit_tiny_distilled_patch16_224": (224, "blocks.11.norm1"), "swin_tiny_patch4_window7_224": (224, "norm"),
    "mobilenetv3_small_050": (64, "blocks.5.0"), "efficientnet_b0": (64, "bn2"), "regnetx_002": (64, "s4"),
    "densenet121": (64, "features.norm5"), "maxvit_nano_rw_256": (256, "norm"), "coatnet_nano_rw_224": (224, "norm"),
    "levit_128s": (224, "stages.2"), "mobilevit_xxs": (64, "final_conv"), "edgenext_xx_small": (64, "stages.3"),
    "poolformer_s12": (64, "stages.3"), "mixer_s32_224": (224, "norm"), "cait_xxs24_224": (224, None),
    "pit_ti_224": (224, None), "tnt_s_patch16_224": (224, None),
}  # fmt: skip
"""A small one of each, the size it is tried on, and the layer that is last, where versions of timm agree on it."""


@pytest.fixture
def hub(tmp_path, monkeypatch):
    """Let the Hugging Face hub's cache be an empty folder, and the hub unreachable; return the folder."""
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))

    def offline(*_: object, **__: object) -> None:
        raise ConnectionError("[Errno -2] Name or service not known\nmore of it")

    monkeypatch.setattr(hub_client, "get_hf_file_metadata", offline)
    monkeypatch.setattr(
        hub_client,
        "try_to_load_from_cache",
        lambda repository, file, revision: _cached(tmp_path / "hub", repository, file),
    )
    return tmp_path / "hub"


def _cached(hub, repository: str, file: str) -> str | None:
    path = hub / repository / file
    return str(path) if path.is_file() else None


@pytest.mark.parametrize("name", FAMILIES)
def test_a_map_with_a_grid_from_the_automatic_layer(name):
    side, layer = FAMILIES[name]
    torch.manual_seed(0)
    net = timm.create_model(name).eval()
    heads = net.get_classifier()
    for head in heads if isinstance(heads, tuple) else (heads,):  # some begin at zero, where no gradient is
        torch.nn.init.normal_(getattr(head, "linear", head).weight)
    explainer = Explainer(net, input_size=(side, side), optimize=True)
    assert layer in (None, explainer.layers[0].name)
    (explained,) = explainer(torch.randn(1, 3, side, side))
    found = explained.maps[0]
    assert np.isfinite(found.values).all()
    assert found.values.size > 1
    assert found.high > found.low or name == "levit_128s"  # whose untrained blocks are the same everywhere


def test_preset_and_labels_are_timms_own():
    described = describe("timm:resnet50.a1_in1k")
    preset = described.default.preset
    assert (preset.resize, preset.crop, preset.interpolation) == (235, 224, "bicubic")
    assert described.default.source == "timm a1_in1k"
    assert described.default.labels[281].startswith("tabby")
    assert describe("timm:vit_base_patch16_224").default.preset.mean == (0.5, 0.5, 0.5)


def test_cached_weights_are_loaded_whole(hub):
    from safetensors.torch import save_file

    torch.manual_seed(1)
    original = timm.create_model("mobilenetv3_small_050.lamb_in1k").eval()
    file = hub / "timm" / "mobilenetv3_small_050.lamb_in1k" / "model.safetensors"
    file.parent.mkdir(parents=True)
    save_file(original.state_dict(), file)
    network = load_model("timm:mobilenetv3_small_050.lamb_in1k")
    assert (network.num_classes, len(network.labels)) == (1000, 1000)
    assert network.weights.path == file
    assert "state_dict" not in network.module.pretrained_cfg
    picture = torch.randn(1, 3, 64, 64)
    assert torch.allclose(network.module(picture), original(picture), atol=1e-4)
    (listed,) = find_models("timm:mobilenetv3_small_050.lamb*")
    assert listed.cached
    assert listed.parameters == sum(parameter.numel() for parameter in original.parameters())


def test_offline_it_fails_at_once(hub):
    began = time.monotonic()
    with pytest.raises(
        ModelError, match=r"cannot download 'timm/resnet18\.a1_in1k'.*: Name or service not known$"
    ) as caught:
        load_model("timm:resnet18")
    assert "weights" in caught.value.hint
    assert time.monotonic() - began < 5


@pytest.mark.parametrize("name", ["resnet18", "swin_tiny_patch4_window7_224", "vit_tiny_patch16_224"])
def test_a_checkpoint_of_another_number_of_classes(name, tmp_path):
    original = timm.create_model(name, num_classes=6).eval()
    torch.save({"state_dict": original.state_dict(), "arch": name}, tmp_path / "x.pth")
    network = load_model(f"timm:{name}", weights=tmp_path / "x.pth")
    assert (network.num_classes, network.labels) == (6, None)
    picture = torch.randn(1, 3, 224, 224)
    assert torch.allclose(network.module(picture), original(picture), atol=1e-4)


def test_a_network_of_one_size_is_stretched_to(tmp_path):
    torch.save(timm.create_model("vit_tiny_patch16_224", num_classes=3).state_dict(), tmp_path / "x.pth")
    session = Session(ModelSettings("timm:vit_tiny_patch16_224", weights=tmp_path / "x.pth", device="cpu"))
    assert session.fit == "stretch"
    assert any("224×224" in note for note in session.notes)


@pytest.mark.parametrize(
    ("spec", "hint"),
    [("timm:resnt18", "timm:resnet18"), ("timm:resnet18.a1_in", "timm:resnet18.a1_in1k"), ("timm:", "")],
)
def test_wrong_names(spec, hint):
    with pytest.raises(UsageError, match="timm has no model") as caught:
        load_model(spec)
    assert hint in caught.value.hint


def test_a_network_without_a_classifier_says_so():
    with pytest.raises(ModelError, match="no classifier"):
        load_model("timm:vit_small_patch14_dinov2")


def test_the_list_is_of_classifiers_with_weights():
    listed = [entry.name for entry in find_models("timm:vit_small*")]
    assert "timm:vit_small_patch16_224.augreg_in1k" in listed
    assert not [name for name in listed if "dinov2" in name]
    with pytest.raises(UsageError, match="no model matches") as caught:
        find_models("timm:resnt18")
    assert "timm:resnet18" in caught.value.hint


def test_without_timm(monkeypatch):
    monkeypatch.setattr(timm_source, "is_installed", lambda: False)
    for refused in (lambda: check_name("timm:resnet18"), lambda: find_models("timm:*")):
        with pytest.raises(UsageError, match=r"^timm is not installed$") as caught:
            refused()
        assert "pip install timm" in caught.value.hint
