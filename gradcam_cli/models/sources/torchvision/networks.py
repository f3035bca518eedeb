"""torchvision's classification networks: the only module that imports torchvision."""

from __future__ import annotations

import re
from functools import partial
from typing import TYPE_CHECKING, Any

from gradcam_cli.models.architecture import Architecture, ModelEntry, Recipe
from gradcam_cli.models.download import cache_path
from gradcam_cli.models.light_import import import_without_compiler
from gradcam_cli.models.sources.torchvision.names import NAMES
from gradcam_cli.records import Preset

if TYPE_CHECKING:
    from collections.abc import Callable

models = import_without_compiler("torchvision.models")

# The Inception networks are built as torchvision builds them with weights: the input is converted from ImageNet's
# statistics to the ones they were trained with. A checkpoint does not record this; one that was fine-tuned from the
# published weights needs it. Their auxiliary heads work in training only and are left out.
_INCEPTION = {"aux_logits": False, "transform_input": True, "init_weights": False}
_FIXED_OPTIONS = {"googlenet": _INCEPTION, "inception_v3": _INCEPTION}
_AUXILIARY_HEAD = re.compile(r"(aux[12]|AuxLogits)\.")

# Spellings of earlier versions, which published files still have.
_OLD_DENSE_LAYER = re.compile(r"(denselayer\d+\.(?:norm|relu|conv))\.(?=[12]\.)")
_OLD_VIT_MLP = {".mlp.linear_1.": ".mlp.0.", ".mlp.linear_2.": ".mlp.3."}


def _own_key(key: str) -> str | None:
    if _AUXILIARY_HEAD.match(key):
        return None
    for old, new in _OLD_VIT_MLP.items():
        key = key.replace(old, new)
    return _OLD_DENSE_LAYER.sub(r"\1", key)


def _recipe(name: str, entry: Any) -> Recipe:  # noqa: ANN401 (torchvision's enum has no types)
    """Return one entry of torchvision's weights enumeration as a recipe."""
    transforms = entry.transforms()
    preset = Preset(
        resize=transforms.resize_size[0],
        crop=transforms.crop_size[0],
        mean=tuple(transforms.mean),
        std=tuple(transforms.std),
        interpolation="bicubic" if transforms.interpolation.value == "bicubic" else "bilinear",
    )
    # Vision transformers have one position a patch, so that their size in pixels is part of the architecture.
    options = {"image_size": entry.meta["min_size"][0]} if name.startswith("vit_") else {}
    categories = entry.meta["categories"]
    return Recipe(
        source=f"torchvision {entry.name}",
        location=entry.url,
        preset=preset,
        labels=tuple(categories) if categories else None,
        options=options,
    )


def architecture(name: str) -> Architecture:
    """Describe torchvision's network ``name``.

    A checkpoint of unknown origin is taken for the first of torchvision's sets (IMAGENET1K_V1, whose sizes are the
    usual ones); the default without a checkpoint is torchvision's default.
    """
    entries = models.get_model_weights(name)
    return Architecture(
        name=name,
        num_classes=1000,
        build=partial(models.get_model, name, weights=None, **_FIXED_OPTIONS.get(name, {})),
        default=_recipe(name, entries.DEFAULT),
        recipes=tuple(_recipe(name, entry) for entry in entries),
        own_key=_own_key,
    )


def entries(wanted: Callable[[str], bool]) -> list[ModelEntry]:
    """List torchvision's classifiers with the figures of their default weights.

    Args:
        wanted: returns whether a name is to be listed.
    """
    return [_entry(name, models.get_model_weights(name).DEFAULT) for name in NAMES if wanted(name)]


def _entry(name: str, weights: Any) -> ModelEntry:  # noqa: ANN401 (torchvision's enum has no types)
    meta = weights.meta
    return ModelEntry(
        name=name,
        mebibytes=meta["_file_size"],
        parameters=meta["num_params"],
        accuracy=meta["_metrics"]["ImageNet-1K"]["acc@1"],
        input=weights.transforms().crop_size[0],
        cached=cache_path(weights.url).is_file(),
    )
