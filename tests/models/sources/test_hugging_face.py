"""Folders of transformers: scores, preprocessing, names and maps equal that library's; texts as classes."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from huggingface_hub import scan_cache_dir
from safetensors.torch import load_file, save_file

from gradcam_cli import api
from gradcam_cli.cli.main import run
from gradcam_cli.errors import ModelError, UsageError
from gradcam_cli.models.load import load_model, outline
from gradcam_cli.models.preprocess import prepare
from gradcam_cli.models.registry import find_models

pytestmark = pytest.mark.peers
transformers = pytest.importorskip("transformers", reason="pip install '.[test-all]' for transformers")

from tests.hugging_face import LENGTH, NETWORKS, PROCESSORS, SIDE, VISION, folder, network, with_texts  # noqa: E402

if TYPE_CHECKING:
    from gradcam_cli.models.architecture import ModelEntry

TEXTS = ("a photo of a cat", "a photo of a dog", "a bird")


@pytest.mark.parametrize("name", NETWORKS)
def test_scores_and_names_are_the_networks_own(tmp_path, name):
    path = folder(tmp_path / "mine", name)
    found = load_model(f"hf:{path}")
    assert found.labels == ("cat", "dog", "bird", "fish")
    assert found.num_classes == 4
    assert found.weights.path == path / "model.safetensors"
    picture = torch.randn(2, 3, SIDE, SIDE)
    torch.testing.assert_close(found.module(picture).logits, network(name)(picture).logits, rtol=1e-6, atol=1e-6)
    assert not any(parameter.requires_grad for parameter in found.module.parameters())
    for same in (path, path / "model.safetensors"):
        assert load_model(weights=same).name == f"hf:{path}"


@pytest.mark.parametrize("name", PROCESSORS)
def test_pictures_are_prepared_as_by_its_processor(tmp_path, name, photo):
    path = folder(tmp_path / "mine", name)
    pixels = photo
    with_it = transformers.AutoImageProcessor.from_pretrained(path)(images=pixels, return_tensors="pt")["pixel_values"]
    squashed = "height" in PROCESSORS[name][1]["size"] or PROCESSORS[name][1]["size"]["shortest_edge"] >= 384
    preset = load_model(f"hf:{path}").preset
    ours = prepare(pixels, preset, "stretch" if squashed else "crop").tensor
    assert ours.shape == with_it[0].shape
    # A squashed picture that is cropped afterwards is not the centre of one that keeps its aspect.
    if name != "DeiT":
        assert (ours - with_it[0]).abs().max() < 1.01 / 255 / min(preset.std)


def test_what_a_processor_leaves_out_is_its_classs(tmp_path):
    path = folder(tmp_path / "mine", "ResNet")
    for kind, crop, resize, mean, mode in (
        ("ConvNextImageProcessor", 384, 384, (0.5,) * 3, "bicubic"),
        ("CLIPImageProcessor", 224, 224, (0.48145466, 0.4578275, 0.40821073), "bicubic"),
        ("DeiTImageProcessor", 224, 256, (0.5,) * 3, "bicubic"),
        ("ViTImageProcessor", 224, 224, (0.5,) * 3, "bilinear"),
    ):
        (path / "preprocessor_config.json").write_text(json.dumps({"image_processor_type": kind}))
        preset = load_model(f"hf:{path}").preset
        assert (preset.crop, preset.resize, preset.interpolation) == (crop, resize, mode)
        assert preset.mean == pytest.approx(mean, abs=1e-7)


def test_a_processor_that_normalises_twice(tmp_path, photo):
    path = folder(tmp_path / "mine", "ResNet")
    own = transformers.EfficientNetImageProcessor(size={"height": SIDE, "width": SIDE}, image_std=[0.4, 0.5, 0.6])
    own.save_pretrained(path)
    expected = own(images=photo, return_tensors="pt")["pixel_values"][0]
    ours = prepare(photo, load_model(f"hf:{path}").preset, "stretch").tensor
    assert (ours - expected).abs().max() < 1.01 / 255 / 0.4**2


ODD_PROCESSORS = {
    "MobileViTImageProcessor": {"size": {"shortest_edge": 72}, "crop_size": {"height": SIDE, "width": SIDE}},
    "LevitImageProcessor": {"size": {"shortest_edge": SIDE}, "crop_size": {"height": SIDE, "width": SIDE}},
    "PoolFormerImageProcessor": {"size": {"shortest_edge": SIDE}, "crop_size": {"height": SIDE, "width": SIDE}},
    "PerceiverImageProcessor": {"size": {"height": SIDE, "width": SIDE}, "crop_size": {"height": 72, "width": 72}},
}
"""Classes of processors that do more than their keys say."""


@pytest.mark.parametrize("name", ODD_PROCESSORS)
def test_what_processors_do_is_measured(tmp_path, name):
    path = folder(tmp_path / "mine", "ResNet")
    own = getattr(transformers, name)(**ODD_PROCESSORS[name])
    own.save_pretrained(path)
    ramp = np.linspace(0, 255, 200).astype(np.uint8)
    pixels = np.stack([np.tile(ramp, (200, 1)), np.tile(ramp[:, None], (1, 200)), np.full((200, 200), 40, np.uint8)], 2)
    expected = torch.as_tensor(own(images=pixels, return_tensors="np")["pixel_values"][0])
    found = load_model(f"hf:{path}")
    ours = prepare(pixels, found.preset, "crop").tensor
    if "MobileViT" in name:
        assert any("swaps red and blue" in note for note in found.notes)
        plain = network("ResNet")
        torch.testing.assert_close(found.module(ours[None]).logits, plain(ours[None].flip(1)).logits)
        ours = ours.flip(0)
    assert ours.shape == expected.shape
    # Half a pixel of the crop's place is 2 levels, and a little more where it is rounded the other way.
    assert (ours - expected).abs().max() < 5 / 255 / min(found.preset.std)


def test_processors_that_would_fetch_are_left_alone(tmp_path, monkeypatch):
    path = folder(tmp_path / "mine", "ViT")
    content = {
        "image_processor_type": "OneFormerImageProcessor", "repo_path": "evil/repo", "class_info_file": "/x.json",
        "image_mean": [0.1, 0.2, 0.3], "image_std": [0.5, 0.5, 0.5],
    }  # fmt: skip
    (path / "preprocessor_config.json").write_text(json.dumps(content))
    monkeypatch.setattr("socket.socket.connect", None)
    assert load_model(f"hf:{path}").preset.mean == (0.1, 0.2, 0.3)


def test_patches_are_not_cut(tmp_path):
    """A whole picture's sides are multiples of a patch of 14 pixels, of which the usual 32 is none."""
    path = folder(tmp_path / "mine", "Dinov2")
    config = json.loads((path / "config.json").read_text())
    (path / "config.json").write_text(json.dumps({**config, "patch_size": 14}))
    tensors = load_file(path / "model.safetensors")
    key = next(key for key in tensors if "patch_embeddings.projection.weight" in key)
    tensors[key] = tensors[key][:, :, :14, :14].contiguous()
    save_file(tensors, path / "model.safetensors", {"format": "pt"})
    size = prepare(np.zeros((90, 200, 3), np.uint8), load_model(f"hf:{path}").preset, "whole").geometry.input
    assert [side % 14 for side in size] == [0, 0]


@pytest.mark.parametrize("problem", ["regression", "multi_label_classification"])
def test_the_kind_of_problem(tmp_path, problem):
    net: Any = network("ResNet")
    net.config.problem_type = problem
    net.save_pretrained(tmp_path / "mine")
    explained = api.explain(np.zeros((80, 80, 3), np.uint8), model=f"hf:{tmp_path / 'mine'}")
    logits = explained.predictions
    if problem == "regression":
        assert logits[0].probability is None
    else:
        assert logits[0].probability == pytest.approx(1 / (1 + np.exp(-logits[0].score)))


def test_weights_in_several_files(tmp_path):
    path = tmp_path / "mine"
    network("ViT").save_pretrained(path, max_shard_size="30KB")
    assert len(list(path.glob("*.safetensors"))) > 1
    found = load_model(f"hf:{path}")
    picture = torch.randn(1, 3, SIDE, SIDE)
    torch.testing.assert_close(found.module(picture).logits, network("ViT")(picture).logits, rtol=1e-6, atol=1e-6)
    digest = found.weights.sha256()
    part = sorted(path.glob("*.safetensors"))[0]
    tensors = {key: tensor + 1 for key, tensor in load_file(part).items()}
    save_file(tensors, part, {"format": "pt"})
    assert load_model(f"hf:{path}").weights.sha256() != digest
    part.unlink()
    with pytest.raises(ModelError, match="has no weights file"):
        load_model(f"hf:{path}")


def test_a_state_dict_of_ones_own(tmp_path):
    """Trained on in a loop of one's own, with another number of classes, and saved by torch."""
    path = folder(tmp_path / "mine", "ViT")
    kind, options, _ = NETWORKS["ViT"]
    trained = getattr(transformers, kind)(transformers.ViTConfig(**options, num_labels=7)).eval()
    torch.save(trained.state_dict(), tmp_path / "best.pth")
    found = load_model(f"hf:{path}", weights=tmp_path / "best.pth")
    assert found.num_classes == 7
    assert found.labels is None
    picture = torch.randn(1, 3, SIDE, SIDE)
    torch.testing.assert_close(found.module(picture).logits, trained(picture).logits, rtol=1e-6, atol=1e-6)
    assert found.preset.crop == SIDE


def test_a_checkpoint_beside_the_folder(tmp_path):
    """As save_pretrained writes it, with names of earlier versions; wrapped, or with another number of classes."""
    path = folder(tmp_path / "mine", "ViT")
    written = load_file(path / "model.safetensors")
    assert any(".encoder.layer." in key for key in written), "not the names that the network has"
    picture, expected = torch.randn(1, 3, SIDE, SIDE), network("ViT")
    torch.save({f"module.{key}": tensor for key, tensor in written.items()}, tmp_path / "best.pth")
    for weights in (path / "model.safetensors", tmp_path / "best.pth"):
        found = load_model(f"hf:{path}", weights=weights)
        torch.testing.assert_close(found.module(picture).logits, expected(picture).logits, rtol=1e-6, atol=1e-6)
        assert found.labels == ("cat", "dog", "bird", "fish")
    for key in ("classifier.weight", "classifier.bias"):
        written[key] = written[key].repeat(2, *[1] * (written[key].ndim - 1))
    save_file(written, tmp_path / "eight.safetensors", {"format": "pt"})
    assert load_model(f"hf:{path}", weights=tmp_path / "eight.safetensors").num_classes == 8
    del written["classifier.bias"]
    save_file(written, tmp_path / "lacking.safetensors", {"format": "pt"})
    with pytest.raises(ModelError, match="do not fit"):
        load_model(f"hf:{path}", weights=tmp_path / "lacking.safetensors")


def test_without_weights_the_layers_are_the_same(tmp_path):
    path = folder(tmp_path / "mine", "Swin")
    bare, whole = outline(f"hf:{path}"), load_model(f"hf:{path}")
    assert [name for name, _ in bare.module.named_modules()] == [name for name, _ in whole.module.named_modules()]
    assert bare.preset == whole.preset


def test_random_weights_are_never_explained(tmp_path):
    bare = transformers.ViTModel(transformers.ViTConfig(**NETWORKS["ViT"][1]))
    bare.save_pretrained(tmp_path / "bare")
    with pytest.raises(ModelError, match="ViTModel gives no class scores"):
        load_model(f"hf:{tmp_path / 'bare'}")
    config = json.loads((tmp_path / "bare/config.json").read_text())
    (tmp_path / "bare/config.json").write_text(json.dumps({**config, "architectures": ["ViTForImageClassification"]}))
    with pytest.raises(ModelError, match=r"lack classifier\.bias, classifier\.weight, which would be random"):
        load_model(f"hf:{tmp_path / 'bare'}")


def test_nothing_in_the_folder_is_run(tmp_path, monkeypatch):
    path = folder(tmp_path / "mine", "ViT")
    evil = f"open({str(tmp_path / 'run')!r}, 'w')\n"
    for name in ("modeling_evil.py", "configuration_evil.py", "image_processing_evil.py", "sitecustomize.py"):
        (path / name).write_text(evil)
    monkeypatch.setattr("builtins.input", lambda *_: "y")
    content = json.loads((path / "preprocessor_config.json").read_text())
    content["auto_map"] = {"AutoImageProcessor": "image_processing_evil.Evil"}
    content["image_processor_type"] = "Evil"
    (path / "preprocessor_config.json").write_text(json.dumps(content))
    assert load_model(f"hf:{path}").preset.mean == (0.5, 0.5, 0.5)
    config = json.loads((path / "config.json").read_text())
    for change in ({"attn_implementation": "evil/kernels"}, {"_attn_implementation": "evil/kernels:Evil"}):
        (path / "config.json").write_text(json.dumps({**config, **change}))
        assert load_model(f"hf:{path}").num_classes == 4
    (path / "config.json").write_text(json.dumps({**config, "auto_map": {"AutoConfig": "configuration_evil.Evil"}}))
    with pytest.raises(ModelError, match="needs code of its own"):
        load_model(f"hf:{path}")
    assert not (tmp_path / "run").exists()


def test_damage_is_one_line(tmp_path):
    path = folder(tmp_path / "mine", "ResNet")
    whole = (path / "model.safetensors").read_bytes()
    (path / "model.safetensors").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ModelError, match="cannot be used"):
        load_model(f"hf:{path}")
    (path / "model.safetensors").write_bytes(whole)
    config = json.loads((path / "config.json").read_text())
    for change in ({"depths": "many"}, {"hidden_sizes": []}, {"model_type": "no-such"}):
        (path / "config.json").write_text(json.dumps({**config, **change}))
        with pytest.raises(ModelError) as raised:
            load_model(f"hf:{path}")
        assert "\n" not in raised.value.message
        assert raised.value.hint


@pytest.mark.parametrize("name", ["CLIP", "Siglip"])
def test_texts_are_classes(tmp_path, name):
    path = with_texts(tmp_path / "mine", name)
    found = load_model(f"hf:{path}", texts=TEXTS)
    assert found.labels == TEXTS
    assert found.activation == ("softmax" if name == "CLIP" else "sigmoid")
    whole = transformers.AutoModel.from_pretrained(path).eval()
    tokens = transformers.AutoTokenizer.from_pretrained(path)(
        list(TEXTS), padding="max_length", max_length=LENGTH, return_tensors="pt"
    )
    tokens.pop("token_type_ids", None)
    picture = torch.randn(2, 3, SIDE, SIDE)
    with torch.no_grad():
        expected = whole(pixel_values=picture, **tokens).logits_per_image
        torch.testing.assert_close(found.module(picture), expected, rtol=1e-5, atol=1e-5)
    assert not any("text_model" in layer for layer, _ in found.module.named_modules())


@pytest.mark.parametrize("name", ["CLIP", "Siglip"])
def test_the_map_of_a_text_equals_plain_pytorch(tmp_path, name, photo):
    path = with_texts(tmp_path / "mine", name)
    network_ = load_model(f"hf:{path}", texts=TEXTS)
    explained = api.explain(photo, model=network_, target=TEXTS[1])
    layer = explained.layer
    whole, kept = transformers.AutoModel.from_pretrained(path).eval(), []

    def keep(_: torch.nn.Module, __: Any, output: Any) -> Any:
        kept.append(output if isinstance(output, torch.Tensor) else output[0])

    whole.get_submodule(layer).register_forward_hook(keep)
    tokens = transformers.AutoTokenizer.from_pretrained(path)(
        list(TEXTS), padding="max_length", max_length=LENGTH, return_tensors="pt"
    )
    tokens.pop("token_type_ids", None)
    picture = prepare(photo, network_.preset, "stretch").tensor[None]
    score = whole(pixel_values=picture, **tokens).logits_per_image[0, 1]
    (gradient,) = torch.autograd.grad(score, kept[0])
    side = SIDE // VISION["patch_size"]
    maps, gradient = (each[0, -(side**2) :].detach().T.unflatten(1, (side, side)) for each in (kept[0], gradient))
    expected = (gradient.mean((1, 2), keepdim=True) * maps).sum(0).clamp(min=0).numpy()
    assert expected.any()
    np.testing.assert_allclose(explained.class_map.values, expected, atol=1e-5 * expected.max())


def test_one_text(tmp_path):
    clip = load_model(f"hf:{with_texts(tmp_path / 'clip', 'CLIP')}", texts=TEXTS[:1])
    assert (clip.labels, clip.activation) == (TEXTS[:1], "none")
    siglip = load_model(f"hf:{with_texts(tmp_path / 'siglip', 'Siglip')}", texts=TEXTS[:1])
    assert (siglip.labels, siglip.activation) == ((f"not: {TEXTS[0]}", TEXTS[0]), "sigmoid")


@pytest.mark.parametrize("name", ["CLIP", "Siglip"])
def test_a_tokenizer_that_knows_no_words(tmp_path, name):
    """Transformers makes one without any where its files are missing, and all texts would be one."""
    path = with_texts(tmp_path / "mine", name)
    (path / "tokenizer.json").unlink()
    with pytest.raises(ModelError, match="tokenizer cannot be used: there is none"):
        load_model(f"hf:{path}", texts=TEXTS)
    (path / "vocab.json").write_text("{}")
    (path / "merges.txt").write_text("")
    with pytest.raises(ModelError, match="tokenizer cannot be used"):
        load_model(f"hf:{path}", texts=TEXTS)


def test_texts_that_are_not_told_apart(tmp_path):
    path = with_texts(tmp_path / "mine", "CLIP")
    with pytest.raises(ModelError, match="knows nothing in 'xyz'"):
        load_model(f"hf:{path}", texts=["xyz", "a cat"])
    with pytest.raises(ModelError, match="does not tell the texts apart"):
        load_model(f"hf:{path}", texts=["a xyz", "a zyx"])


def test_texts_count_more_than_names_in_the_folder(tmp_path):
    path = with_texts(tmp_path / "mine", "CLIP")
    config = json.loads((path / "config.json").read_text())
    config |= {"id2label": {"0": "zebra", "1": "horse", "2": "cow"}, "problem_type": "regression"}
    (path / "config.json").write_text(json.dumps(config))
    found = load_model(f"hf:{path}", texts=TEXTS)
    assert (found.labels, found.activation) == (TEXTS, "softmax")


def test_texts_that_cannot_be(tmp_path):
    path = with_texts(tmp_path / "mine", "CLIP")
    with pytest.raises(UsageError, match="compares pictures with texts, and none is given"):
        load_model(f"hf:{path}")
    with pytest.raises(UsageError, match=f"longer than the {LENGTH} tokens"):
        load_model(f"hf:{path}", texts=["a photo of a cat " * 5, "a cat"])
    (path / "tokenizer.json").write_text("{}")
    with pytest.raises(ModelError, match="tokenizer cannot be used"):
        load_model(f"hf:{path}", texts=TEXTS)
    with pytest.raises(UsageError, match="does not compare pictures with texts"):
        load_model(f"hf:{folder(tmp_path / 'vit', 'ViT')}", texts=TEXTS)


def test_its_side_file_lies_in_the_folder(tmp_path, capfd):
    path = folder(tmp_path / "mine", "ResNet")
    assert run(["layers", f"hf:{path}", "--mean", "0.3", "--write-config"]) == 0
    assert (path / "model.gradcam.toml").is_file()
    assert load_model(f"hf:{path}").preset.mean == (0.3,) * 3


def test_the_list_is_of_what_the_cache_has(tmp_path, monkeypatch):
    from huggingface_hub import constants

    from gradcam_cli.models.sources.hugging_face import cache

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(cache, "scan_cache_dir", lambda: scan_cache_dir(tmp_path / "hub"))
    assert find_models_or_none("hf:*") == []
    stored = tmp_path / "hub/models--owner--net"
    snapshot = stored / "snapshots" / ("a" * 40)
    snapshot.parent.mkdir(parents=True)
    folder(snapshot, "ViT")
    (stored / "refs").mkdir()
    (stored / "refs/main").write_text("a" * 40)
    (stored / "blobs").mkdir()
    (entry,) = find_models_or_none("hf:own*")
    assert (entry.name, entry.cached, entry.input) == ("hf:owner/net", True, SIDE)
    assert load_model("hf:owner/net").labels == ("cat", "dog", "bird", "fish")
    assert find_models_or_none("hf:other*") == []


def test_an_empty_cache_says_so(tmp_path, monkeypatch):
    from gradcam_cli.models.sources.hugging_face import cache

    monkeypatch.setattr(cache, "scan_cache_dir", lambda: scan_cache_dir(tmp_path))
    with pytest.raises(UsageError, match="none of the networks 'hf:' is on this machine") as raised:
        find_models("hf:*")
    assert "save_pretrained" in raised.value.hint


def find_models_or_none(pattern: str) -> list[ModelEntry]:
    try:
        return find_models(pattern)
    except UsageError:
        return []
