"""Networks from Keras files: ``.keras``, and ``.h5`` as Keras 2 wrote them; Keras takes seconds to import."""

from __future__ import annotations

import importlib.util
import zipfile
from typing import TYPE_CHECKING

from gradcam_cli.errors import ModelError
from gradcam_cli.text import quoted

if TYPE_CHECKING:
    from pathlib import Path

    from gradcam_cli.models.network import Network

INSTALL = "pip install 'gradcam[keras]'"
HDF5 = b"\x89HDF\r\n\x1a\n"
MEMBERS = ("config.json", "model.weights.h5")
"""Members of a ``.keras`` file that are read."""


def is_keras(path: Path) -> bool:
    """Whether a file is one of Keras, or another HDF5 file, by its content; False also for unreadable files."""
    if not path.is_file():
        return False
    try:
        with open(path, "rb") as file:
            if file.read(len(HDF5)) == HDF5:
                return True
        with zipfile.ZipFile(path) as archive:
            return set(MEMBERS) <= set(archive.namelist())
    except (OSError, ValueError, zipfile.BadZipFile, NotImplementedError):
        return False


def load_keras(path: Path) -> Network:
    """Return the network in a Keras file; nothing in it is executed.

    Raises:
        ModelError: Keras is not installed, or the file is damaged or has layers that are not built in.
    """
    if importlib.util.find_spec("keras") is None:
        raise ModelError(f"weights {quoted(path)}: a Keras file, and Keras is not installed", INSTALL)
    from gradcam_cli.models.sources.keras import files

    return files.load(path)
