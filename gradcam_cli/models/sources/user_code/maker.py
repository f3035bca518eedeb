"""Networks from the user's own code: the one module that runs it, and only when it is requested by name."""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import inspect
import sys
import sysconfig
import traceback
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from torch.nn.parallel import DistributedDataParallel
from torch.optim.swa_utils import AveragedModel

from gradcam_cli.errors import GradcamError, ModelError, UsageError
from gradcam_cli.models.architecture import Architecture, Fitted, Recipe
from gradcam_cli.models.checkpoints.input_record import InputRecord, side_file_of
from gradcam_cli.models.input_channels import input_channels
from gradcam_cli.models.network import STATISTICS, Network, Weights
from gradcam_cli.models.preprocess import for_channels
from gradcam_cli.models.sources.user_code.spec import Code, code_file, first_on_path, locate, missing, no_module
from gradcam_cli.records import Preset
from gradcam_cli.text import printable, typed_line

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import ModuleType

HINT = "correct it; GRADCAM_DEBUG=1 shows the whole traceback"

_local_modules: dict[str, Path] = {}
"""Modules beside user code that has run → their directory: the next file may have others of the same names."""


def architecture(spec: str, **arguments: object) -> Architecture:
    """Describe the network that ``path/to/net.py:build`` or ``package.module:Class`` makes, which this runs.

    Args:
        spec: one that ``spec.check_code`` has accepted.
        **arguments: arguments for the function or class.

    Raises:
        UsageError: there is no such function or class, or it does not take the arguments.
        ModelError: the code raises an exception, or returns something that is not a network.
    """
    maker = _Maker(locate(spec), arguments)
    module = maker.make()
    usual = _count_classes(module, spec)
    recipe = Recipe("as its code made it", None, Preset(), None)

    def build(num_classes: int) -> nn.Module:
        return module if num_classes == usual else maker.make(num_classes)

    def ready(_: object) -> tuple[Fitted, None]:
        if any(tensor.is_meta for tensor in (*module.parameters(), *module.buffers())):
            raise ModelError(f"{spec} returns a network without values (on the meta device)", "add {weights} FILE")
        note = f"without a checkpoint the network is as {spec} returns it, trained or not"
        return Fitted(module, recipe, usual, (note,)), None

    code = code_file(spec)
    return Architecture(
        spec, usual, build, default=recipe, recipes=(recipe,), ready=ready, presumes=True, on_meta=False,
        record=InputRecord() if code is None else side_file_of(code),
    )  # fmt: skip


class _Maker:
    """Calls the function or class."""

    def __init__(self, code: Code, arguments: dict[str, object]) -> None:
        self._code = code
        self._arguments = arguments

    def make(self, num_classes: int | None = None) -> nn.Module:
        """Return the network, in evaluation mode and float32 on the CPU, no parameter requiring a gradient.

        Args:
            num_classes: requested number of classes, if the code takes that; None for the code's own.
        """
        with _at_home(self._code):
            target, arguments = self._target, dict(self._arguments)
            if num_classes is not None and _takes_classes(target):
                arguments["num_classes"] = num_classes
            if isinstance(target, nn.Module) and not arguments:
                made: object = target
            else:
                _require_fitting(self._code, target, arguments)
                made = target(**arguments)
            if not isinstance(made, nn.Module):
                what = f"returns a value of type {type(made).__name__}, not a torch.nn.Module"
                raise ModelError(f"{self._code.spec} {what}", "have it return the network itself")
            made = unwrapped(made)
            _require_observable(made, f"{self._code.spec} returns")
            if not any(parameter.is_meta for parameter in made.parameters()):
                made.to("cpu")
            return made.float().eval().requires_grad_(False)

    @cached_property
    def _target(self) -> Callable[..., object]:
        module: ModuleType = _imported(self._code)
        target: Any = module
        for part in self._code.name.split("."):
            if not hasattr(target, part):
                raise missing(self._code, _callables(module))
            target = getattr(target, part)
        if not callable(target):
            what = f"{self._code.spec} is a value of type {type(target).__name__}, not a function or class"
            raise UsageError(what, missing(self._code, _callables(module)).template)
        found: Callable[..., object] = target
        return found


def network_of(module: nn.Module) -> Network:
    """Return a module as a network, as it is: nothing is known of its pictures and its classes, nothing is changed.

    Raises:
        ModelError: its layers cannot be observed, or it has no values.
    """
    _require_observable(module, "the module is")
    if any(tensor.is_meta for tensor in (*module.parameters(), *module.buffers())):
        raise ModelError("the module has no values: it is on the meta device", "load a checkpoint into it first")
    preset = Preset()
    return Network(
        module, type(module).__name__, 0, for_channels(preset, input_channels(module) or preset.channels), None,
        Weights("as given", None), assumed=STATISTICS,
    )  # fmt: skip


def _require_observable(module: nn.Module, what: str) -> None:
    if isinstance(module, torch.jit.ScriptModule):
        raise ModelError(
            f"{what} a TorchScript network (torch.jit), whose layers cannot be observed",
            "use the network as it was before torch.jit.script or torch.jit.trace",
        )


def unwrapped(module: nn.Module) -> nn.Module:
    """Return the network within torch.compile, DataParallel and averages of weights, which only run it."""
    inner = getattr(module, "_orig_mod", None)
    if inner is None and isinstance(module, (nn.DataParallel, DistributedDataParallel, AveragedModel)):
        inner = module.module
    return unwrapped(inner) if isinstance(inner, nn.Module) else module


def _imported(code: Code) -> ModuleType:
    if code.file is None:
        try:
            return importlib.import_module(code.module)
        except ModuleNotFoundError as error:
            if error.name and f"{code.module}.".startswith(f"{error.name}."):  # not one that the module imports
                raise no_module(code, error.name) from error
            raise
    # A name that another module has, such as `types` or `torch`, stays with that module.
    name = f"gradcam_{code.module}" if code.module in sys.modules else code.module
    spec = importlib.util.spec_from_file_location(name, code.file.resolve())
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


def _callables(module: ModuleType) -> list[str]:
    """Return the names in a module that could make a network: its own definitions before its imports."""
    names = [name for name, value in vars(module).items() if callable(value) and not name.startswith("_")]
    return sorted(names, key=lambda name: getattr(vars(module)[name], "__module__", None) != module.__name__)


def _signature(target: Callable[..., object]) -> inspect.Signature | None:
    try:
        return inspect.signature(target)
    except (TypeError, ValueError):
        return None


def _takes_classes(target: Callable[..., object]) -> bool:
    signature = _signature(target)
    parameters = signature.parameters.values() if signature else ()
    return any(each.name == "num_classes" or each.kind is each.VAR_KEYWORD for each in parameters)


def _require_fitting(code: Code, target: Callable[..., object], arguments: dict[str, object]) -> None:
    """Compare the arguments with what the function or class declares, so that a wrong one gets our own message."""
    signature = _signature(target)
    if signature is None:
        return
    try:
        signature.bind(**arguments)
    except TypeError as error:
        takes = ", ".join(f"{each}" for each in signature.parameters.values())
        hint = f"it takes ({takes}); give them with {{model_arg}} NAME=VALUE" if takes else "it takes no {model_arg}"
        raise UsageError(f"{code.spec}: {error}", hint) from error


@contextlib.contextmanager
def _at_home(code: Code) -> Iterator[None]:
    """Run user code: its imports are found, its stdout goes to stderr, its errors are reported as its own."""
    home = code.directory
    for name in [name for name, place in _local_modules.items() if place != home]:
        del _local_modules[name]
        for each in [each for each in sys.modules if each.partition(".")[0] == name]:
            del sys.modules[each]
    before = set(sys.modules)
    try:
        with first_on_path(home), contextlib.redirect_stdout(sys.stderr):
            yield
    except GradcamError:
        raise
    except (Exception, SystemExit) as error:
        raise ModelError(f"{code.spec}: {_described(error, home)}", HINT) from error
    finally:
        tops = {name.partition(".")[0] for name in set(sys.modules) - before}
        _local_modules.update({name: home for name in tops if _lies_in(name, home)})


def _lies_in(name: str, home: Path) -> bool:
    """Whether a module, or a package, is directly in a directory."""
    module = sys.modules.get(name)
    file = getattr(module, "__file__", None)
    places = [Path(file)] if file and not hasattr(module, "__path__") else map(Path, getattr(module, "__path__", ()))
    return any(place.resolve().parent == home for place in places)


def _described(error: BaseException, home: Path) -> str:
    """Describe an exception in one line: type, message, and its place in the user's code."""
    if isinstance(error, SyntaxError):
        text, place = f"{type(error).__name__}: {error.msg}", (error.filename, error.lineno)
    else:
        text, place = typed_line(error), _place(error, home)
    if place[0] is None:
        return printable(text)
    file = Path(place[0])
    shown = file.relative_to(Path.cwd()) if file.is_relative_to(Path.cwd()) else file
    return printable(f"{text} ({shown}, line {place[1]})" if place[1] else f"{text} ({shown})")


def _place(error: BaseException, home: Path) -> tuple[str | None, int | None]:
    """Return the file and line of the last call in the user's own code, or of the last of all."""
    frames = [each for each in traceback.extract_tb(error.__traceback__) if each.filename != __file__]
    frames = [
        each for each in frames if not each.filename.startswith("<frozen") and each.filename != importlib.__file__
    ]
    libraries = [Path(place) for place in {sysconfig.get_path(kind) for kind in ("stdlib", "purelib", "platlib")}]

    def is_own(file: Path) -> bool:
        return file.is_relative_to(home) and not any(file.is_relative_to(place) for place in libraries)

    own = [each for each in frames if is_own(Path(each.filename).resolve())] or frames
    return (own[-1].filename, own[-1].lineno) if own else (None, None)


SIDE = Preset().crop


@torch.no_grad()
def _count_classes(module: nn.Module, spec: str) -> int:
    """Return the length of the score vector: from a run or, where the network takes other sizes, from its last layer.

    It is 0 where neither shows it.

    Raises:
        ModelError: the output is empty, as that of a network that was built without its last layer.
    """
    try:
        some = next(module.parameters(), torch.empty(0))
        scores = _scores(module(torch.zeros(1, 3, SIDE, SIDE, device=some.device)))
    except Exception:  # a network may raise anything at a size that is not its own
        scores = None
    if scores is not None and not scores.numel():
        hint = "have it return a classifier: with one class or more (num_classes), and its last layer"
        raise ModelError(f"{spec} returns a network without classes: its output is empty", hint)
    if scores is not None:
        return scores.shape[1] if scores.ndim == 2 else 1
    counts = [getattr(each, "out_features", None) or getattr(each, "out_channels", None) for each in module.modules()]
    return next((int(count) for count in reversed(counts) if isinstance(count, int)), 0)


def _scores(output: object) -> torch.Tensor | None:
    """Return the class scores in a network's output: a tensor, one in a container, or in ``.logits``."""
    if isinstance(output, torch.Tensor):
        return output if output.ndim in (1, 2) else None
    if isinstance(output, dict):
        return _scores(output.get("logits", next(iter(output.values()), None)))
    if isinstance(output, (tuple, list)):
        return _scores(output[0]) if output else None
    return _scores(getattr(output, "logits", None)) if output is not None else None
