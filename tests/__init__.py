"""Tests of the installed package: where Python has put the checkout first on the path, it comes last.

Processes that tests start import the installed package as well, whatever their directory (from Python 3.11 on).
"""

import os
import sys
from pathlib import Path

_ROOT = Path(__file__).resolve().parents[1]
sys.path.sort(key=lambda entry: Path(entry or ".").resolve() == _ROOT)
os.environ["PYTHONSAFEPATH"] = "1"


def module_environment() -> dict[str, str]:
    """Return the environment for ``python -m tests.…``, to be run in the checkout."""
    return {**os.environ, "PYTHONSAFEPATH": ""}
