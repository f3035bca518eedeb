"""timm's networks, ``timm:NAME``: the only module that imports timm, which takes seconds and need not be installed."""

from __future__ import annotations

import logging
import math
import re
import warnings
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import timm
from timm.data import ImageNetInfo, infer_imagenet_subset, resolve_data_config

from gradcam_cli.errors import ModelError, UsageError
from gradcam_cli.models.architecture import Architecture, Fitted, ModelEntry, Recipe
from gradcam_cli.models.checkpoints.fit import on_meta
from gradcam_cli.models.checkpoints.read import read_state_dict
from gradcam_cli.models.download import Progress, cache_path, fetch
from gradcam_cli.models.sources import hub
from gradcam_cli.models.sources.timm import PREFIX
from gradcam_cli.models.spelling import close_to
from gradcam_cli.records import Preset
from gradcam_cli.text import printable, quoted

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import nn

FILES = ("model.safetensors", "pytorch_model.bin")
"""File names of weights on the Hugging Face hub, in the order in which they are searched."""
USUAL_CLASSES = 1000
"""Number of classes of a network without a classifier, where weights with one are given."""
MAX_COUNTED = 64
"""Longest listing whose parameters are counted: each network has to be built, which takes a tenth of a second."""

logging.getLogger("timm").setLevel(logging.ERROR)


def architecture(spec: str) -> Architecture:
    """Describe timm's network ``timm:NAME``, with or without the tag of its weights (``timm:resnet50.a1_in1k``).

    Raises:
        UsageError: timm has no network or no weights of that name.
    """
    name = spec.removeprefix(PREFIX)
    settings = _settings(name)
    recipe = Recipe(f"timm {settings.get('tag') or name}", None, _preset(settings), _labels(settings))
    return Architecture(
        name=spec,
        num_classes=settings["num_classes"] or USUAL_CLASSES,
        build=partial(_created, name),
        default=recipe,
        recipes=(recipe,),
        ready=partial(_pretrained, name, settings, recipe),
    )


def entries(wanted: Callable[[str], bool]) -> list[ModelEntry]:
    """List timm's classifiers with trained weights.

    Args:
        wanted: returns whether a name, without ``timm:``, is to be listed.
    """
    found = [(name, _settings(name)) for name in timm.list_pretrained() if wanted(name)]
    found = [(name, settings) for name, settings in found if settings["num_classes"]]
    listed = []
    for name, settings in found:
        file = _cached(settings)
        count = None
        if len(found) <= MAX_COUNTED:
            count = sum(parameter.numel() for parameter in on_meta(partial(_created, name)).parameters())
        size = None if file is None else file.stat().st_size / (1 << 20)
        listed.append(ModelEntry(PREFIX + name, size, count, None, _preset(settings).crop, file is not None))
    return listed


def _settings(name: str) -> dict[str, Any]:
    """Return timm's settings for a network's weights and their training."""
    base = name.partition(".")[0]
    try:
        settings = timm.get_pretrained_cfg(name) if timm.is_model(base) else None
    except RuntimeError:  # there is the network, but not the tag
        settings = None
    if settings is None:
        hint = close_to(name, timm.list_pretrained() if "." in name else timm.list_models(), PREFIX)
        raise UsageError(
            f"timm has no model {quoted(name)}", hint or f"gradcam models '{PREFIX}*' lists those with trained weights"
        )
    return {"num_classes": USUAL_CLASSES, **settings.to_dict()}


def _preset(settings: dict[str, Any]) -> Preset:
    """Return the preprocessing of timm's own validation."""
    data = resolve_data_config(pretrained_cfg=settings)
    crop = data["input_size"][-1]
    return Preset(
        resize=math.floor(crop / data["crop_pct"]),
        crop=crop,
        mean=tuple(data["mean"]),
        std=tuple(data["std"]),
        interpolation="bilinear" if data["interpolation"] == "bilinear" else "bicubic",
    )


def _labels(settings: dict[str, Any]) -> tuple[str, ...] | None:
    """Return the names of ImageNet's classes, whose subset timm infers from their number."""
    subset = infer_imagenet_subset(settings)
    return None if subset is None else tuple(map(printable, ImageNetInfo(subset).label_descriptions()))


def _created(name: str, **options: Any) -> nn.Module:  # noqa: ANN401
    with warnings.catch_warnings():  # about names that have newer ones
        warnings.simplefilter("ignore")
        module: nn.Module = timm.create_model(name, **options)
    return module


def _pretrained(
    name: str, settings: dict[str, Any], recipe: Recipe, progress: Progress | None
) -> tuple[Fitted, Path | None]:
    if not settings["num_classes"]:
        family = name.partition("_")[0]
        raise ModelError(
            f"{PREFIX}{name} gives features, not class scores: it has no classifier",
            f"choose one that gradcam models '{PREFIX}{family}*' lists, or give {{weights}} that have one",
        )
    path = _fetched(name, settings, progress)
    # Read by our reader, which executes nothing; timm then converts names of earlier versions to today's.
    overlay = {"state_dict": read_state_dict(path), "custom_load": False}
    try:
        module = _created(name, pretrained=True, pretrained_cfg_overlay=overlay)
    except (RuntimeError, KeyError, ValueError) as error:
        raise ModelError(
            f"weights {quoted(path)} do not fit {PREFIX}{name}",
            "delete this file of the cache to have it downloaded again",
        ) from error
    module.pretrained_cfg.pop("state_dict", None)  # type: ignore[operator, union-attr]  # or it stays in memory
    module.float().eval().requires_grad_(False)
    return Fitted(module, recipe, settings["num_classes"], ()), path


def _fetched(name: str, settings: dict[str, Any], progress: Progress | None) -> Path:
    """Return the file of a network's weights, downloaded first when no cache has it."""
    cached = _cached(settings)
    if cached is not None:
        return cached
    if settings.get("hf_hub_id"):
        return hub.download(settings["hf_hub_id"], _names(settings))
    if not settings.get("url"):
        raise ModelError(f"timm has no trained weights for {PREFIX}{name}", hub.GIVE_WEIGHTS)
    digest = Path(settings["url"]).stem.rpartition("-")[2]
    return fetch(settings["url"], digest if re.fullmatch(r"[0-9a-f]{8,}", digest) else None, progress)


def _cached(settings: dict[str, Any]) -> Path | None:
    """Return the file of a network's weights in the Hugging Face hub's cache or torch's, or None."""
    if not settings.get("hf_hub_id"):
        path = cache_path(settings.get("url") or "")
        return path if path.is_file() else None
    return hub.cached(settings["hf_hub_id"], _names(settings))


def _names(settings: dict[str, Any]) -> tuple[str, ...]:
    return (settings["hf_hub_filename"],) if settings.get("hf_hub_filename") else FILES
