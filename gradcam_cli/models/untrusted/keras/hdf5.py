"""Copies of HDF5 files that hold nothing but numbers and names.

An HDF5 file can take its content from other files (external links and storage, virtual datasets), and can claim much
more than it holds. Such files are refused; of all others, groups, arrays of numbers and short attributes are copied.

The library that reads HDF5 goes round in circles on some damaged files, and crashes on others. So it reads them in a
process of its own, which may take its time and no more.
"""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from gradcam_cli.models.untrusted.keras.values import DamagedKerasError, KerasConfigError
from gradcam_cli.text import first_line, printable

_MOST_ENTRIES = 200_000
_DEEPEST = 60
UNFOLDS = 8
"""How many times larger than the file its arrays may be: weights can hardly be compressed."""
_SECONDS, _BYTES_A_SECOND = 20, 20 << 20
"""Time for a file of a few bytes, and how much more of a file is read in a second at least."""


@dataclass(frozen=True)
class Described:
    """What an HDF5 file has besides its arrays.

    Attributes:
        config: of the network, as JSON; None in a file of weights alone.
        labels: names of the classes, or None.
        version: of the Keras that has written it, or None.
    """

    config: str | None
    labels: list[str] | None
    version: str | None


def copy_plain(source: Path, target: Path) -> Described:
    """Write the arrays and names of an HDF5 file to another.

    Raises:
        DamagedKerasError: it cannot be read.
        KerasConfigError: it refers to other files, has other things than numbers, or unfolds to far more than it holds.
    """
    command = "import sys; sys.path[:] = sys.argv[3:]; from gradcam_cli.models.untrusted.keras.hdf5 import main; main()"
    limit = _SECONDS + source.stat().st_size / _BYTES_A_SECOND
    try:
        done = subprocess.run(
            [sys.executable, "-c", command, str(source), str(target), *sys.path],
            stdin=subprocess.DEVNULL, capture_output=True, timeout=limit, check=True,
        )  # fmt: skip
    except (subprocess.TimeoutExpired, subprocess.CalledProcessError) as error:
        raise DamagedKerasError("the library for HDF5 cannot read it") from error
    found = json.loads(done.stdout)
    if "damaged" in found:
        raise DamagedKerasError(found["damaged"])
    if "refused" in found:
        raise KerasConfigError(found["refused"])
    return Described(**found)


def main() -> None:
    """Copy a file, as the arguments name it, and print what it has besides, or why it is refused, as JSON."""
    source, target = map(Path, sys.argv[1:3])
    try:
        with h5py.File(source, "r") as file, h5py.File(target, "w") as written:
            _Copy(UNFOLDS * source.stat().st_size + (1 << 20)).group(file, written, 0)
            said = {
                key: _texts(file.attrs[name]) if name in file.attrs else None
                for key, name in (("config", "model_config"), ("labels", "class_names"), ("version", "keras_version"))
            }
            found: dict[str, Any] = {
                key: text if text is None or key == "labels" else "".join(text) for key, text in said.items()
            }
    except KerasConfigError as error:
        found = {"refused": str(error)}
    except Exception as error:  # the library raises many kinds for damaged files
        found = {"damaged": first_line(error)}
    print(json.dumps(found))


class _Copy:
    """Copies groups, as far as there is budget.

    Args:
        budget: bytes that the arrays may have.
    """

    def __init__(self, budget: int) -> None:
        self._budget = budget
        self._entries = _MOST_ENTRIES

    def group(self, source: h5py.Group, target: h5py.Group, depth: int) -> None:
        _attributes(source, target)
        for name in source:
            self._entries -= 1
            if not isinstance(source.get(name, getlink=True), h5py.HardLink):
                raise KerasConfigError(f"'{printable(name)}' in it is a link to another place")
            if self._entries < 0 or depth > _DEEPEST:
                raise KerasConfigError("it has too many groups, or groups within groups")
            entry = source[name]
            if isinstance(entry, h5py.Group):
                self.group(entry, target.create_group(name), depth + 1)
            elif isinstance(entry, h5py.Dataset):
                target.create_dataset(name, data=self._array(name, entry))
            else:
                raise KerasConfigError(f"'{printable(name)}' in it is no array")

    def _array(self, name: str, entry: h5py.Dataset) -> Any:  # noqa: ANN401
        if entry.is_virtual or entry.external:
            raise KerasConfigError(f"'{printable(name)}' in it is a link to another file")
        if entry.dtype.kind not in "fiub":
            raise KerasConfigError(f"'{printable(name)}' in it holds no numbers")
        self._budget -= entry.nbytes
        if self._budget < 0:
            raise KerasConfigError("it unfolds to far more than it holds")
        return entry[()]


def _attributes(source: h5py.Group, target: h5py.Group) -> None:
    """Copy the names that Keras looks weights up by."""
    for name in source.attrs:
        if name.startswith(("layer_names", "weight_names")) or name in ("keras_version", "backend", "name"):
            given = source.attrs[name]
            names = _texts(given)
            target.attrs[name] = np.array(names, dtype=h5py.string_dtype()) if np.ndim(given) else names[0]


def _texts(value: Any) -> list[str]:  # noqa: ANN401
    """Return an attribute's texts.

    Raises:
        KerasConfigError: it is anything else.
    """
    each = np.asarray(value).ravel().tolist()
    if not all(isinstance(text, (str, bytes)) for text in each):
        raise KerasConfigError("it has names that are no text")
    return [text.decode("utf-8", "replace") if isinstance(text, bytes) else text for text in each]
