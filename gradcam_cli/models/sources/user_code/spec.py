"""Checks of a network from the user's own code before any of it runs, and without torch.

Such a network is named ``path/to/net.py:build`` or ``package.module:Class``.
"""

from __future__ import annotations

import ast
import contextlib
import difflib
import importlib.util
import sys
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from gradcam_cli.errors import UsageError
from gradcam_cli.files import explain_read_error, refusal
from gradcam_cli.text import quoted

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

EXAMPLE = "give FILE.py:FUNCTION or package.module:CLASS"


@dataclass(frozen=True)
class Code:
    """The location of the code that makes a network.

    Attributes:
        spec: the specification as given.
        file: the Python file, or None where a module is named.
        module: dotted name of the module; for a file its stem.
        name: name of the function or class in it; dotted for one within a class.
    """

    spec: str
    file: Path | None
    module: str
    name: str

    @property
    def directory(self) -> Path:
        """Directory searched first for its imports: that of the file, or the current directory for a module."""
        return Path.cwd() if self.file is None else self.file.resolve().parent


def is_code(spec: str) -> bool:
    """Return whether ``spec`` is meant to name code."""
    return ":" in spec or spec.endswith(".py")


def locate(spec: str) -> Code:
    """Split ``path/to/net.py:build`` or ``package.module:Class`` into its parts.

    Raises:
        UsageError: it is neither.
    """
    place, colon, name = spec.rpartition(":")
    if not colon and spec.endswith(".py"):
        callables = _callables(_parsed(Path(spec), spec))
        hint = f"add it: {' or '.join(f'{spec}:{each}' for each in callables[:3] or ['FUNCTION'])}"
        raise UsageError(f"model {quoted(spec)} does not say what in the file makes the network", hint)
    if not _is_dotted(name):
        raise UsageError(f"model {quoted(spec)} names no function or class", EXAMPLE)
    if place.endswith(".py"):
        return Code(spec, Path(place), Path(place).stem, name)
    if not _is_dotted(place):
        raise UsageError(f"model {quoted(spec)} names no Python file or module", EXAMPLE)
    return Code(spec, None, place, name)


def check_code(spec: str) -> str:
    """Return ``spec`` if all checks that do not run its code succeed.

    Raises:
        UsageError: it names no code, the file or module does not exist, cannot be parsed, or has no such name.
    """
    code = locate(spec)
    if code.file is None:
        _require_module(code)
        return spec
    tree = _parsed(code.file, spec)
    if not _may_have(tree, code.name.partition(".")[0]):
        raise missing(code, _callables(tree))
    return spec


def missing(code: Code, callables: Iterable[str]) -> UsageError:
    """Return the error for a name that the code does not have.

    Args:
        code: the code with the unknown name.
        callables: candidates for the intended name.
    """
    known = list(callables)
    close = difflib.get_close_matches(code.name, known, 3, 0.5) or known[:6]
    where = quoted(code.module if code.file is None else code.file)
    hint = f"did you mean {' or '.join(close)}?" if close else "define a function in it that returns the network"
    return UsageError(f"{where} has no function or class {quoted(code.name)}", hint)


def parse_argument(text: str) -> tuple[str, object]:
    """Read ``name=value``; a value that is not a Python literal is a string.

    Raises:
        UsageError: there is no name before an equals sign.
    """
    name, equals, value = text.partition("=")
    if not equals or not name.strip().isidentifier():
        raise UsageError(f"{quoted(text)} is no argument", "give NAME=VALUE, for example depth=18")
    try:
        with warnings.catch_warnings():  # about odd escapes, which are left to the user
            warnings.simplefilter("ignore")
            return name.strip(), ast.literal_eval(value.strip())
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return name.strip(), value


@contextlib.contextmanager
def first_on_path(directory: Path) -> Iterator[None]:
    """Search ``directory`` first for modules within the block."""
    importlib.invalidate_caches()
    sys.path.insert(0, str(directory))
    try:
        yield
    finally:
        with contextlib.suppress(ValueError):  # the code may have removed it itself
            sys.path.remove(str(directory))


def _is_dotted(name: str) -> bool:
    return all(part.isidentifier() for part in name.split("."))


def _require_module(code: Code) -> None:
    """Search for the topmost package, which imports nothing."""
    top = code.module.partition(".")[0]
    with first_on_path(code.directory):
        try:
            found = importlib.util.find_spec(top) is not None
        except (ImportError, ValueError):  # it was loaded in an unusual way
            found = top in sys.modules
    if not found:
        raise no_module(code, top)


def no_module(code: Code, name: str) -> UsageError:
    """Return the error for a module of the code's dotted name that does not exist."""
    hint = "it is looked for in the current directory, then among installed packages; for a file give FILE.py:FUNCTION"
    return UsageError(f"model {quoted(code.spec)}: there is no module {quoted(name)}", hint)


def _parsed(file: Path, spec: str) -> ast.Module:
    refused = refusal(file, "a Python file", EXAMPLE)
    if refused:
        raise UsageError(f"model {quoted(spec)}: {quoted(file)} {refused[0]}", refused[1])
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return ast.parse(file.read_bytes(), str(file))
    except OSError as error:
        what, hint = explain_read_error(error)
        raise UsageError(f"model {quoted(spec)}: {quoted(file)} {what}", hint) from error
    except SyntaxError as error:
        where = f"{file}, line {error.lineno}" if error.lineno else str(file)
        raise UsageError(f"model {quoted(spec)}: SyntaxError: {error.msg} ({where})", "correct the file") from error
    except (ValueError, MemoryError, RecursionError) as error:
        raise UsageError(f"model {quoted(spec)}: {quoted(file)} is not Python source", "correct the file") from error


def _callables(tree: ast.Module) -> list[str]:
    kinds = (ast.FunctionDef, ast.ClassDef)
    return [node.name for node in tree.body if isinstance(node, kinds) and not node.name.startswith("_")]


def _may_have(tree: ast.Module, name: str) -> bool:
    """Return whether the file binds ``name`` anywhere, or imports or makes names that are known only when it runs."""
    for node in ast.walk(tree):
        if isinstance(node, ast.alias) and (node.name == "*" or name == (node.asname or node.name).partition(".")[0]):
            return True
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)) and node.name in (
            name,
            "__getattr__",
        ):
            return True
        if isinstance(node, ast.Name) and (node.id in ("globals", "setattr") or node.id == name):
            return True
    return False


def code_file(spec: str) -> Path | None:
    """Return the Python file of a name like ``path/to/net.py:build``, or None for any other name."""
    place = spec.rpartition(":")[0]
    return Path(place) if place.endswith(".py") else None
