"""The engine: batches of tensors in, class activation maps out."""

from __future__ import annotations

import contextlib
import copy
from dataclasses import dataclass, replace
from itertools import product
from typing import TYPE_CHECKING

import torch

from gradcam_cli.cam.capture import Captured, capture, undisturbed
from gradcam_cli.cam.context import BatchContext, Budget
from gradcam_cli.cam.execution.batch_invariant import make_batch_invariant
from gradcam_cli.cam.execution.partial_forward import record_outputs
from gradcam_cli.cam.execution.replica import Replicas, fold, lay_out, replica
from gradcam_cli.cam.function_modes import recording
from gradcam_cli.cam.fuse import fuse
from gradcam_cli.cam.layers.select import TargetLayer, blocks, every_layer, find_layer, layer_named
from gradcam_cli.cam.layers.trace import trace_network
from gradcam_cli.cam.maps import ClassMap, Raw, raw_maps
from gradcam_cli.cam.methods.registry import method_named, methods_of
from gradcam_cli.cam.targets import Target, targets_for, targets_of
from gradcam_cli.errors import ModelError, UsageError
from gradcam_cli.records import FUSIONS
from gradcam_cli.text import counted

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from torch import nn

    from gradcam_cli.cam.augmentation import Augmentation
    from gradcam_cli.cam.capture import Place
    from gradcam_cli.cam.layers.trace import Trace
    from gradcam_cli.cam.methods.method import Method
    from gradcam_cli.cam.methods.registry import MethodLike
    from gradcam_cli.cam.targets import Logits, Targets
    from gradcam_cli.records import Activation, Fusion


MAX_CONCURRENT = 4
"""Most threads that explain at once: each keeps a batch's activations in memory."""

MAX_AT_ONCE = 8
"""Most pictures in one forward pass on a CPU: with more, caches lose activations before the next layer reads them."""


@dataclass(frozen=True, slots=True, repr=False)
class Attribution:
    """One picture's logits, float64 (K,), and its maps: for each layer, for each class, for each method.

    Fused maps stand for all layers: then for each class, for each method.
    """

    logits: Logits
    maps: list[ClassMap]

    def __repr__(self) -> str:
        return f"<Attribution: {counted(len(self.logits), 'score')}, {counted(len(self.maps), 'map')}>"


def _replica_or_none(network: nn.Module) -> nn.Module | None:
    try:
        return replica(network)
    except Exception:  # a network may contain objects that cannot be copied; then the original runs
        return None


class Explainer:
    """Explains a classifier's scores, a batch at a time.

    Every batch costs one forward pass and, for each requested class, one backward pass from the score to the target
    layers, however many methods there are. The network is left unchanged: its hooks, train/eval flags and parameters'
    ``.grad`` and ``requires_grad``.
    Threads may explain with one network at once; without ``optimize`` their forward passes take turns.

    Args:
        network: any module that maps (N, C, H, W) to class scores: a tensor, tuple, dict or object with ``.logits``.
        layer: dotted name, a module of the network, ``auto`` for the last layer with a grid, ``all`` for every layer
            with one, ``blocks`` for the network's blocks, or several of them.
        method: name of a method, optionally with parameters (``smoothgrad:n=32``), a function of a `LayerContext`
            that returns maps (N, h, w), or several of either.
        fusion: how the layers' maps are combined, ``mean``, ``max`` or ``product``; None keeps a map per layer.
        input_size: (H, W) of the input on which the network is traced, for ``auto`` and for ``optimize``.
        channels: C.
        tokens: (h, w) of the grid of a transformer's last tokens; None finds it by the input's aspect.
        activation: function that turns logits into probabilities, for methods that use these: ``softmax``, ``sigmoid``
            or ``auto``, which is sigmoid for one logit.
        optimize: whether copies run instead of the network, with batch norms folded into the convolutions in front of
            them: faster, the same maps up to rounding. The network's weights must not change meanwhile.
        budget: time limit and progress callback of methods that run the network many times.
        augmentation: makes versions of the pictures; the versions' maps for the pictures' classes are averaged. None
            explains the pictures alone.
        eigen_smooth: whether the first principal component of the feature maps' contributions replaces their sum.
        output: name or position of the network's output that has the class scores; None finds it.
        fits: whether the class labels are for that number of scores, to choose among several outputs.

    Attributes:
        layers: the target layers.
        readout: the way to the network's logits.
        classes: number of class scores.
        notes: for the user, about the scores and the layers.

    Raises:
        CannotRunError: the network does not run on ``input_size``.
        ModelError: there is no such layer, ``auto`` finds none, or a method does not suit the network.
        UsageError: there is no such method, parameter or fusion.

    >>> import torch, torchvision
    >>> explainer = Explainer(torchvision.models.resnet18().eval())
    >>> explainer(torch.zeros(2, 3, 224, 224), [3, 5])[0].maps[0].values.shape
    (7, 7)
    """

    def __init__(
        self,
        network: nn.Module,
        layer: str | nn.Module | Sequence[str | nn.Module] = "auto",
        *,
        method: MethodLike | Sequence[MethodLike] = "gradcam",
        fusion: Fusion | None = None,
        input_size: tuple[int, int] = (224, 224),
        channels: int = 3,
        tokens: tuple[int, int] | None = None,
        activation: Activation = "auto",
        optimize: bool = False,
        budget: Budget | None = None,
        augmentation: Augmentation | None = None,
        eigen_smooth: bool = False,
        output: str | None = None,
        fits: Callable[[int], bool] = lambda classes: False,
    ) -> None:
        wanted = [layer] if isinstance(layer, (str, torch.nn.Module)) else list(layer)
        self.network = network
        if fusion is not None and fusion not in FUSIONS:
            raise UsageError(f"there is no fusion {fusion!r}", f"choose one of {', '.join(FUSIONS)}")
        self.fusion = fusion
        self.activation: Activation = activation
        self.budget = budget or Budget()
        self.augmentation = augmentation
        self.eigen_smooth = eigen_smooth
        self.methods = methods_of(method)
        template = _replica_or_none(network) if optimize else None
        trace = trace_network(
            network, input_size, channels, tokens, output=output, fits=fits, plain=activation == "none",
            gradients="auto" in wanted,
        )  # fmt: skip
        template = template if trace.copied else None
        self.readout = trace.readout
        if activation == "auto" and trace.readout.probabilities is not None:
            self.activation = trace.readout.probabilities
        self.classes = trace.classes
        self.layers: list[TargetLayer] = []
        for each in wanted:
            self.layers += self._resolve(each, trace)
        self.notes = [*trace.notes, *(layer.note for layer in self.layers if layer.note)]
        if trace.stopped and any(each.gradient for each in self.methods):
            raise ModelError(trace.stopped, "choose a {method} that needs none: eigencam, or scorecam")
        for target in self.layers:
            for each_method in self.methods:
                each_method.check(trace, target.name)
        self._replicas, self._optimized_for_cpu = None, False
        if template is not None:
            fold(template, trace.normalised, keep=[target.path for target in self.layers])
            lay_out(template)
            make_batch_invariant(template)
            self._replicas = Replicas(template)
            self._optimized_for_cpu = all(parameter.device.type == "cpu" for parameter in template.parameters())

    def _resolve(self, layer: str | nn.Module, trace: Trace) -> list[TargetLayer]:
        if layer == "all":
            found = every_layer(trace)
        elif layer == "blocks":
            found = blocks(trace)
        elif layer == "auto":
            found = [find_layer(trace)]
        elif isinstance(layer, str):
            found = [layer_named(self.network, layer, trace)]
        else:
            name = next((name for name, module in self.network.named_modules() if module is layer), None)
            if name is None:
                raise ModelError(
                    "the target layer is not a module of this network",
                    "give a module of the network or its dotted name",
                )
            found = [layer_named(self.network, name, trace)]
        return [replace(each, module=self.network.get_submodule(each.path)) for each in found]

    @property
    def concurrency(self) -> int:
        """Best number of threads to explain at once: several with few cores are faster than one with all."""
        return min(MAX_CONCURRENT, torch.get_num_threads()) if self._optimized_for_cpu else 1

    @property
    def takes_many_passes(self) -> bool:
        """Whether a method runs the network, or a part of it, for each feature map."""
        return any(each.slow or each.reruns for each in self.methods)

    def only(self, layer: int | None, method: str) -> Explainer:
        """Return an explainer that shares the network and its copies, for one layer, or fused ones, and one method.

        Args:
            layer: position among ``layers``; None keeps them all.
            method: its name; its needs were checked if it is one of ``methods``.
        """
        single = copy.copy(self)
        single.methods = [next((each for each in self.methods if each.name == method), None) or method_named(method)]
        if layer is not None:
            single.layers, single.fusion = [self.layers[layer]], None
        return single

    @contextlib.contextmanager
    def running(self) -> Iterator[tuple[nn.Module, list[Place]]]:
        """Yield the network to run, or a copy, and its target layers, for use by one thread."""
        if self._replicas is None:
            with undisturbed(self.network):
                yield self.network, [layer.place(self.network) for layer in self.layers]
        else:
            with self._replicas.borrow() as copied:
                yield copied, [layer.place(copied) for layer in self.layers]

    @recording()
    def __call__(self, batch: torch.Tensor, targets: Targets = None) -> list[Attribution]:
        """Explain a batch.

        Args:
            batch: normalised pictures (N, C, H, W); converted to the network's dtype and device.
            targets: one class for all, one class per picture, a function from a picture's logits to its classes, or
                None for each picture's top class. A network with one logit has the classes 0 and 1. Instead of a class
                index, a ``Target`` may compare a class with another or negate it.

        Returns:
            One entry a picture, in the batch's order.

        Raises:
            ModelError: a target layer has no grid, or the network returns no class scores.
        """
        at_once = MAX_AT_ONCE if self._optimized_for_cpu else max(len(batch), 1)
        return [
            explained
            for first in range(0, len(batch), at_once)
            for explained in self._explain(batch[first : first + at_once], targets_for(targets, first, at_once))
        ]

    def _explain(self, batch: torch.Tensor, targets: Targets) -> list[Attribution]:
        some = next(self.network.parameters(), batch)
        dtype = some.dtype if some.is_floating_point() else batch.dtype
        with self.running() as (network, places):
            note = record_outputs if any(each.reruns for each in self.methods) else None
            captured = capture(network, places, batch.to(some.device, dtype), self.readout, note)
            for layer, layout in zip(self.layers, captured.layouts, strict=True):
                if not layout.has_grid:
                    raise ModelError(
                        f"the layer '{layer.name}' has no grid: its output is 1×1", "name an earlier {layer}"
                    )
            return self._explained(captured, targets)

    def _explained(self, captured: Captured, targets: Targets) -> list[Attribution]:
        logits: Logits = captured.logits.detach().cpu().double().numpy()
        plain = self.readout.plain
        wanted = [targets_of(targets, position, row, plain=plain) for position, row in enumerate(logits)]
        # A picture with fewer targets than others repeats its last; the repeated maps are not kept.
        turns = range(max(len(each) for each in wanted))
        chosen = [[each[min(turn, len(each) - 1)] for each in wanted] for turn in turns]
        raws = self._raw_maps(captured, chosen)
        if self.augmentation is not None:
            self._average(raws, captured, chosen, self.augmentation)
        results = [Attribution(row, []) for row in logits]
        for (position, turn, method), raw in raws.items():
            for picture, class_map in enumerate(raw.judged(self.layers[position].name, method, chosen[turn])):
                if turn < len(wanted[picture]):
                    results[picture].maps.append(class_map)
        if self.fusion is not None:
            for result in results:
                each_layers = len(result.maps) // len(self.layers)
                result.maps[:] = [fuse(result.maps[k::each_layers], self.fusion) for k in range(each_layers)]
        return results

    def _raw_maps(self, captured: Captured, chosen: Sequence[Sequence[Target]]) -> dict[tuple[int, int, Method], Raw]:
        """Return the maps by layer's position, turn and method."""
        contexts = [
            BatchContext(captured, each, self.budget, self.activation, eigen=self.eigen_smooth) for each in chosen
        ]
        raws: dict[tuple[int, int, Method], Raw] = {}
        for key in product(range(len(self.layers)), range(len(contexts)), self.methods):
            position, turn, method = key
            known = None if method.layered else raws.get((0, turn, method))  # the same at every layer
            raws[key] = known or raw_maps(method, contexts[turn].at(position))
        return raws

    def _average(
        self,
        raws: dict[tuple[int, int, Method], Raw],
        captured: Captured,
        chosen: Sequence[Sequence[Target]],
        augmentation: Augmentation,
    ) -> None:
        """Replace maps by their mean over versions of the pictures; ``captured`` has the first version."""
        versions = list(augmentation.versions(captured.batch))
        found = [raws]
        for pictures, flipped in versions[1:]:
            again = self._raw_maps(capture(captured.network, captured.places, pictures, self.readout), chosen)
            found.append({key: raw.flipped() for key, raw in again.items()} if flipped else again)
        for key in raws:
            raws[key] = Raw.mean([each[key] for each in found])
