"""One trial run of a network with observers: its modules' outputs, and the functions that read and make tensors."""

from __future__ import annotations

import contextlib
import warnings
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from gradcam_cli.cam.execution.replica import restored
from gradcam_cli.cam.function_modes import FINAL_ACTIVATIONS, Calls, is_relu, recording
from gradcam_cli.cam.outputs.nested import first_tensor, with_replaced
from gradcam_cli.cam.outputs.reading import ActivationCall

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_POOLS = "pool2d"
"""Part of the names of functions that pool."""

_LEARNED = {
    "linear", "conv1d", "conv2d", "conv3d", "convolution", "matmul", "__matmul__", "__rmatmul__", "mm", "bmm", "addmm",
    "baddbmm", "einsum", "multi_head_attention_forward", "bilinear",
}  # fmt: skip
_NORMALISING = {"layer_norm", "batch_norm", "group_norm", "instance_norm", "rms_norm", "normalize"}
"""Names of functions, and of operations of an exported network."""


@dataclass(frozen=True, slots=True)
class Noted:
    """One call of a module.

    Attributes:
        name: the module's dotted name.
        number: which call of this module it is, from 1.
        module: the module.
        given: the first such tensor that it was given, or None.
        output: the first tensor of two to four dimensions that it returned.
        pooled: whether the output comes directly from a pooling layer.
        rearranged: whether the module only reshapes or reorders its input.
        depends: whether the output depends on the picture.
    """

    name: str
    number: int
    module: nn.Module
    given: torch.Tensor | None
    output: torch.Tensor
    pooled: bool
    rearranged: bool
    depends: bool


class Trial:
    """One run. It may fail on the way; what was seen until then is kept.

    Args:
        network: within ``undisturbed``.
        batch: (N, C, H, W).
        depends: whether to find out which outputs depend on the picture, by a graph without the values for gradients.
        run: runs the network on the batch.
        leaves: position of the first call whose output becomes a leaf of a graph with values, for ``leaf``; None keeps
            no such graph.

    Attributes:
        depends: whether it was to be found out which outputs depend on the picture.
        leaves: position of the first leaf, or None.
        calls: the calls of all modules, in the order of completion.
        output: what the network has returned.
        error: what it has raised, or None.
        reads: the functions that were called.
    """

    def __init__(
        self,
        network: nn.Module,
        batch: torch.Tensor,
        *,
        depends: bool = False,
        run: Callable[[nn.Module, torch.Tensor], Any] = nn.Module.__call__,
        leaves: int | None = None,
    ) -> None:
        self.batch = batch
        self.calls: list[Noted] = []
        self.reads = Reads()
        self.output: Any = None
        self.error: Exception | None = None
        self.depends, self.leaves = depends, leaves
        self._leaf: dict[int, torch.Tensor] = {}
        self._times: Counter[str] = Counter()
        self._pooled: set[int] = set()
        self._made: dict[int, str] = {}  # a convolution's output → its name; the calls keep the outputs alive
        self._weight: dict[str, int] = {}  # convolution → its weight
        self._norms: list[tuple[int, str]] = []  # a convolution's output, the batch norm that reads it
        handles = []
        for name, module in network.named_modules():
            if name:
                before, after = self._hooks_for(name, module)
                handles += [module.register_forward_pre_hook(before), module.register_forward_hook(after)]
        try:
            with restored(network):  # the next run may be of another size
                self._run(network, run)
        except Exception as error:  # a network may raise anything
            self.error = error
        finally:
            for handle in handles:
                handle.remove()

    def _run(self, network: nn.Module, run: Callable[[nn.Module, torch.Tensor], Any]) -> None:
        with contextlib.ExitStack() as stack:
            stack.enter_context(warnings.catch_warnings())
            warnings.simplefilter("ignore")  # of what the network does with a graph; the run for a picture warns again
            if self.depends or self.leaves is not None:
                stack.enter_context(recording())
            else:
                stack.enter_context(torch.no_grad())
            batch = self.batch
            if self.depends:
                # Nothing is kept for a backward pass, which would cost as much memory as training.
                stack.enter_context(torch.autograd.graph.saved_tensors_hooks(_nothing, _nothing))
                batch = batch.detach().requires_grad_(True).clone()  # which the network may change in place
            if self.leaves is None:  # a run for gradients only repeats what another has shown
                stack.enter_context(self.reads)
            self.output = run(network, batch)

    def leaf(self, position: int) -> torch.Tensor | None:
        """Return the output of a call as a place of the graph with values, or None where it has none."""
        return self._leaf.get(position)

    def _hooks_for(self, name: str, module: nn.Module) -> tuple[Any, Any]:
        leaf = not any(True for _ in module.children())
        plain = leaf and not any(True for _ in module.parameters(recurse=False))
        versions: list[int] = []
        pools: list[int] = []

        def before(_: nn.Module, args: tuple[Any, ...]) -> None:
            with self.reads.resting():
                given = first_tensor(args, (2, 3, 4))
                versions.append(-1 if given is None else _version(given))
                pools.append(self.reads.pools)
                if type(module) is nn.BatchNorm2d and id(given) in self._made:
                    self.reads.reader = id(given)
                    self._norms.append((id(given), name))
                if type(module) is nn.Conv2d:
                    self._weight[name] = id(module.weight)

        def after(_: nn.Module, args: tuple[Any, ...], output: Any) -> Any:  # noqa: ANN401
            with self.reads.resting():
                self.reads.reader = None
                return note(args, output, versions.pop(), self.reads.pools - pools.pop())

        def note(args: tuple[Any, ...], output: Any, version: int, pooled: int) -> Any:  # noqa: ANN401
            tensor = first_tensor(output, (2, 3, 4))
            if tensor is None:
                return None
            if type(module) is nn.Conv2d:
                self._made[id(tensor)] = name
                self.reads.count[id(tensor)] = 0  # an earlier tensor at this address may have been counted
            if plain and pooled:
                self._pooled.add(id(tensor))
            given = first_tensor(args, (2, 3, 4))
            same = given is not None and (tensor is given or _is_view_of(tensor, given))
            rearranged = plain and same and _version(tensor) == version  # an in-place activation increments the version
            self._times[name] += 1
            self.calls.append(
                Noted(
                    name, self._times[name], module, given, tensor, id(tensor) in self._pooled, rearranged,
                    tensor.requires_grad or not self.depends,
                )
            )  # fmt: skip
            return self._with_leaf(output, tensor)

        return before, after

    def _with_leaf(self, output: Any, tensor: torch.Tensor) -> Any:  # noqa: ANN401
        position = len(self.calls) - 1
        if self.leaves is None or position < self.leaves or tensor.ndim < 3:
            return None
        with recording():
            # A tensor of its own, since others may read the layer's, as a pooler does beside a backbone's output.
            leaf = tensor.view_as(tensor) if tensor.requires_grad else tensor.detach().clone().requires_grad_(True)
            self._leaf[position] = leaf
            return with_replaced(output, tensor, leaf.clone())

    def normalised(self) -> list[tuple[str, str]]:
        """Return names of (convolution, batch norm) where the convolution's output goes only to the batch norm.

        Each is called once, and nothing else reads the convolution's weight.
        """
        times, read = Counter(call.name for call in self.calls), self.reads.count
        return [
            (name, norm)
            for tensor, norm in self._norms
            if times[name := self._made[tensor]] == times[norm] == read[self._weight[name]] == 1 and not read[tensor]
        ]


def _nothing(tensor: torch.Tensor) -> torch.Tensor:
    return torch.empty(0, device=tensor.device)


_METADATA = (bool, int, str, type(None), torch.Size, torch.dtype, torch.device, torch.layout)


class Reads(Calls):
    """Counts, by a tensor's id, the functions that read its values; reads of the tensor ``reader`` do not count.

    Attributes:
        rectifies: whether a ReLU ran, as a module or as a function.
        activations: the calls of ``FINAL_ACTIVATIONS``, in order.
        hooks: whether a gradient hook was registered on a tensor.
        pools: number of poolings.
        ends_normalised: whether a normalisation ran after the last function that weighs features.
    """

    def __init__(self) -> None:
        super().__init__()
        self.count: Counter[int] = Counter()
        self.reader: int | None = None
        self.rectifies = False
        self.activations: list[ActivationCall] = []
        self.hooks = False
        self.pools = 0
        self.ends_normalised = False
        self._resting = False

    @contextlib.contextmanager
    def resting(self) -> Iterator[None]:
        """Note nothing, while hooks look at tensors."""
        self._resting = True
        try:
            yield
        finally:
            self._resting = False

    def noted(self, function: Any, args: tuple[Any, ...], kwargs: dict[str, Any], result: object) -> None:  # noqa: ANN401
        """Note a call, and count the tensors that it has read."""
        if self._resting:
            return
        self.rectifies = self.rectifies or is_relu(function, args, kwargs)
        self.hooks = self.hooks or function in (torch.Tensor.register_hook, torch.Tensor.retain_grad)
        if function in FINAL_ACTIVATIONS and isinstance(result, torch.Tensor):
            given, dim = args[0] if args else kwargs["input"], args[1] if len(args) > 1 else kwargs.get("dim")
            self.activations.append(ActivationCall(FINAL_ACTIVATIONS[function], given, result, dim))
        name = getattr(function, "__name__", "").partition(".")[0]
        self.pools += _POOLS in name
        if name in _LEARNED or name in _NORMALISING:
            self.ends_normalised = name in _NORMALISING
        if not isinstance(result, _METADATA):
            for argument in (*args, *kwargs.values()):
                for each in argument if isinstance(argument, (list, tuple)) else (argument,):
                    if isinstance(each, torch.Tensor) and id(each) != self.reader:
                        self.count[id(each)] += 1


_WITHOUT_WEIGHTS = (nn.Dropout, nn.Identity, nn.ModuleDict, nn.ModuleList, nn.ParameterDict, nn.ParameterList)


def is_linear_map(module: nn.Module) -> bool:
    """Return whether a module is a linear layer, or one with what adapts it, as LoRA does."""
    leaves = [each for each in module.modules() if not any(True for _ in each.children())]
    linear = [isinstance(each, nn.Linear) for each in leaves]
    return any(linear) and all(
        known or isinstance(each, _WITHOUT_WEIGHTS) for known, each in zip(linear, leaves, strict=True)
    )


def _version(tensor: torch.Tensor) -> int:
    """Return how often a tensor was changed in place; tensors of ``inference_mode`` do not count that."""
    return 0 if tensor.is_inference() else tensor._version


def _is_view_of(tensor: torch.Tensor, given: torch.Tensor) -> bool:
    """Return whether ``tensor`` has the values of ``given`` in another shape or order."""
    base = given._base if given._base is not None else given
    return tensor._base is base and tensor.numel() == given.numel()
