"""Imports of libraries that would also import torch's compiler, without it.

``torch._dynamo`` takes a second and a half to import, as long as torch itself. torchvision's detection operators import
one function from it, which classifiers never call.
"""

from __future__ import annotations

import importlib
import sys
from types import ModuleType
from typing import Any

_COMPILER, _UTILITIES = "torch._dynamo", "torch._dynamo.utils"


def import_without_compiler(name: str) -> Any:  # noqa: ANN401 (torchvision has no types)
    """Import a module with a temporary stand-in for torch's compiler; the compiler itself stays usable.

    A module that needs more of it than the stand-in has is imported as usual.
    """
    if _COMPILER in sys.modules:
        return importlib.import_module(name)
    compiler, utilities = ModuleType(_COMPILER), ModuleType(_UTILITIES)
    compiler.__path__ = []  # a package
    utilities.is_compile_supported = _is_compile_supported  # type: ignore[attr-defined]
    sys.modules.update({_COMPILER: compiler, _UTILITIES: utilities})
    try:
        return importlib.import_module(name)
    except Exception:  # any error due to the stand-in; a real error is raised again below
        pass
    finally:
        for each in (_COMPILER, _UTILITIES):
            sys.modules.pop(each, None)
    return importlib.import_module(name)


def _is_compile_supported(device_type: str) -> bool:
    """Call the real compiler's function."""
    from torch._dynamo.utils import is_compile_supported

    supported: bool = is_compile_supported(device_type)
    return supported
