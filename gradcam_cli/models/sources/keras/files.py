"""Reads Keras files: a checked configuration and a plain copy of the weights are all that Keras is given."""

from __future__ import annotations

import copy
import inspect
import json
import tempfile
import zipfile
from dataclasses import dataclass, replace
from functools import lru_cache
from importlib import import_module
from pathlib import Path
from typing import Any

from gradcam_cli.errors import ModelError
from gradcam_cli.models.labels import labels_in
from gradcam_cli.models.network import Network, Weights
from gradcam_cli.models.sources.keras import MEMBERS
from gradcam_cli.models.sources.keras.backend import imported
from gradcam_cli.models.untrusted.keras.config import accepted
from gradcam_cli.models.untrusted.keras.hdf5 import UNFOLDS, copy_plain
from gradcam_cli.models.untrusted.keras.values import Config, DamagedKerasError, KerasConfigError
from gradcam_cli.records import MAX_INPUT, MIN_INPUT, Preset
from gradcam_cli.text import first_line, printable, quoted

MOST_JSON = 64 << 20
AGAIN = "copy or download it again, or save it again: model.save('network.keras')"
OWN = "explain it through code of your own, {model} FILE.py:FUNCTION, or save it with built-in layers only"


@dataclass(frozen=True)
class _Content:
    """What is read of a file.

    Attributes:
        config: the configuration, as it was written.
        labels: names of the classes, where the file has them.
        version: of the Keras that has written it, where the file names it.
        weights: a plain HDF5 file, of the temporary folder.
    """

    config: object
    labels: object
    version: object
    weights: Path


def load(path: Path) -> Network:
    """Return the network in a Keras file, see `sources.keras.load_keras`."""
    try:
        with tempfile.TemporaryDirectory() as folder:
            content = _read(path, Path(folder))
            keras = imported()
            config = accepted(content.config, _arguments, older=not str(content.version).startswith("3"))
            with keras.device("cpu"):
                network = keras.saving.deserialize_keras_object(copy.deepcopy(config), safe_mode=True)
                network.load_weights(content.weights)
            return _network(path, network, config, content.labels)
    except DamagedKerasError as error:
        raise ModelError(f"weights {quoted(path)}: a damaged Keras file: {error}", AGAIN) from error
    except KerasConfigError as error:
        raise ModelError(f"weights {quoted(path)}: a Keras file that is not accepted: {error}", OWN) from error
    except ModelError:
        raise
    except Exception as error:  # Keras and HDF5 raise many kinds for what is damaged or does not fit
        problem = f"a Keras file that cannot be used: {first_line(error)}"
        raise ModelError(f"weights {quoted(path)}: {problem}", AGAIN) from error


def _read(path: Path, folder: Path) -> _Content:
    if zipfile.is_zipfile(path):
        return _read_archive(path, folder)
    weights = folder / "network.h5"
    found = copy_plain(path, weights)
    if found.config is None:
        hint = "save the whole network: model.save('network.keras')"
        raise ModelError(f"weights {quoted(path)}: an HDF5 file without a network of Keras, or its weights alone", hint)
    return _Content(_json(found.config), found.labels, found.version, weights)


def _read_archive(path: Path, folder: Path) -> _Content:
    stored, weights = folder / "stored.h5", folder / "network.weights.h5"
    with zipfile.ZipFile(path) as archive:
        if sum(entry.file_size for entry in archive.infolist()) > UNFOLDS * path.stat().st_size:
            raise KerasConfigError("it unfolds to far more than it holds")
        config, data = (archive.read(name) for name in MEMBERS)
        found = _json(archive.read("metadata.json")) if "metadata.json" in archive.namelist() else {}
    stored.write_bytes(data)
    copy_plain(stored, weights)
    metadata = found if isinstance(found, dict) else {}
    return _Content(_json(config), metadata.get("class_names"), metadata.get("keras_version", "3"), weights)


def _json(text: str | bytes) -> object:
    if len(text) > MOST_JSON:
        raise KerasConfigError("its configuration is too long")
    try:
        content: object = json.loads(text)
    except RecursionError as error:
        raise KerasConfigError("its configuration is nested too deeply") from error
    return content


@lru_cache(maxsize=512)
def _arguments(module: str, kind: str) -> frozenset[str]:
    """Return the names of the arguments that a class of Keras takes; none where there is no such class."""
    found = getattr(import_module(module), kind, None)
    names: set[str] = set()
    for each in inspect.getmro(found) if inspect.isclass(found) else ():
        made = vars(each).get("__init__")
        parameters = () if made is None else inspect.signature(made).parameters.values()
        names |= {parameter.name for parameter in parameters if parameter.kind is not parameter.VAR_KEYWORD}
        if parameters and not any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters):
            break
    return frozenset(names - {"self"})


def _network(path: Path, network: Any, config: Config, names: object) -> Network:  # noqa: ANN401
    from gradcam_cli.models.sources.keras.graph import FromPicture
    from gradcam_cli.models.sources.keras.trial import require_same, white_of

    shape, channels_last = _input(network.input_shape)
    pictures, height, width, channels = shape
    module = FromPicture(network, config, channels_last=channels_last).eval().requires_grad_(False)
    require_same(module, network, shape)
    white = white_of(module, shape)
    preset = Preset(mean=(0.0,) * channels, std=(1.0,) * channels, channels=channels, scale=white or 1)
    assumed, notes = set() if white else {"scale"}, tuple[str, ...]()
    name = printable(path.name)
    if height is None or width is None:
        assumed.add("size")
    else:
        preset = replace(preset, resize=min(height, width), crop=min(height, width), size=(height, width))
        notes = (f"{name} takes pictures of {width}×{height}: a whole picture is stretched to that",)
    made = Network(
        module, name, _classes(network.output_shape), preset, None, Weights(printable(path), path), notes,
        frozenset(assumed), one_by_one=pictures == 1,
    )  # fmt: skip
    if isinstance(names, (list, dict)):
        made.labels = labels_in(names, made.sides)
    return made


def _input(shape: Any) -> tuple[tuple[int | None, int | None, int | None, int], bool]:  # noqa: ANN401
    """Return the input's shape (N, H, W, C), None where it is free, and whether the channels are its last dimension.

    Raises:
        KerasConfigError: it is no batch of pictures with one or three channels.
    """
    if isinstance(shape, dict) or (shape and isinstance(shape[0], (list, tuple))):
        raise KerasConfigError(f"it takes {len(shape)} inputs, not one picture")
    sides = [side is None or MIN_INPUT <= side <= MAX_INPUT for side in shape]
    if len(shape) == 4 and shape[3] in (1, 3) and all(sides[1:3]):
        return (shape[0], shape[1], shape[2], shape[3]), True
    if len(shape) == 4 and shape[1] in (1, 3) and all(sides[2:4]):
        return (shape[0], shape[2], shape[3], shape[1]), False
    shown = "×".join("any" if side is None else str(side) for side in shape)
    raise KerasConfigError(f"its input of {shown} is no batch of pictures with one or three channels")


def _classes(shape: Any) -> int:  # noqa: ANN401
    """Return the number of scores; 0 where the network has several outputs, which a trial run distinguishes."""
    single = isinstance(shape, (list, tuple)) and shape and not isinstance(shape[-1], (list, tuple))
    return int(shape[-1] or 0) if single else 0
