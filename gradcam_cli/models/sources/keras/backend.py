"""Keras on its PyTorch backend; imported here first, as it reads its backend from the environment."""

from __future__ import annotations

import os
import sys
import tempfile
from typing import TYPE_CHECKING, cast

from gradcam_cli.errors import ModelError

if TYPE_CHECKING:
    from types import ModuleType


def imported() -> ModuleType:
    """Return Keras.

    Raises:
        ModelError: this process has imported it already, with another backend.
    """
    if "keras" not in sys.modules:
        kept = {name: os.environ.get(name) for name in ("KERAS_BACKEND", "KERAS_HOME")}
        with tempfile.TemporaryDirectory() as home:  # where it writes a file of settings, and reads the user's
            os.environ.update(KERAS_BACKEND="torch", KERAS_HOME=home)
            try:
                import keras
            finally:
                for name, value in kept.items():
                    os.environ.pop(name) if value is None else os.environ.update({name: value})
    import keras

    if keras.backend.backend() != "torch":
        raise ModelError(
            f"Keras runs on {keras.backend.backend()} here, and Keras files are explained on PyTorch",
            "set KERAS_BACKEND=torch before Keras is imported",
        )
    return cast("ModuleType", keras)
