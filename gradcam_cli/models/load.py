"""From a model's name to a network that is ready to be explained."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from gradcam_cli.errors import ModelError
from gradcam_cli.models.checkpoints.fit import fit, on_meta
from gradcam_cli.models.checkpoints.hub_files import recorded_beside, timm_name, transformers_folder
from gradcam_cli.models.checkpoints.identify import identify
from gradcam_cli.models.checkpoints.input_record import InputRecord, side_file, side_file_of
from gradcam_cli.models.checkpoints.read import read_checkpoint, read_state_dict
from gradcam_cli.models.device import find_device
from gradcam_cli.models.download import Progress, fetch
from gradcam_cli.models.input_channels import input_channels
from gradcam_cli.models.labels import class_names, labels_in
from gradcam_cli.models.network import STATISTICS, Network, Weights
from gradcam_cli.models.preprocess import for_channels
from gradcam_cli.models.registry import (
    AUTO,
    AUTO_DIGEST,
    AUTO_MODEL,
    AUTO_WEIGHTS,
    TINY,
    check_name,
    describe,
    plugin_of,
)
from gradcam_cli.models.sources.exported import is_exported, load_exported
from gradcam_cli.models.sources.keras import is_keras, load_keras
from gradcam_cli.models.sources.user_code.spec import code_file
from gradcam_cli.text import printable, quoted

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from torch import nn

    from gradcam_cli.models.architecture import Architecture, Fitted, Recipe
    from gradcam_cli.records import Preset

_HUB_FILES = ("model.safetensors", "pytorch_model.bin")
"""Names of a checkpoint in a directory of a model hub."""


@torch.inference_mode(False)  # tensors that are made within it are never part of a graph
def load_model(
    spec: str = AUTO,
    *,
    weights: Path | str | None = None,
    labels: Path | str | Sequence[str] | None = None,
    device: str = "cpu",
    progress: Progress | None = None,
    arguments: Mapping[str, object] | None = None,
    texts: Sequence[str] = (),
) -> Network:
    """Return the network called ``spec`` with trained weights; never with random ones unless its own code does so.

    ``auto`` is the network that ``weights`` are recognised to be for; without them mobilenet_v2 with ImageNet weights
    where they are cached or can be downloaded, and otherwise the bundled ``tiny``, as a note reports.

    Args:
        spec: a name that ``gradcam models`` lists, ``timm:NAME``, ``FILE.py:FUNCTION`` or ``package.module:CLASS``.
        weights: a checkpoint for that architecture, of any number of classes; default: the published weights.
        labels: the names of the classes, or a file with them; default: those in the checkpoint, or of the weights.
        device: ``auto``, ``cpu``, ``cuda`` or another of torch's names.
        progress: called with (bytes done, total bytes) during a download.
        arguments: arguments for the function or class.
        texts: the classes of a network that compares pictures with texts, such as CLIP.

    Raises:
        UsageError: no such model or device, or arguments or texts for a model that takes none.
        ModelError: weights or labels cannot be read or downloaded, or do not fit, or the code fails.
    """
    name, notes = check_name(spec), tuple[str, ...]()
    place = find_device(device)
    if name == AUTO and weights is None:
        name, notes = _choose(progress)
    described = partial(describe, arguments=arguments, texts=texts)
    if weights is None:
        network = _published(name, progress, described)
    else:
        network = _from_checkpoint(name, Path(weights), described)
    network.notes = (*notes, *network.notes)
    network.preset = _for_network(network.preset, network.module)
    if labels is not None:
        network.labels = class_names(labels, network.sides)
    network.module.to(device=place)
    return network


@dataclass(frozen=True)
class Outline:
    """A network without trained weights, in evaluation mode, its preprocessing, and the layer that a file names.

    Attributes:
        assumed: as of `network.Network`.
    """

    module: nn.Module
    preset: Preset
    layer: str | None = None
    assumed: frozenset[str] = frozenset()


def outline(
    spec: str,
    *,
    filled: bool = False,
    arguments: Mapping[str, object] | None = None,
    texts: Sequence[str] = (),
) -> Outline:
    """Return a network without trained weights.

    Args:
        spec: as for ``load_model``; ``auto`` is the network that it stands for where weights are available.
        filled: whether the parameters hold random values; otherwise the network is on the meta device, without values,
            unless the user's own code makes it.
        arguments: arguments for the function or class.
        texts: the classes of a network that compares pictures with texts.

    Raises:
        UsageError: no such model.
        ModelError: its code fails.
    """
    name = check_name(spec)
    architecture = describe(AUTO_MODEL if name == AUTO else name, arguments, texts)
    recipe = architecture.default

    def build() -> nn.Module:
        return architecture.build(num_classes=architecture.num_classes, **recipe.options)

    module = build() if filled or not architecture.on_meta else on_meta(build).to("meta")
    record = architecture.record
    preset = _for_network(record.applied(recipe.preset), module)
    assumed = (STATISTICS if architecture.presumes else frozenset()) - record.known
    return Outline(module.eval(), preset, record.layer, assumed)


def _for_network(preset: Preset, module: nn.Module) -> Preset:
    """Return the preprocessing for pictures of as many channels as the network reads."""
    return for_channels(preset, input_channels(module) or preset.channels)


def versions() -> dict[str, str]:
    """Return the versions of the libraries that the network's results depend on."""
    return {"torch": torch.__version__}


def _choose(progress: Progress | None) -> tuple[str, tuple[str, ...]]:
    """Return the name that ``auto`` currently stands for, and notes about it."""
    try:
        fetch(AUTO_WEIGHTS, AUTO_DIGEST, progress)
    except ModelError as error:
        return TINY, (f"{error.message}; using the small bundled network instead, which has ten classes",)
    return AUTO_MODEL, ()


def _published(name: str, progress: Progress | None, described: Callable[[str], Architecture]) -> Network:
    architecture = described(name)
    recipe = architecture.default
    if architecture.ready is not None:
        fitted, file = architecture.ready(progress)
        network = _network(architecture, fitted, Weights(recipe.source, file, architecture.parts))
        return _recorded(network, architecture.record)
    assert recipe.location is not None
    if isinstance(recipe.location, Path):
        path = recipe.location
    else:
        path = fetch(recipe.location, recipe.hash, progress)
    try:
        fitted = fit(architecture, [recipe], read_state_dict(path), path)
    except ModelError as error:
        if path == recipe.location:
            raise
        raise ModelError(error.message, "delete this file of the cache to have it downloaded again") from error
    return _network(architecture, fitted, Weights(recipe.source, path))


def _from_checkpoint(name: str, weights: Path, described: Callable[[str], Architecture]) -> Network:
    """Return the network called ``name`` with a checkpoint's weights; ``auto`` is the network that they are for."""
    folder = transformers_folder(weights) if name == AUTO else None
    if folder is not None:
        return _published(check_name(f"hf:{folder}"), None, described)
    path, notes = file_in(weights), tuple[str, ...]()
    if is_exported(path) or is_keras(path):
        return _recorded(_whole(name, path), side_file_of(path))
    checkpoint = read_checkpoint(path)
    stated = timm_name(path.parent)
    if name == AUTO and stated is not None:
        name = check_name(f"timm:{stated}")
        notes = (f"{name}, as config.json says",)
    elif name == AUTO:
        found = identify(checkpoint, path, describe)
        name, notes = found.name, (found.note,)
    architecture = described(name)
    tensors = architecture.translated(checkpoint.tensors)
    fitted = fit(architecture, _likeliest_first(architecture.recipes, path), tensors, path)
    network = _network(architecture, fitted, Weights(printable(weights), path))
    class_names = checkpoint.metadata.class_names
    if class_names is not None:
        own = labels_in(class_names, network.sides)
        network.labels = own or network.labels
        if own is None:
            notes += (f"the class names in the checkpoint are not used: not one for each of {network.sides}",)
    network.notes = (*notes, *network.notes)
    if network.num_classes != architecture.num_classes:  # it was trained anew, on pictures that only its owner knows
        network.assumed = STATISTICS
    return _recorded(network, recorded_beside(path).or_else(checkpoint.metadata.record).or_else(architecture.record))


def file_in(path: Path) -> Path:
    """Return the checkpoint in a directory as model hubs have it; any other path is returned as it is.

    Raises:
        ModelError: the directory has no checkpoint, or several.
    """
    if not path.is_dir():
        return path
    found = [path / name for name in _HUB_FILES if (path / name).is_file()]
    found = found or sorted(each for each in path.glob("*.safetensors") if each.is_file())
    if not found or (len(found) > 1 and found[0].name not in _HUB_FILES):
        what = "without a checkpoint" if not found else f"with {len(found)} checkpoints"
        raise ModelError(
            f"weights {quoted(path)}: is a directory {what}",
            f"give the path of a weights file, such as {_HUB_FILES[0]}",
        )
    return found[0]


def side_file_for(model: str, weights: Path | None) -> Path | None:
    """Return the name of the side file of a checkpoint, of code or of a folder, or None where a network has no place.

    Raises:
        ModelError: a directory of weights has no checkpoint, or several.
    """
    folder = model.removeprefix("hf:")
    if weights is None and folder != model and Path(folder).is_dir():
        weights = Path(folder)
    if weights is None:
        code = code_file(model)
        return None if code is None else side_file(code)
    return side_file(weights / _HUB_FILES[0] if transformers_folder(weights) == weights else file_in(weights))


def _recorded(network: Network, record: InputRecord) -> Network:
    """Apply what files say of the network's pictures."""
    if record.source:
        network.preset = for_channels(record.applied(network.preset), network.preset.channels)
        network.assumed -= record.known
        network.layer, network.activation = record.layer, record.activation or network.activation
        labels = None if record.labels is None else labels_in(record.labels, network.sides)
        network.labels = labels or network.labels
        network.notes = (*network.notes, str(record))
    return network


def _whole(name: str, path: Path) -> Network:
    """Return the network of a file that holds it whole, not only its weights.

    Raises:
        ModelError: a network is named besides, or the file cannot be used.
    """
    if name != AUTO:
        raise ModelError(
            f"weights {quoted(path)}: a file with a whole network, not weights for {name}", "leave {model} out"
        )
    return load_keras(path) if is_keras(path) else load_exported(path)


def _likeliest_first(recipes: tuple[Recipe, ...], path: Path) -> list[Recipe]:
    """Put the recipe first whose published file this seems to be, by the digits in its name."""
    return sorted(recipes, key=lambda recipe: recipe.hash is None or recipe.hash not in path.name)


def _network(architecture: Architecture, fitted: Fitted, weights: Weights) -> Network:
    recipe = fitted.recipe
    network = Network(
        module=fitted.module,
        name=architecture.name,
        num_classes=fitted.num_classes,
        preset=recipe.preset,
        labels=None,
        weights=weights,
        notes=fitted.notes,
        plugin=plugin_of(architecture.name),
        assumed=STATISTICS if architecture.presumes else frozenset(),
        activation=recipe.activation,
    )
    if recipe.labels is not None and len(recipe.labels) == network.sides:  # another number means other classes
        network.labels = recipe.labels
    return network
