import hashlib
import subprocess
import sys

import pytest
import torch

from gradcam_cli.errors import ModelError, UsageError
from gradcam_cli.models import download, load, registry
from gradcam_cli.models.architecture import Architecture, Recipe
from gradcam_cli.models.checkpoints.fit import fit
from gradcam_cli.models.load import load_model
from gradcam_cli.models.sources.tiny.network import CLASSES, MEAN, TinyNet
from gradcam_cli.records import Preset
from tests.models.conftest import tiny_net

PICTURE = torch.linspace(-1, 1, 3 * 64 * 64).view(1, 3, 64, 64)


@pytest.fixture
def offline(empty_cache, monkeypatch):
    """Let every download fail."""
    monkeypatch.setattr(download, "SCHEMES", ())
    return empty_cache


def test_tiny(bundled):
    network = load_model("tiny")
    assert torch.equal(network.module(PICTURE), bundled.eval()(PICTURE))
    assert (network.name, network.labels, network.num_classes) == ("tiny", CLASSES, 10)
    assert (network.preset.crop, network.preset.mean) == (32, MEAN)
    assert network.weights.source == "bundled"
    assert network.weights.sha256() == hashlib.sha256(network.weights.path.read_bytes()).hexdigest()
    assert not network.module.training
    assert not any(parameter.requires_grad for parameter in network.module.parameters())


@pytest.mark.slow
def test_tiny_needs_no_torchvision():
    code = "import sys, gradcam_cli.models.load as m; m.describe('tiny'); print('torchvision' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_the_hash_of_a_file_that_is_gone_is_none(bundled):
    weights = load_model("tiny").weights
    weights.path.unlink()
    assert weights.sha256() is None


def test_labels_are_read_and_counted(bundled, tmp_path):
    path = tmp_path / "names.txt"
    path.write_text("\n".join("abcdefghij"))
    assert load_model("tiny", labels=path).labels == tuple("abcdefghij")
    path.write_text("a\nb")
    with pytest.raises(ModelError, match="2 names for 10 classes"):
        load_model("tiny", labels=str(path))


def test_auto_is_tiny_offline_and_says_so(bundled, offline):
    network = load_model()
    assert network.name == "tiny"
    assert "cannot download" in network.notes[0]
    assert "bundled" in network.notes[0]


def test_auto_is_mobilenet_when_its_weights_are_cached(offline):
    from torchvision import models

    original = models.mobilenet_v2().eval()
    offline.mkdir(parents=True)
    torch.save(original.state_dict(), offline / "mobilenet_v2-7ebf99e0.pth")
    network = load_model("auto")
    assert (network.name, network.notes) == ("mobilenet_v2", ())
    assert network.weights.source == "torchvision IMAGENET1K_V2"
    assert network.labels[0] == "tench"
    assert (network.preset.resize, network.preset.crop, network.preset.interpolation) == (232, 224, "bilinear")
    assert torch.equal(network.module(PICTURE), original(PICTURE))


def test_a_damaged_file_in_the_cache_is_an_error_not_another_network(offline):
    offline.mkdir(parents=True)
    (offline / "mobilenet_v2-7ebf99e0.pth").write_bytes(b"PK\x03\x04 cut")
    with pytest.raises(ModelError, match="damaged") as caught:
        load_model("auto")
    assert "delete" in caught.value.hint


def test_a_named_network_never_has_random_weights(offline):
    with pytest.raises(ModelError, match="cannot download") as caught:
        load_model("resnet50")
    assert "weights" in caught.value.hint


@pytest.mark.parametrize("device", ["cpu", "auto"])
def test_devices(device, bundled):
    assert next(load_model("tiny", device=device).module.parameters()).device.type in {"cpu", "cuda", "mps"}


@pytest.mark.parametrize("device", ["gpu", "meta", "cpu:x", "\x1b"])
def test_unusable_devices(device, bundled):
    with pytest.raises(UsageError) as caught:
        load_model("tiny", device=device)
    assert caught.value.message.isprintable()


def test_squeezenet_with_its_imagenet_weights(shared_data):
    path = shared_data / "weights" / "squeezenet1_0_imagenet.pth"
    network = load_model("squeezenet1_0", weights=path)
    assert (network.num_classes, len(network.labels), network.labels[281]) == (1000, 1000, "tabby")
    assert (network.preset.resize, network.weights.source) == (256, str(path))


@pytest.mark.parametrize(("name", "num_classes"), [("squeezenet1_1", 6), ("shufflenet_v2_x0_5", 1)])
def test_heads_of_other_sizes(name, num_classes, tmp_path):
    from torchvision import models

    original = models.get_model(name, weights=None, num_classes=num_classes).eval()
    torch.save(original.state_dict(), tmp_path / "x.pth")
    network = load_model(name, weights=tmp_path / "x.pth")
    assert (network.num_classes, network.labels) == (num_classes, None)
    assert torch.equal(network.module(PICTURE), original(PICTURE))


def test_buffers_that_no_file_holds_and_old_spellings(tmp_path):
    """The hollow construction leaves computed buffers right; DenseNet's files spell ``norm.1`` for ``norm1``."""
    from torchvision import models

    original = models.densenet121(num_classes=3).eval()
    state = {
        key.replace("norm1", "norm.1").replace("conv2", "conv.2") if "denselayer" in key else key: value
        for key, value in original.state_dict().items()
    }
    torch.save(state, tmp_path / "x.pth")
    network = load_model("densenet121", weights=tmp_path / "x.pth")
    assert all(torch.equal(a, b) for a, b in zip(network.module.buffers(), original.buffers(), strict=True))
    assert torch.equal(network.module(PICTURE), original(PICTURE))


def test_googlenet_drops_auxiliary_heads_and_transforms_its_input(tmp_path):
    from torchvision import models

    original = models.googlenet(aux_logits=True, transform_input=True, init_weights=False, num_classes=5).eval()
    torch.save(original.state_dict(), tmp_path / "x.pth")
    network = load_model("googlenet", weights=tmp_path / "x.pth")
    assert not [name for name, _ in network.module.named_modules() if name.startswith("aux")]
    assert torch.equal(network.module(PICTURE), original(PICTURE))
    assert network.notes == ()


def test_the_preset_is_of_the_set_that_the_file_name_tells(tmp_path):
    recipes = registry.describe("resnet50").recipes
    for name, resize in (("mine.pth", 256), ("resnet50-11ad3fa6.pth", 232), ("resnet50-0676ba61.pth", 256)):
        first = load._likeliest_first(recipes, tmp_path / name)[0]
        assert first.preset.resize == resize


def test_every_torchvision_name_is_described():
    from gradcam_cli.models.sources.torchvision.names import NAMES

    for name in NAMES:
        architecture = registry.describe(name)
        assert architecture.default in architecture.recipes
        assert architecture.default.hash
        assert len(architecture.default.labels) == 1000
        assert str(architecture.default.location).startswith("https://")


def test_a_recipe_that_needs_another_network_is_tried(tmp_path):
    """As torchvision's vision transformers for 224 and 384 pixels."""
    small = Recipe("small", "a", Preset(crop=32), None)
    wide = Recipe("wide", "b", Preset(crop=64), None, {"widths": (4, 4, 4)})
    architecture = Architecture("two", 10, TinyNet, default=small, recipes=(small, wide))
    original = TinyNet(3, (4, 4, 4))
    fitted = fit(architecture, architecture.recipes, original.state_dict(), tmp_path / "x.pth")
    assert (fitted.recipe, fitted.num_classes) == (wide, 3)
    with pytest.raises(ModelError, match="do not fit two"):
        fit(architecture, [small], original.state_dict(), tmp_path / "x.pth")


class WithHiddenBuffer(TinyNet):
    """Has a buffer that is made with ``torch.empty`` and is not part of a state dict."""

    def __init__(self, num_classes=10):
        super().__init__(num_classes)
        self.register_buffer("scale", torch.empty(2).fill_(3.0), persistent=False)


def test_a_buffer_that_cannot_be_hollow_is_built_the_plain_way(tmp_path):
    recipe = Recipe("x", "x", Preset(), None)
    architecture = Architecture("hidden", 10, WithHiddenBuffer, default=recipe, recipes=(recipe,))
    fitted = fit(architecture, [recipe], tiny_net().state_dict(), tmp_path / "x.pth")
    assert fitted.module.scale.tolist() == [3.0, 3.0]
