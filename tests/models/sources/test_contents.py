from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from gradcam_cli.models.registry import AUTO_MODEL, AUTO_WEIGHTS
from gradcam_cli.models.sources.contents import contents


@pytest.fixture(autouse=True)
def _here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))


def written(path, text="x"):
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def of(model="resnet18", weights=None, labels=None):
    return contents(model, None if weights is None else Path(weights), None if labels is None else Path(labels))


def test_a_name_stands_for_its_published_weights():
    assert of() == {"model": "resnet18"} != of("resnet50")


def test_auto_is_the_network_it_stands_for_now(monkeypatch, tmp_path):
    assert of("auto") == of("tiny")
    written(tmp_path / "torch/hub/checkpoints" / AUTO_WEIGHTS.rpartition("/")[2])
    assert of("auto") == of(AUTO_MODEL)
    monkeypatch.delenv("TORCH_HOME")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert of("auto") == of(AUTO_MODEL)


def test_torchs_own_place_of_the_cache(monkeypatch, tmp_path):
    """What is looked up without torch is where torch looks."""
    from gradcam_cli.models.download import cache_path
    from gradcam_cli.models.sources.contents import auto_file

    for name, value in (("TORCH_HOME", "~/somewhere"), ("XDG_CACHE_HOME", str(tmp_path / "x")), ("", "")):
        monkeypatch.delenv("TORCH_HOME", raising=False)
        monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
        if name:
            monkeypatch.setenv(name, value)
        assert auto_file() == cache_path(AUTO_WEIGHTS)


def test_the_content_of_weights_counts_and_their_name_not_their_place():
    weights = written("a/w.pth")
    before = of(weights=weights)
    shutil.copytree("a", "b")
    assert of(weights="b/w.pth") == before
    renamed = weights.rename("a/v.pth")
    assert of(weights=renamed) == before
    published = renamed.rename("a/v-7ebf99e0.pth")
    assert of(weights=published) != before  # of several recipes the digits choose
    assert of(weights=published.rename("a/v-7ebf99e0.pt")) not in (before, of(weights=published))
    written("b/w.pth", "y")
    assert of(weights="b/w.pth") != before
    assert of(weights="c/w.pth") != before


@pytest.mark.parametrize("name", ["w.gradcam.toml", "config.json", "preprocessor_config.json", "processor_config.json"])
def test_what_stands_beside_weights_counts(name):
    weights = written("a/w.pth")
    found = [of(weights=weights)]
    beside = written(f"a/{name}", "{}")
    found.append(of(weights=weights))
    beside.write_text('{"a": 1}')
    found.append(of(weights=weights))
    assert found[0] != found[1] != found[2] != found[0]
    written("a/other.txt")
    assert of(weights=weights) == found[2]


def test_every_part_of_a_hubs_folder_counts():
    written("hub/config.json", json.dumps({"model_type": "vit"}))
    for name in ("model.safetensors", "preprocessor_config.json", "tokenizer.json", "vocab.txt"):
        written(f"hub/{name}")
    by_folder, by_file = of("auto", "hub"), of("auto", "hub/model.safetensors")
    written("hub/README.md")
    assert of("auto", "hub") == by_folder
    for name in ("config.json", "model.safetensors", "preprocessor_config.json", "tokenizer.json", "vocab.txt"):
        before = Path("hub", name).read_text()
        written(f"hub/{name}", before + " ")
        assert of("auto", "hub") != by_folder, name
        assert of("auto", "hub/model.safetensors") != by_file, name
        written(f"hub/{name}", before)


def test_an_adapters_base_counts():
    base = written("base/model.safetensors").parent.resolve()
    written("hub/adapter_config.json", json.dumps({"base_model_name_or_path": str(base)}))
    before = of("auto", "hub")
    written("base/model.safetensors", "y")
    assert of("auto", "hub") != before


def test_auto_with_a_hubs_folder_counts_by_the_library(monkeypatch):
    monkeypatch.setattr("gradcam_cli.models.sources.contents.version", lambda package: f"{package} 1")
    written("hub/config.json", json.dumps({"model_type": "vit"}))
    assert of("auto", "hub")["library"] == "transformers 1"
    written("timm/config.json", json.dumps({"architecture": "resnet18", "pretrained_cfg": {}}))
    weights = written("timm/model.safetensors")
    assert of("auto", "timm")["library"] == of("auto", weights)["library"] == "timm 1"
    assert "library" not in of("auto", written("plain/w.pth"))


def test_code_behind_a_link_has_its_side_file_beside_the_link():
    written("real/net.py")
    Path("link").mkdir()
    Path("link/net.py").symlink_to("../real/net.py")
    before = of("link/net.py:f")
    written("link/net.gradcam.toml", "size = 64")
    assert of("link/net.py:f") != before


def test_a_missing_folder_and_labels():
    labels = written("names.txt")
    with_labels = of(labels=labels)
    assert with_labels != of()
    labels.write_text("y")
    assert of(labels=labels) != with_labels
    labels.unlink()
    assert of(labels=labels)["labels"] is None


def test_the_users_own_code_counts_with_the_modules_beside_it():
    written("net.py", "import os, blocks\nfrom parts.heads import Head\nfrom late import (\n    f as g)\n")
    used = ["net.py", "blocks.py", "parts/__init__.py", "parts/heads.py", "deep.py", "late/__init__.py", "late/f.py"]
    written("blocks.py", "def f():\n    import deep.er\n")
    for name in used[2:]:
        written(name, "1")
    before = of("net.py:build")
    assert before["model"] == ":build" != of("net.py:other")["model"]
    written("unused.py")
    assert of("net.py:build") == before
    for name in used:
        text = Path(name).read_text()
        written(name, f"{text}\n# changed")
        assert of("net.py:build") != before, name
        written(name, text)
    assert of("net.py:build") == before
    written("net.gradcam.toml", "size = 64")
    assert of("net.py:build") != before


def test_a_module_counts_with_what_it_imports_relatively():
    written("zoo/__init__.py", "")
    written("zoo/net.py", "from .layers import a\nfrom . import heads\nfrom ..zoo import tops\n")
    for name in ("layers", "heads", "tops"):
        written(f"zoo/{name}.py", "1")
    before = of("zoo.net:build")
    for name in ("net", "layers", "heads", "tops"):
        written(f"zoo/{name}.py", Path(f"zoo/{name}.py").read_text() + "# changed")
        after = of("zoo.net:build")
        assert after != before, name
        before = after


def test_code_that_imports_in_a_circle_or_does_not_parse():
    written("a.py", "import b")
    written("b.py", "import a\nimport c")
    written("c.py", "def (")
    assert len(of("a.py:f")) == len(["model", "code", "b", "c"])


def test_an_installed_module_counts():
    found = of("torchvision.models.resnet:resnet18")
    assert found["code"]
    assert found["model"] == "torchvision.models.resnet:resnet18"


def test_a_hubs_network_counts_by_its_revision(monkeypatch, tmp_path):
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    missing = of("hf:owner/name")
    written("hf/hub/models--owner--name/refs/main", "abc\n")
    first = of("hf:owner/name")
    written("hf/hub/models--owner--name/refs/main", "def\n")
    assert len({missing["revision"], first["revision"], of("hf:owner/name")["revision"]}) == 3
    assert of("hf:owner/name@v1")["revision"] == "v1"
    monkeypatch.delenv("HF_HOME")
    monkeypatch.setenv("HUGGINGFACE_HUB_CACHE", str(tmp_path / "hf" / "hub"))
    assert of("hf:owner/name")["revision"] == "def"
