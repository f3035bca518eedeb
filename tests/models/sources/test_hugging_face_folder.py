"""Folders of transformers that are refused before that library is imported, and names of the hub."""

from __future__ import annotations

import importlib.util
import json
from typing import TYPE_CHECKING

import pytest

from gradcam_cli.errors import ModelError, UsageError
from gradcam_cli.models.load import load_model
from gradcam_cli.models.registry import check_name, check_texts
from gradcam_cli.models.sources.hugging_face import folder as source
from gradcam_cli.models.sources.hugging_face.folder import open_folder

if TYPE_CHECKING:
    from pathlib import Path

CONFIG = {"model_type": "vit", "architectures": ["ViTForImageClassification"], "patch_size": 16}


@pytest.fixture
def mine(tmp_path) -> Path:
    """Return a folder that passes the checks."""
    path = tmp_path / "mine"
    path.mkdir()
    (path / "config.json").write_text(json.dumps(CONFIG))
    (path / "model.safetensors").write_bytes(b"")
    return path


@pytest.fixture
def installed(monkeypatch):
    """Let transformers be installed, as far as can be seen without importing it."""
    monkeypatch.setattr(source.importlib.util, "find_spec", lambda name: object())


def test_what_is_read(mine):
    found = open_folder(mine)
    assert (found.kind, found.weights, found.parts) == ("ViTForImageClassification", mine / "model.safetensors", ())


REFUSED = {
    "code": ({"auto_map": {"AutoModel": "evil.Evil"}}, "needs code of its own"),
    "code of a tower": ({"vision_config": {"auto_map": {}}}, "needs code of its own"),
    "code in a list": ({"towers": [{"auto_map": {}}]}, "needs code of its own"),
    "timm within": ({"use_timm_backbone": True, "backbone": "hf-hub:evil/repo"}, "a network of timm's within"),
    "timm": ({"model_type": "timm_wrapper", "architecture": "hf-hub:evil/repo"}, "a network of timm's within"),
    "quantised": ({"quantization_config": {"load_in_4bit": True}}, "is quantised"),
    "not of transformers": ({"model_type": None}, "has no config.json of transformers"),
    "of timm": ({"pretrained_cfg": {}}, "has no config.json of transformers"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_configurations_that_are_refused(mine, name):
    change, message = REFUSED[name]
    (mine / "config.json").write_text(json.dumps({**CONFIG, **change}))
    with pytest.raises(ModelError, match=message) as raised:
        open_folder(mine)
    assert raised.value.hint


def test_choices_of_kernels_are_dropped(mine):
    choices = {
        "attn_implementation": "evil/kernels",
        "vision_config": {"_attn_implementation_internal": "evil/kernels"},
    }
    others = {"dtype": "float16", "transformers_weights": "other.safetensors", "towers": [{"torch_dtype": "float16"}]}
    (mine / "config.json").write_text(json.dumps({**CONFIG, **choices, **others, "conv_kernel": 3}))
    assert open_folder(mine).config == {**CONFIG, "vision_config": {}, "conv_kernel": 3, "towers": [{}]}


@pytest.mark.parametrize("name", ["pytorch_model.bin", "tf_model.h5", None])
def test_only_safetensors(mine, name):
    (mine / "model.safetensors").unlink()
    if name:
        (mine / name).write_bytes(b"x")
    with pytest.raises(ModelError, match=f"has {f'only {name}' if name else 'no weights'}"):
        open_folder(mine)


def test_an_adapter(mine):
    (mine / "adapter_config.json").write_text("{}")
    (mine / "config.json").unlink()
    with pytest.raises(ModelError, match="an adapter"):
        open_folder(mine)


@pytest.mark.parametrize("name", ["../other.safetensors", "/etc/passwd", "absent.safetensors", "code.py", ""])
def test_parts_lie_in_the_folder(mine, name):
    (mine / "model.safetensors").rename(mine.parent / "other.safetensors")
    (mine / "code.py").touch()
    (mine / "model.safetensors.index.json").write_text(json.dumps({"weight_map": {"a": name}}))
    with pytest.raises(ModelError, match="has no weights file"):
        open_folder(mine)


def test_without_transformers(mine, monkeypatch):
    monkeypatch.setattr(source.importlib.util, "find_spec", lambda name: None)
    for load in (lambda: check_name(f"hf:{mine}"), lambda: load_model(weights=mine)):
        with pytest.raises(UsageError, match="transformers is not installed") as raised:
            load()
        assert "gradcam[transformers]" in raised.value.hint


@pytest.mark.parametrize(
    ("name", "message"),
    [("hf:", "names no folder"), ("hf:no/such/folder", "does not exist"), ("hf:./no", "does not exist"),
     ("hf:../no", "does not exist"), ("hf:FILE", "is a file"), ("hf:bad name", "does not exist"),
     ("hf:a/b.git", "does not exist"), ("hf:-x", "does not exist"), ("hf:a--b/c", "does not exist"),
     ("hf:" + 300 * "x", "does not exist")],
)  # fmt: skip
def test_names_that_cannot_be(mine, installed, name, message):
    with pytest.raises(UsageError, match=message):
        check_name(name.replace("FILE", str(mine / "config.json")))


@pytest.mark.parametrize("name", ["hf:google/vit-base-patch16-224", "HF:Owner/Name@main", "hf:resnet"])
def test_names_of_the_hub(installed, name):
    assert check_name(name) == "hf:" + name[3:]


def test_texts_are_for_networks_that_take_them():
    check_texts("resnet18", ())
    check_texts("hf:openai/clip-vit-base-patch32", ("a cat",))
    for name in ("resnet18", "tiny", "timm:resnet18", "net.py:build"):
        with pytest.raises(UsageError, match="does not compare pictures with texts"):
            check_texts(name, ("a cat",))


@pytest.mark.skipif(importlib.util.find_spec("huggingface_hub") is None, reason="pip install huggingface_hub")
def test_a_hub_that_cannot_be_reached(tmp_path, monkeypatch):
    from gradcam_cli.models.sources import hub

    def offline(*_: object, **__: object) -> None:
        raise ConnectionError("[Errno -2] Name or service not known\nmore of it")

    monkeypatch.setattr(hub, "get_hf_file_metadata", offline)
    monkeypatch.setattr(hub, "try_to_load_from_cache", lambda *_, **__: None)
    assert hub.cached("owner/name", ["model.safetensors"]) is None
    with pytest.raises(ModelError, match="cannot download 'owner/name' from the Hugging Face hub: Name or service"):
        hub.download("owner/name@main", ["model.safetensors"], ["*.json"])
