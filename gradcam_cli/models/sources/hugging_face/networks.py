"""Networks of transformers, read from a folder; importing that library takes seconds, and it need not be installed."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import transformers
from transformers import AutoConfig, AutoImageProcessor, AutoModelForImageClassification
from transformers.models.auto.modeling_auto import MODEL_FOR_IMAGE_CLASSIFICATION_MAPPING

from gradcam_cli.errors import ModelError, UsageError
from gradcam_cli.models.architecture import Architecture, Fitted, Recipe
from gradcam_cli.models.checkpoints.hub_files import processor_in, recorded_by_config, recorded_by_processor
from gradcam_cli.models.checkpoints.input_record import InputRecord, side_file_of
from gradcam_cli.models.sources import hub
from gradcam_cli.models.sources.hugging_face.folder import INDEX, PREFIX, WEIGHTS, Folder, open_folder, split_files
from gradcam_cli.models.sources.hugging_face.weights import loaded
from gradcam_cli.models.sources.hugging_face.zero_shot import described, is_zero_shot, zero_shot
from gradcam_cli.records import Preset
from gradcam_cli.text import first_line, quoted

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import nn

    from gradcam_cli.models.download import Progress

_PATTERNS = ["config.json", "*processor*.json", "*token*", "vocab*", "merges.txt", "*.model", "*.safetensors*"]
"""What is downloaded of a repository: configurations, a tokenizer's files, weights."""

transformers.utils.logging.set_verbosity_error()
transformers.utils.logging.disable_progress_bar()


def architecture(spec: str, texts: Sequence[str] = ()) -> Architecture:
    """Describe the network in a folder, or in a repository of the Hugging Face hub, which is downloaded if need be.

    Args:
        spec: as ``folder.check_spec`` returns it.
        texts: the classes of a network that compares pictures with texts.

    Raises:
        ModelError: the folder cannot be used or downloaded, has no classifier, or texts are lacking or too many.
    """
    name = spec.removeprefix(PREFIX)
    folder = open_folder(Path(name) if Path(name).is_dir() else _from_hub(name))
    config, record = _config(folder), _record(folder)
    compares = is_zero_shot(folder.kind, config.model_type)
    if texts and not compares:
        raise UsageError(
            f"{folder.kind or spec} does not compare pictures with texts", "leave {text} out: it has classes of its own"
        )
    if not compares:
        _require_classifier(folder, config)
    labels, activation = described(tuple(texts), config.model_type) if texts else (None, None)
    recipe = Recipe(f"transformers {folder.kind}", None, Preset(), labels, activation=activation)
    classes = len(texts) if compares else config.num_labels

    def build(num_classes: int) -> nn.Module:
        if compares:
            return zero_shot(folder, config, tuple(texts))[0]
        return _untrained(config, num_classes)

    def ready(_: Progress | None) -> tuple[Fitted, Path]:
        kind = AutoModelForImageClassification
        module, notes = zero_shot(folder, config, tuple(texts)) if compares else loaded(kind, folder, config)
        return Fitted(module, recipe, classes, notes), folder.weights

    return Architecture(
        spec, classes, build, default=recipe, recipes=(recipe,), ready=ready, presumes=True, on_meta=False,
        record=record, parts=folder.parts,
    )  # fmt: skip


def _from_hub(name: str) -> Path:
    """Return a repository's folder in the hub's cache, downloaded first where its weights are not there."""
    found = hub.cached(name, WEIGHTS)
    if found is None or (found.name == INDEX and not _is_whole(found)):
        found = hub.download(name, WEIGHTS, _PATTERNS)
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
        return AutoConfig.for_model(folder.config["model_type"], **values)
    except Exception as error:  # of values that do not suit, in any way
        raise ModelError(
            f"folder {quoted(folder.path)}: config.json cannot be used: {first_line(error)}",
            f"correct it, or update transformers ({transformers.__version__} is installed)",
        ) from error


def _require_classifier(folder: Folder, config: Any) -> None:  # noqa: ANN401
    known = MODEL_FOR_IMAGE_CLASSIFICATION_MAPPING.get(type(config), ())
    names = [each.__name__ for each in (known if isinstance(known, tuple) else (known,))]
    if not names or (folder.kind and folder.kind not in names):
        what = folder.kind or folder.config["model_type"]
        hint = f"give one that was saved as {' or '.join(names)}" if names else "give a classifier of pictures"
        raise ModelError(f"folder {quoted(folder.path)}: {what} gives no class scores", hint)


def _record(folder: Folder) -> InputRecord:
    """Return what the files in a folder say of its pictures; what a processor leaves out is its class's default."""
    content = processor_in(folder.path)
    if content:
        with contextlib.suppress(Exception):  # of a class that transformers does not know: then its file alone counts
            content = AutoImageProcessor.from_pretrained(
                folder.path, local_files_only=True, trust_remote_code=False
            ).to_dict()
    towers = [each for each in (folder.config, folder.config.get("vision_config")) if isinstance(each, dict)]
    found = side_file_of(folder.weights).or_else(recorded_by_processor(content))
    for each in towers:
        found = found.or_else(recorded_by_config(each))
    return found


def _untrained(config: Any, num_classes: int) -> nn.Module:  # noqa: ANN401
    """Return a network with random weights."""
    names = {index: str(index) for index in range(num_classes)}
    module: nn.Module = AutoModelForImageClassification.from_config(
        type(config).from_dict({**config.to_dict(), "id2label": names, "label2id": None})
    )
    return module
