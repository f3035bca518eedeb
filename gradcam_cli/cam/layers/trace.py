"""Tracing of a network in one run: the outputs of its layers, and convolutions followed by a normalisation.

Usually it runs on the meta device, where tensors have shapes and no values: some hundredths of a second for any
network, and the same rule for all of them.
"""

from __future__ import annotations

import sys
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from torch.func import functional_call

from gradcam_cli.cam.capture import logits_of, undisturbed
from gradcam_cli.cam.function_modes import TO_PROBABILITIES, Calls, is_relu
from gradcam_cli.cam.layers.layout import Layout, first_tensor, layout_of
from gradcam_cli.errors import ModelError
from gradcam_cli.text import first_line

if TYPE_CHECKING:
    from gradcam_cli.records import Size

_POOLS = (
    nn.MaxPool2d, nn.AvgPool2d, nn.LPPool2d, nn.FractionalMaxPool2d, nn.AdaptiveAvgPool2d, nn.AdaptiveMaxPool2d,
)  # fmt: skip
_QUICK_NETWORK = 150_000_000
"""Parameters up to which one forward pass takes less than a second or so."""


class CannotRunError(ModelError):
    """The network cannot be run on pictures of the size that was tried."""


@dataclass(frozen=True, slots=True)
class ModuleCall:
    """One call of a module during the traced run.

    Attributes:
        name: the module's dotted name.
        module: the module.
        output: the tensor it returned.
        layout: of the grid in the output, or None.
        pooled: whether the output comes directly from a pooling layer.
        rearranged: whether the module only reshapes or reorders its input.
    """

    name: str
    module: nn.Module
    output: torch.Tensor
    layout: Layout | None
    pooled: bool
    rearranged: bool


@dataclass(frozen=True, slots=True)
class Trace:
    """The result of a traced run.

    Attributes:
        input_size: (H, W) of the picture.
        channels: number of channels of the picture.
        calls: the calls of all modules, in the order of completion.
        classes: number of class scores.
        normalised: names of (convolution, batch norm) where the convolution's output goes only to the batch norm,
            each is called once, and nothing else reads the convolution's weight.
        rectifies: whether a ReLU ran, as a module or as a function.
        activation: the function that made the scores from logits, ``softmax`` or ``sigmoid``; None where they are
            logits.
    """

    input_size: Size
    channels: int
    calls: list[ModuleCall]
    classes: int
    normalised: list[tuple[str, str]]
    rectifies: bool
    activation: str | None


def trace_network(network: nn.Module, input_size: Size, channels: int = 3, tokens: Size | None = None) -> Trace:
    """Run the network once on a blank picture and record the calls of its modules.

    Args:
        network: maps (N, C, H, W) to class scores.
        input_size: (H, W) of the picture.
        channels: C.
        tokens: (h, w) of the grid of tokens; None finds it.

    Raises:
        CannotRunError: the network raises on a picture of that size.
        ModelError: its output contains no class scores.
    """
    try:
        return _trace(network, input_size, channels, tokens)
    except ModelError:
        raise
    except Exception as error:
        height, width = input_size
        raise CannotRunError(
            f"the network cannot be run on a {width}×{height} picture: {first_line(error)}",
            "choose {input_size} and {fit} to suit it",
        ) from error


@torch.no_grad()
def _trace(network: nn.Module, input_size: Size, channels: int, tokens: Size | None) -> Trace:
    """Run the network on the meta device, or for real where it cannot run there."""
    some = next(iter(network.parameters()), torch.empty(0))
    shape = (1, channels, *input_size)
    dtype = some.dtype if some.is_floating_point() else torch.float32

    def run(*, meta: bool) -> Trace:
        notes = _Notes(network, input_size, tokens)
        try:
            if meta:
                blank = torch.empty(shape, dtype=dtype, device="meta")
                nothing = _valueless(network)
                with notes.reads:
                    # With ties, a module in two places would be restored to its meta tensors instead of its own.
                    output = functional_call(network, nothing, (blank,), tie_weights=False)
            else:
                blank = torch.zeros(shape, dtype=dtype, device=some.device)
                with notes.reads:
                    output = network(blank)
        finally:
            notes.remove()
        scores, reads = logits_of(output, 1), notes.reads
        return Trace(
            input_size, channels, notes.calls, scores.shape[1], notes.normalised(), reads.rectifies,
            reads.activation_of(scores),
        )  # fmt: skip

    with undisturbed(network):
        if not _meta_pays(network):
            return run(meta=False)
        try:
            return run(meta=True)
        except ModelError:
            raise
        except Exception:  # a network may do anything, including reading values
            return run(meta=False)


def _valueless(network: nn.Module) -> dict[str, torch.Tensor]:
    """Return a meta tensor for every name of a parameter or buffer; names of the same tensor share one.

    A module that is registered twice counts once.
    """
    made: dict[int, torch.Tensor] = {}
    places: dict[str, torch.Tensor] = {}
    for prefix, module in network.named_modules():
        for name, tensor in (
            *module.named_parameters(prefix, recurse=False, remove_duplicate=False),
            *module.named_buffers(prefix, recurse=False, remove_duplicate=False),
        ):
            places[name] = made.setdefault(id(tensor), tensor.detach().to("meta"))
    return places


def _meta_pays(network: nn.Module) -> bool:
    """Return whether tracing is faster on the meta device: its kernels import torch's compiler, 1.5 s of start-up.

    Where nothing has imported that already, a real run is faster for all but the largest networks.
    """
    size = sum(parameter.numel() for parameter in network.parameters())
    return "torch._dynamo" in sys.modules or size > _QUICK_NETWORK


_METADATA = (bool, int, str, type(None), torch.Size, torch.dtype, torch.device, torch.layout)


class _Reads(Calls):
    """Counts, by a tensor's id, the functions that read its values; reads of the tensor ``reader`` do not count.

    Also records whether one of the functions is a ReLU, and the last probabilities.
    """

    def __init__(self) -> None:
        super().__init__()
        self.count: Counter[int] = Counter()
        self.reader: int | None = None
        self.rectifies = False
        self.probabilities: tuple[torch.Tensor, str] | None = None
        """The result of the last softmax or sigmoid, and which it is."""
        self.resting = False
        """Whether counting is paused, while hooks look at tensors."""

    def noted(self, function: object, args: tuple[Any, ...], kwargs: dict[str, Any], result: object) -> None:
        """Count the tensors that a call has read."""
        self.rectifies = self.rectifies or is_relu(function, args, kwargs)
        if function in TO_PROBABILITIES and isinstance(result, torch.Tensor):
            self.probabilities = result, TO_PROBABILITIES[function]
        if not self.resting and not isinstance(result, _METADATA):
            for argument in (*args, *kwargs.values()):
                for each in argument if isinstance(argument, (list, tuple)) else (argument,):
                    if isinstance(each, torch.Tensor) and id(each) != self.reader:
                        self.count[id(each)] += 1

    def activation_of(self, scores: torch.Tensor) -> str | None:
        """Return the function that has made the scores, or what they are a part or a view of; None for logits."""
        if self.probabilities is None:
            return None
        result, name = self.probabilities
        return name if _base_of(scores) is _base_of(result) else None


class _Notes:
    """Hooks that record, in order of completion, every module's output."""

    def __init__(self, network: nn.Module, input_size: Size, tokens: Size | None) -> None:
        self.calls: list[ModuleCall] = []
        self.reads = _Reads()
        self._input_size, self._tokens = input_size, tokens
        self._pooled: set[int] = set()
        self._made: dict[int, str] = {}  # a convolution's output → its name; the calls keep the outputs alive
        self._weight: dict[str, int] = {}  # convolution → its weight
        self._norms: list[tuple[int, str]] = []  # a convolution's output, the batch norm that reads it
        self._handles = []
        for name, module in network.named_modules():
            if name:
                before, after = self._hooks_for(name, module)
                self._handles += [module.register_forward_pre_hook(before), module.register_forward_hook(after)]

    def _hooks_for(self, name: str, module: nn.Module) -> tuple[Any, Any]:
        leaf = not any(True for _ in module.children())
        plain = leaf and not any(True for _ in module.parameters(recurse=False))
        versions: list[int] = []

        def before(_: nn.Module, args: tuple[Any, ...]) -> None:
            self.reads.resting = True
            given = first_tensor(args, (2, 3, 4))
            versions.append(-1 if given is None else given._version)
            if type(module) is nn.BatchNorm2d and id(given) in self._made:
                self.reads.reader = id(given)
                self._norms.append((id(given), name))
            if type(module) is nn.Conv2d:
                self._weight[name] = id(module.weight)
            self.reads.resting = False

        def after(_: nn.Module, args: tuple[Any, ...], output: Any) -> None:  # noqa: ANN401
            self.reads.resting, self.reads.reader = True, None
            note(args, output, versions.pop())
            self.reads.resting = False

        def note(args: tuple[Any, ...], output: Any, version: int) -> None:  # noqa: ANN401
            tensor = first_tensor(output, (2, 3, 4))
            if tensor is None:
                return
            if type(module) is nn.Conv2d:
                self._made[id(tensor)] = name
                self.reads.count[id(tensor)] = 0  # an earlier tensor at this address may have been counted
            if isinstance(module, _POOLS):
                self._pooled.add(id(tensor))
            given = first_tensor(args, (2, 3, 4))
            same = given is not None and (tensor is given or _is_view_of(tensor, given))
            rearranged = plain and same and tensor._version == version  # an in-place activation increments the version
            # The batch has one picture: a larger batch dimension is one of windows or patches.
            layout = layout_of(tensor.shape, self._input_size, self._tokens) if tensor.shape[0] == 1 else None
            self.calls.append(ModuleCall(name, module, tensor, layout, id(tensor) in self._pooled, rearranged))

        return before, after

    def remove(self) -> None:
        for handle in self._handles:
            handle.remove()

    def normalised(self) -> list[tuple[str, str]]:
        times, read = Counter(call.name for call in self.calls), self.reads.count
        return [
            (name, norm)
            for tensor, norm in self._norms
            if times[name := self._made[tensor]] == times[norm] == read[self._weight[name]] == 1 and not read[tensor]
        ]


def _is_view_of(tensor: torch.Tensor, given: torch.Tensor) -> bool:
    """Return whether ``tensor`` has the values of ``given`` in another shape or order."""
    return tensor._base is _base_of(given) and tensor.numel() == given.numel()


def _base_of(tensor: torch.Tensor) -> torch.Tensor:
    return tensor._base if tensor._base is not None else tensor
