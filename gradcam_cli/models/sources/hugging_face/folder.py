"""Folders as transformers' ``save_pretrained`` writes them: what is read of them, and what is refused."""

from __future__ import annotations

import importlib.util
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gradcam_cli.errors import ModelError, UsageError
from gradcam_cli.files import expanded
from gradcam_cli.models.checkpoints.hub_files import INDEX, WEIGHTS, json_in, transformers_config
from gradcam_cli.text import printable, quoted

if TYPE_CHECKING:
    from collections.abc import Iterator

PREFIX = "hf:"
INSTALL = "pip install 'gradcam[transformers]'"
EXAMPLE = "give the folder that save_pretrained has written, or a name such as hf:google/vit-base-patch16-224"
_OWN_CODE = "it is not run; if you trust it, load the network in code of your own: {model} FILE.py:FUNCTION"
_DROPPED = ("dtype", "torch_dtype", "use_kernels", "kernel_config", "transformers_weights")
_REPOSITORY = re.compile(
    r"(?=.{1,96}$)(?!.*(--|\.\.))[A-Za-z0-9_][\w.-]*(/[A-Za-z0-9_][\w.-]*)?(?<![.-])(?<!\.git)", re.ASCII
)
_TIMMS = ("use_timm_backbone", "backbone", "use_pretrained_backbone")
"""Keys by which transformers has timm build a part, which may fetch weights for it."""
_CHOICE = "_implementation"
"""Part of the keys that choose how attention is computed, for which transformers may fetch code and run it."""


@dataclass(frozen=True)
class Folder:
    """A folder that has passed the checks.

    Attributes:
        path: of the folder.
        config: its ``config.json``, without what could load code.
        weights: ``model.safetensors``, or the list of its parts.
        parts: the files that the weights are split into.
    """

    path: Path
    config: dict[str, Any]
    weights: Path
    parts: tuple[Path, ...]

    @property
    def kind(self) -> str:
        """Name of the class that has written it, such as ``ViTForImageClassification``, or empty."""
        kinds = self.config.get("architectures")
        return str(kinds[0]) if isinstance(kinds, list) and kinds else ""


def check_spec(spec: str) -> str:
    """Return ``hf:FOLDER`` or ``hf:OWNER/NAME`` as it was given, its prefix in lower case.

    Raises:
        UsageError: transformers is not installed, or it is neither.
    """
    name = expanded(spec[len(PREFIX) :])
    if not name:
        raise UsageError(f"model {quoted(spec)} names no folder", EXAMPLE)
    if importlib.util.find_spec("transformers") is None:
        raise UsageError("transformers is not installed", INSTALL)
    if not os.path.isdir(name) and (os.path.lexists(name) or not _REPOSITORY.fullmatch(name.partition("@")[0])):
        what = "is a file" if os.path.lexists(name) else "does not exist"
        raise UsageError(f"model {quoted(spec)}: {quoted(name)} {what}", EXAMPLE)
    return PREFIX + name


def open_folder(path: Path) -> Folder:
    """Check a folder.

    Raises:
        ModelError: it is not that of a whole network of transformers, needs code of its own, or has no safetensors.
    """
    config = transformers_config(path)
    if (path / "adapter_config.json").exists():
        hint = "merge it where it was trained: model.merge_and_unload().save_pretrained(FOLDER)"
        raise _error(path, "has an adapter (LoRA) for another network, not a whole one", hint)
    if not config:
        raise _error(path, "has no config.json of transformers", EXAMPLE)
    if any("auto_map" in part for part in _with_parts(config)):
        raise _error(path, "needs code of its own (auto_map in config.json)", _OWN_CODE)
    if any(part.get(key) for part in _with_parts(config) for key in _TIMMS) or config["model_type"] == "timm_wrapper":
        raise _error(path, "has a network of timm's within", "give it by its name: {model} timm:NAME")
    if any("quantization_config" in part for part in _with_parts(config)):
        raise _error(path, "is quantised, and has no gradients", "give the network as it was before")
    weights = next((path / name for name in WEIGHTS if (path / name).is_file()), None)
    if weights is None:
        named = sorted(each.name for each in path.glob("*.safetensors"))
        if named:
            problem = f"has {printable(named[0])}, and its weights are called {WEIGHTS[0]}"
            raise _error(path, problem, "rename it, if these are the weights")
        others = sorted(each.name for each in path.glob("*") if each.suffix in (".bin", ".h5", ".msgpack", ".pt"))
        found = f"only {printable(others[0])}" if others else "no weights"
        hint = "save it again: model.save_pretrained(FOLDER) writes model.safetensors"
        raise _error(path, f"has {found}, and weights are read from safetensors only", hint)
    return Folder(path, _without_code(config), weights, tuple(split_files(weights)))


def _error(path: Path, problem: str, hint: str) -> ModelError:
    return ModelError(f"folder {quoted(path)}: {problem}", hint)


def split_files(weights: Path) -> Iterator[Path]:
    """Yield the files that weights are split into, which lie beside their list; nothing for weights in one file.

    Raises:
        ModelError: one of them is not there.
    """
    if weights.name != INDEX:
        return
    files = json_in(weights).get("weight_map")
    for name in sorted({str(name) for name in files.values()}) if isinstance(files, dict) else [""]:
        file = weights.parent / name
        if Path(name).name != name or file.suffix != ".safetensors" or not file.is_file():
            problem = f"has no weights file {quoted(name)}, which {INDEX} lists"
            raise _error(weights.parent, problem, "copy the whole folder again")
        yield file


def _with_parts(config: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield a configuration and those within it, of a text and of a vision tower."""
    yield config
    for value in config.values():
        for part in value if isinstance(value, list) else [value]:
            if isinstance(part, dict):
                yield from _with_parts(part)


def _without_code(config: dict[str, Any]) -> dict[str, Any]:
    """Return a configuration without what could fetch code, and without number formats: it runs in float32."""

    def cleaned(value: Any) -> Any:  # noqa: ANN401
        if isinstance(value, list):
            return [cleaned(each) for each in value]
        return _without_code(value) if isinstance(value, dict) else value

    return {key: cleaned(value) for key, value in config.items() if key not in _DROPPED and _CHOICE not in key}
