"""Networks of transformers, read from a folder; importing that library takes seconds, and it need not be installed."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import transformers
from transformers import AutoConfig, AutoModelForImageClassification
from transformers.models.auto.modeling_auto import MODEL_FOR_IMAGE_CLASSIFICATION_MAPPING

from gradcam_cli.errors import ModelError, UsageError
from gradcam_cli.models.architecture import Architecture, Fitted, Recipe
from gradcam_cli.models.checkpoints.hub_files import INDEX, PROCESSORS, WEIGHTS, processor_in, recorded_by_config
from gradcam_cli.models.checkpoints.input_record import side_file_of
from gradcam_cli.models.sources import hub
from gradcam_cli.models.sources.hugging_face.folder import (
    EXAMPLE,
    PREFIX,
    Folder,
    open_folder,
    split_files,
)
from gradcam_cli.models.sources.hugging_face.processor import Processing, processing
from gradcam_cli.models.sources.hugging_face.weights import loaded, offline, translated, two_lines
from gradcam_cli.models.sources.hugging_face.zero_shot import described, is_zero_shot, zero_shot
from gradcam_cli.records import Preset
from gradcam_cli.text import quoted

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from torch import nn

    from gradcam_cli.models.download import Progress

_PATTERNS = ["config.json", "*processor*.json", "*token*", "vocab*", "merges.txt", "*.model", "*.safetensors*"]
"""What is downloaded of a repository: configurations, a tokenizer's files, weights."""

transformers.utils.logging.set_verbosity_error()
transformers.utils.logging.disable_progress_bar()


def architecture(spec: str, folder: Folder | None, texts: Sequence[str] = ()) -> Architecture:
    """Describe the network in a folder, or in a repository of the Hugging Face hub, which is downloaded if need be.

    Args:
        spec: as ``folder.check_spec`` returns it.
        folder: its folder, or None for one of the hub's.
        texts: the classes of a network that compares pictures with texts.

    Raises:
        ModelError: the folder cannot be used or downloaded, has no classifier, or texts are lacking or too many.
    """
    folder = folder or open_folder(_from_hub(spec.removeprefix(PREFIX)))
    config = _config(folder)
    pictures = _processing(folder, config.model_type)
    record = pictures.record
    compares = is_zero_shot(folder.kind, config.model_type)
    if texts and not compares:
        raise UsageError(
            f"{folder.kind or spec} does not compare pictures with texts", "leave {text} out: it has classes of its own"
        )
    own = None if compares else _classifier(folder, config)
    labels, activation = described(tuple(texts), config.model_type) if texts else (None, None)
    if texts:
        record = replace(record, labels=None, activation=None)
    recipe = Recipe(f"transformers {folder.kind}", None, Preset(), labels, activation=activation)
    classes = len(texts) if compares else config.num_labels

    def build(num_classes: int) -> nn.Module:
        if compares:
            return zero_shot(folder, config, tuple(texts))[0]
        return _untrained(config, num_classes)

    def ready(_: Progress | None) -> tuple[Fitted, Path]:
        kind = AutoModelForImageClassification
        module, notes = zero_shot(folder, config, tuple(texts)) if compares else loaded(kind, folder, config)
        if not pictures.record.known & {"mean", "std"}:
            notes = (*notes, "the folder has no preprocessor_config.json, which says how its pictures are prepared")
        if pictures.bgr:
            module.register_forward_pre_hook(_reversed)
            notes = (*notes, "its processor swaps red and blue, and so is done here")
        return Fitted(module, recipe, classes, notes), folder.weights

    return Architecture(
        spec, classes, build, default=recipe, recipes=(recipe,), ready=ready, presumes=True, on_meta=False,
        record=record, parts=folder.parts, translated=dict if own is None else partial(translated, own, config),
    )  # fmt: skip


def _from_hub(name: str) -> Path:
    """Return a repository's folder in the hub's cache, downloaded first where its weights are not there."""
    found = hub.cached(name, WEIGHTS)
    if found is not None and found.name == INDEX and not _is_whole(found):
        found = None
    if found is None or hub.cached(name, PROCESSORS) is None:  # another program may have wanted the weights alone
        try:
            return hub.download(name, WEIGHTS, _PATTERNS).parent
        except ModelError as error:
            if found is None:
                raise ModelError(f"there is no folder {quoted(name)}, and {error.message}", EXAMPLE) from error
    return found.parent


def _is_whole(index: Path) -> bool:
    """Whether all the files that weights are split into lie beside their list."""
    try:
        return bool(list(split_files(index)))
    except ModelError:
        return False


def _config(folder: Folder) -> Any:  # noqa: ANN401
    """Return transformers' configuration of a kind of its own, made of the checked values."""
    try:
        values = {key: value for key, value in folder.config.items() if key != "model_type"}
        with offline():
            return AutoConfig.for_model(folder.config["model_type"], **values)
    except Exception as error:  # of values that do not suit, in any way
        raise ModelError(
            f"folder {quoted(folder.path)}: config.json cannot be used: {two_lines(error)}",
            f"correct it, or update transformers ({transformers.__version__} is installed)",
        ) from error


def _classifier(folder: Folder, config: Any) -> Any:  # noqa: ANN401
    """Return the class of a folder's classifier.

    Raises:
        ModelError: it has none.
    """
    known = MODEL_FOR_IMAGE_CLASSIFICATION_MAPPING.get(type(config), ())
    kinds = known if isinstance(known, tuple) else (known,)
    names = [each.__name__ for each in kinds]
    if not names or (folder.kind and folder.kind not in names):
        what = folder.kind or folder.config["model_type"]
        hint = f"give one that was saved as {' or '.join(names)}" if names else "give a classifier of pictures"
        raise ModelError(f"folder {quoted(folder.path)}: {what} gives no class scores", hint)
    return kinds[names.index(folder.kind) if folder.kind else 0]


def _processing(folder: Folder, model_type: str) -> Processing:
    """Return what the files in a folder state of its pictures."""
    with offline():
        found = processing(processor_in(folder.path), model_type)
    record = side_file_of(folder.path / WEIGHTS[0]).or_else(found.record)
    for each in (folder.config, folder.config.get("vision_config")):
        record = record.or_else(recorded_by_config(each)) if isinstance(each, dict) else record
    return replace(found, record=record)


def _reversed(_: nn.Module, given: tuple[Any, ...]) -> tuple[Any, ...]:
    """Turn red, green and blue into blue, green and red, which the network was trained on."""
    return (given[0].flip(1), *given[1:])


def _untrained(config: Any, num_classes: int) -> nn.Module:  # noqa: ANN401
    """Return a network with random weights."""
    names = {index: str(index) for index in range(num_classes)}
    module: nn.Module = AutoModelForImageClassification.from_config(
        type(config).from_dict({**config.to_dict(), "id2label": names, "label2id": None})
    )
    return module
