"""Tests of the installed package: where Python has put the checkout first on the path, it comes last.

Processes that tests start import the installed package as well, whatever their directory (from Python 3.11 on). With
``GRADCAM_TEST_IN_PLACE`` in the environment the package beside the tests is taken.
"""

import os
import sys
from pathlib import Path

_ROOT = Path(__file__).resolve().parents[1]

if "GRADCAM_TEST_IN_PLACE" not in os.environ:
    sys.path.sort(key=lambda entry: Path(entry or ".").resolve() == _ROOT)
    os.environ["PYTHONSAFEPATH"] = "1"

import gradcam_cli  # noqa: E402, F401 (before pytest puts the checkout first again, for each folder of tests)


def module_environment() -> dict[str, str]:
    """Return the environment for ``python -m tests.…``, to be run in the checkout."""
    return {**os.environ, "PYTHONSAFEPATH": ""}
