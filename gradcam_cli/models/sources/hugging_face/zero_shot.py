"""Networks that compare a picture with texts, as CLIP and SigLIP do: the texts are the classes.

The scores are the network's own, exp(logit_scale)·cos(picture, text), for SigLIP with a bias. The texts are read once,
so that only the picture's part of the network runs for each picture.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import AutoModelForZeroShotImageClassification, AutoTokenizer
from transformers.models.auto.modeling_auto import MODEL_FOR_ZERO_SHOT_IMAGE_CLASSIFICATION_MAPPING_NAMES

from gradcam_cli.errors import ModelError, UsageError
from gradcam_cli.models.sources.hugging_face.weights import loaded, offline, two_lines
from gradcam_cli.text import first_line, quoted

if TYPE_CHECKING:
    from gradcam_cli.models.sources.hugging_face.folder import Folder
    from gradcam_cli.records import Activation

_VOCABULARIES = ("tokenizer.json", "vocab.json")
"""Files without which a tokenizer knows no words, and yet makes numbers of all; others are of kinds of their own."""
_CLOSE = 1e-3
"""Largest difference, by their size, between the scores from stored texts and those of the whole network."""


def is_zero_shot(kind: str, model_type: str) -> bool:
    """Whether a class of transformers compares pictures with texts."""
    return bool(kind) and MODEL_FOR_ZERO_SHOT_IMAGE_CLASSIFICATION_MAPPING_NAMES.get(model_type) == kind


def described(texts: tuple[str, ...], model_type: str) -> tuple[tuple[str, ...], Activation]:
    """Return the names of the classes, and what makes their scores probabilities.

    SigLIP was trained to judge each text by itself; its one score has two sides. CLIP compares texts: the score of one
    alone is a plain number.
    """
    if model_type.startswith("siglip"):
        return ((f"not: {texts[0]}", *texts) if len(texts) == 1 else texts), "sigmoid"
    return texts, "none" if len(texts) == 1 else "softmax"


class _ZeroShot(nn.Module):
    """The forward pass of a network of transformers whose texts are stored; its layers keep their names."""

    texts: Tensor
    scale: float
    bias: float
    get_image_features: Any

    def forward(self, pixel_values: Tensor) -> Tensor:
        """Return the scores (N, texts) of pictures (N, C, H, W)."""
        found = self.get_image_features(pixel_values=pixel_values)
        features = found if isinstance(found, torch.Tensor) else found.pooler_output
        return F.normalize(features, dim=-1) @ self.texts.T * self.scale + self.bias


def zero_shot(folder: Folder, config: Any, texts: tuple[str, ...]) -> tuple[nn.Module, tuple[str, ...]]:  # noqa: ANN401
    """Return the network whose classes are texts, and notes.

    Raises:
        UsageError: there is no text, or one is too long.
        ModelError: weights or tokenizer cannot be used, or the network computes its scores in another way.
    """
    if not texts:
        hint = "name the classes: {text} 'a photo of a cat' {text} 'a photo of a dog'"
        raise UsageError(f"{folder.kind} compares pictures with texts, and none is given", hint)
    tokens = _tokens(folder, config, texts)
    module, notes = loaded(AutoModelForZeroShotImageClassification, folder, config)
    try:
        side = config.vision_config.image_size
        height, width = side if isinstance(side, (list, tuple)) else (side, side)
        picture = torch.zeros(1, getattr(config.vision_config, "num_channels", 3), height, width)
        with torch.no_grad():
            whole = module(pixel_values=picture, **tokens)
            module.register_buffer("texts", F.normalize(whole.text_embeds, dim=-1))
            module.scale = float(module.logit_scale.exp())
            module.bias = float(getattr(module, "logit_bias", 0.0))
            module.__class__ = type(folder.kind, (_ZeroShot, type(module)), {})
            scores, expected = module(picture), whole.logits_per_image
        same = torch.allclose(scores, expected, rtol=_CLOSE, atol=_CLOSE)
    except Exception as error:
        raise _other_way(folder, first_line(error)) from error
    if not same:
        raise _other_way(folder, "its scores are not the cosine times a scale")
    for part in ("text_model", "text_projection"):  # which has done its work
        if hasattr(module, part):
            setattr(module, part, None)
    return module, notes


def _other_way(folder: Folder, problem: str) -> ModelError:
    return ModelError(
        f"{folder.kind} does not compare pictures with texts as CLIP does: {problem}",
        "give CLIP or SigLIP, or code of your own: {model} FILE.py:FUNCTION",
    )


def _no_tokenizer(folder: Folder, problem: str) -> ModelError:
    return ModelError(
        f"folder {quoted(folder.path)}: its tokenizer cannot be used: {problem}",
        "copy the tokenizer's files into the folder: tokenizer.json and tokenizer_config.json",
    )


def _tokens(folder: Folder, config: Any, texts: tuple[str, ...]) -> dict[str, Tensor]:  # noqa: ANN401
    """Return the texts as the network's tokenizer makes numbers of them, all of the length it was trained on."""
    if not any(file.suffix in (".model", ".txt") or file.name in _VOCABULARIES for file in folder.path.glob("*")):
        raise _no_tokenizer(folder, "there is none")
    try:
        with offline():
            tokenizer = AutoTokenizer.from_pretrained(folder.path, local_files_only=True, trust_remote_code=False)
        longest = config.text_config.max_position_embeddings
        numbers = [tuple(each) for each in tokenizer(list(texts))["input_ids"]]
        special = {*tokenizer.all_special_ids, tokenizer.unk_token_id}
        made = dict(
            tokenizer(list(texts), padding="max_length", max_length=longest, truncation=True, return_tensors="pt")
        )
    except Exception as error:  # of files that are missing, damaged, or of another version
        raise _no_tokenizer(folder, two_lines(error)) from error
    unread = next((text for text, each in zip(texts, numbers, strict=True) if not set(each) - special), None)
    if unread is not None:
        raise _no_tokenizer(folder, f"it knows nothing in {quoted(unread, 40)}")
    if len(set(numbers)) < len(set(texts)):
        raise _no_tokenizer(folder, "it does not tell the texts apart")
    over = next((text for text, each in zip(texts, numbers, strict=True) if len(each) > longest), None)
    if over is not None:
        raise UsageError(
            f"text {quoted(over, 40)} is longer than the {longest} tokens that the network reads", "shorten it"
        )
    return {name: made[name] for name in ("input_ids", "attention_mask") if name in made}
