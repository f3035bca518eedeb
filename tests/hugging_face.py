"""Small, untrained networks of Hugging Face's transformers, and folders of them; needs that library."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
import transformers
from tokenizers import Tokenizer, models, pre_tokenizers, processors

if TYPE_CHECKING:
    from pathlib import Path

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


PROCESSORS: dict[str, tuple[str, dict[str, Any]]] = {
    "ViT": ("ViTImageProcessor", {"size": {"height": SIDE, "width": SIDE}}),
    "DeiT": ("DeiTImageProcessor", {"size": {"height": 72, "width": 72}, "crop_size": {"height": SIDE, "width": SIDE}}),
    "Beit": ("BeitImageProcessor", {"size": {"height": SIDE, "width": SIDE}}),
    "Dinov2": ("BitImageProcessor", {"size": {"shortest_edge": 72}, "crop_size": {"height": SIDE, "width": SIDE}}),
    "Siglip": ("SiglipImageProcessor", {"size": {"height": SIDE, "width": SIDE}}),
    "CLIP": ("CLIPImageProcessor", {"size": {"shortest_edge": 72}, "crop_size": {"height": SIDE, "width": SIDE}}),
    "Swin": ("ViTImageProcessor", {"size": {"height": SIDE, "width": SIDE}}),
    "ResNet": ("ConvNextImageProcessor", {"size": {"shortest_edge": SIDE}, "crop_pct": 0.875}),
    "ConvNext": ("ConvNextImageProcessor", {"size": {"shortest_edge": 384}}),
}
"""Name of a network → its class of processors, and its sizes."""

WORDS = ["<pad>", "<bos>", "<eos>", "<unk>", "a", "photo", "of", "cat", "dog", "bird"]
LENGTH = 12
"""Tokens of a text."""


def folder(path: Path, name: str) -> Path:
    """Save a classifier with names of its classes, and its processor where there is one; return the folder."""
    net: Any = network(name)
    names = ["cat", "dog", "bird", "fish"]
    net.config.id2label, net.config.label2id = dict(enumerate(names)), {each: k for k, each in enumerate(names)}
    net.save_pretrained(path)
    if name in PROCESSORS:
        kind, options = PROCESSORS[name]
        getattr(transformers, kind)(**options).save_pretrained(path)
    return path


def with_texts(path: Path, name: str) -> Path:
    """Save a network that compares pictures with texts, ``CLIP`` or ``Siglip``, and a tokenizer of a few words."""
    torch.manual_seed(0)
    text = {**TEXT, "vocab_size": len(WORDS), "max_position_embeddings": LENGTH, "eos_token_id": 2, "pad_token_id": 0}
    if name == "Siglip":
        text["projection_size"] = VISION["hidden_size"]
    net = getattr(transformers, f"{name}Model")(
        getattr(transformers, f"{name}Config")(vision_config=VISION, text_config=text)
    )
    for parameter in net.parameters():
        if parameter.ndim > 1:
            torch.nn.init.normal_(parameter, std=0.2)
    net.save_pretrained(path)
    kind, options = PROCESSORS[name]
    getattr(transformers, kind)(**options).save_pretrained(path)
    words = Tokenizer(models.WordLevel({word: index for index, word in enumerate(WORDS)}, unk_token="<unk>"))
    words.pre_tokenizer = pre_tokenizers.Whitespace()
    words.post_processor = processors.TemplateProcessing(
        single="<bos> $A <eos>", special_tokens=[("<bos>", 1), ("<eos>", 2)]
    )
    transformers.PreTrainedTokenizerFast(
        tokenizer_object=words, pad_token="<pad>", bos_token="<bos>", eos_token="<eos>", unk_token="<unk>"
    ).save_pretrained(path)
    return path
