"""What a network is made of, without building it: its name, and digests of the files that decide about it.

No torch is imported, so that results can be compared with a directory's before anything heavy is loaded.
"""

from __future__ import annotations

import ast
import importlib.util
import os
import re
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING

from gradcam_cli.files import file_state
from gradcam_cli.models.checkpoints.hub_files import PROCESSORS, json_in, timm_name, transformers_folder
from gradcam_cli.models.checkpoints.input_record import side_file
from gradcam_cli.models.registry import AUTO, AUTO_MODEL, AUTO_WEIGHTS, TINY, is_user_code, plugin_of
from gradcam_cli.models.sources.user_code.spec import first_on_path, locate

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_LIBRARIES = {"timm": "timm", "hf": "transformers"}
"""Prefixes of names whose networks are another library's code → that library."""
_HASH = re.compile(r"(?=([0-9a-f]{8}))")
_DECIDING = frozenset({".json", ".safetensors", ".bin", ".txt", ".model", ".toml", ".h5", ".jinja"})
"""Suffixes of the files in a hub's folder that decide about a network or its words."""


def contents(model: str, weights: Path | None, labels: Path | None) -> dict[str, str | None]:
    """Return the network's name and the digests of the files it is made of, by their roles; null for a missing one.

    Of ``auto`` the name is that of the network that it stands for now. Of the user's own code the modules beside it
    count that it imports, not installed packages or files that the code reads.

    Args:
        model: its name, as `registry.check_name` returns it.
        weights: a checkpoint, a file with a whole network, or a folder.
        labels: a file with class names.
    """
    found: dict[str, str | None] = {"model": model}
    if model == AUTO and weights is None:
        found["model"] = model = AUTO_MODEL if auto_file().is_file() else TINY
    elif model == AUTO and weights is not None:
        model = _recognised(weights)
    prefix, colon, rest = model.partition(":")
    plugin = plugin_of(model) if colon else None
    if plugin is not None:
        found["package"] = f"{plugin.package} {plugin.version}"
    elif prefix in _LIBRARIES:
        found["library"] = _version(_LIBRARIES[prefix])
        if prefix == "hf" and os.path.isdir(rest):
            found["model"] = "hf:"
            found |= _digests("model", _in_folder(Path(rest)))
        elif prefix == "hf" and rest:
            found["revision"] = _revision(rest)
    elif is_user_code(model):
        code = locate(model)
        found["model"] = f":{code.name}" if code.file else model
        found |= _digests("code", _modules(model))
    if weights is not None:
        # Digits as those of published weights decide which of several recipes is tried first, the suffix who reads it.
        found["weights name"] = " ".join([weights.suffix, *sorted(set(_HASH.findall(weights.name)))])
        found |= _digests("weights", _of_weights(weights))
    if labels is not None:
        found |= _digests("labels", [labels])
    return found


def auto_file() -> Path:
    """Return the place of the weights of ``auto``'s network in torch's cache, which need not be there."""
    cache = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    home = os.environ.get("TORCH_HOME") or os.path.join(cache, "torch")
    return Path(home).expanduser() / "hub" / "checkpoints" / AUTO_WEIGHTS.rpartition("/")[2]


def _recognised(weights: Path) -> str:
    """Return the beginning of the name of the network that a hub's folder states, or ``auto``."""
    if transformers_folder(weights):
        return "hf:"
    return "timm:" if timm_name(weights if weights.is_dir() else weights.parent) else AUTO


def _digests(role: str, files: Iterable[Path]) -> dict[str, str | None]:
    """Return the digests of files; their own names do not count, but for those of several."""
    found: dict[str, str | None] = {}
    for position, file in enumerate(files):
        key = f"{role}/{position}/{file.name}" if position else role
        try:
            found[key] = file_state(file).sha256 if file.is_file() else None
        except OSError:
            found[key] = None
    return found


def _of_weights(weights: Path) -> Iterator[Path]:
    """Yield the files of a checkpoint: itself, and what stands beside it of its network."""
    if weights.is_dir():
        yield from _in_folder(weights)
        return
    yield weights
    folder = transformers_folder(weights)
    beside = _in_folder(folder) if folder else [weights.with_name(name) for name in ("config.json", *PROCESSORS)]
    yield from (file for file in (side_file(weights), *beside) if file != weights and file.is_file())


def _in_folder(folder: Path) -> list[Path]:
    with suppress(OSError):
        files = sorted(each for each in folder.iterdir() if each.suffix in _DECIDING and not each.name.startswith("."))
        base = json_in(folder / "adapter_config.json").get("base_model_name_or_path")
        if isinstance(base, str) and os.path.isdir(base) and Path(base) != folder:
            files += sorted(each for each in Path(base).iterdir() if each.suffix in _DECIDING)
        return files
    return []


def _modules(model: str) -> list[Path]:
    """Return the file of the user's own code, its side file, and the modules beside it that it imports, and these."""
    code = locate(model)
    first = code.file
    if first is None:
        first = _module_file(code.directory, code.module) or _installed(code.directory, code.module)
    if first is None:
        return []
    first = first.resolve()
    found, waiting = [first], [first]
    while waiting:
        for directory, name in _imported(waiting.pop(), code.directory):
            file = _module_file(directory, name)
            if file is not None and file not in found:
                found.append(file)
                waiting.append(file)
    side = side_file(code.file or first)
    return [*found, side] if side.is_file() else found


def _module_file(directory: Path, module: str) -> Path | None:
    place = directory.joinpath(*module.split("."))
    return next((each for each in (place.with_suffix(".py"), place / "__init__.py") if each.is_file()), None)


def _installed(directory: Path, module: str) -> Path | None:
    """Return the file of a module of an installed package; the package is not imported."""
    top, *rest = module.split(".")
    with suppress(ImportError, ValueError), first_on_path(directory):
        spec = importlib.util.find_spec(top)
        if spec is not None and not rest and spec.origin:
            return Path(spec.origin)
        for place in (spec.submodule_search_locations or ()) if spec else ():
            if file := _module_file(Path(place), ".".join(rest)):
                return file
    return None


def _imported(file: Path, directory: Path) -> Iterator[tuple[Path, str]]:
    """Yield what a file imports: the directory of its search, and a dotted name, its packages before it.

    Of ``from a import b``, ``b`` may be a module or not.
    """
    try:
        tree = ast.parse(file.read_bytes())
    except (OSError, SyntaxError, ValueError, MemoryError, RecursionError):
        return
    for node in ast.walk(tree):
        names: list[str] = []
        place = directory
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [".".join(filter(None, (node.module, alias.name))) for alias in node.names]
            place = file.parents[min(node.level, len(file.parents)) - 1] if node.level else directory
        for name in names:
            pieces = name.split(".")
            yield from ((place, ".".join(pieces[: count + 1])) for count in range(len(pieces)))


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _revision(name: str) -> str | None:
    """Return the commit that the hub's cache has for ``owner/name@revision``, or None."""
    repository, _, revision = name.partition("@")
    home = os.environ.get("HF_HOME") or os.path.join(os.environ.get("XDG_CACHE_HOME") or "~/.cache", "huggingface")
    named = os.environ.get("HF_HUB_CACHE") or os.environ.get("HUGGINGFACE_HUB_CACHE")
    cache = named or os.path.join(home, "hub")
    place = Path(cache).expanduser() / f"models--{repository.replace('/', '--')}" / "refs" / (revision or "main")
    with suppress(OSError, UnicodeDecodeError):
        return place.read_text().strip()
    return revision or None
