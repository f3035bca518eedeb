"""Capture of target layers in one forward pass that records only what their gradients need.

The target layer's output becomes the only leaf that needs a gradient: operations before it are not recorded, and the
gradient comes from ``autograd.grad``, so no parameter's ``.grad`` is ever touched.
"""

from __future__ import annotations

import contextlib
import threading
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from gradcam_cli.cam.function_modes import recording
from gradcam_cli.cam.outputs.nested import first_tensor, with_replaced
from gradcam_cli.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from gradcam_cli.cam.layers.layout import Layout
    from gradcam_cli.cam.outputs.readout import Readout

HALF_PRECISION_SCALE = 1024.0
"""Gradients of float16 networks are computed this much larger, so that small ones do not vanish."""

_ALONE = threading.RLock()


@dataclass(frozen=True, slots=True)
class Place:
    """A target layer in one copy of a network.

    Attributes:
        module: the layer.
        layout: of its output, as the trial runs have found it.
        number: which call of the module it is, from 1.
    """

    module: nn.Module
    layout: Layout
    number: int = 1


@dataclass
class Captured:
    """The results of one forward pass; they can be differentiated repeatedly.

    Attributes:
        network: the network that ran.
        places: its target layers.
        batch: its input, (N, 3, H, W).
        activations: per target layer, its output as the layer returned it, attached to the graph.
        layouts: per target layer, the layout of its grid.
        logits: class scores (N, K), attached to the graph.
        readout: the way to the network's logits.
        noted: value yielded by ``note`` for each layer, or empty.
    """

    network: nn.Module
    places: list[Place]
    batch: torch.Tensor
    activations: list[torch.Tensor]
    layouts: list[Layout]
    logits: torch.Tensor
    readout: Readout
    noted: Sequence[Callable[[], Any]] = ()

    @cached_property
    def memory(self) -> list[dict[Any, Any]]:
        """Per target layer, results that methods share with one another."""
        return [{} for _ in self.places]

    @cached_property
    def feature_maps(self) -> list[torch.Tensor]:
        """The activations per target layer as float32 (N, C, h, w), detached."""
        return [
            layout.feature_maps(activation.detach()).float()
            for layout, activation in zip(self.layouts, self.activations, strict=True)
        ]

    def scores(self, class_weights: torch.Tensor) -> torch.Tensor:
        """Return a weighted sum of each picture's logits, (N,), attached to the graph.

        Args:
            class_weights: weight of every class, (N, K); for a network with one logit (N, 2).
        """
        return (self.class_logits(self.logits) * class_weights.to(self.logits)).sum(1)

    def class_logits(self, logits: torch.Tensor) -> torch.Tensor:
        """Return a logit for every class, (N, K): a network with one logit y, (N, 1), has two classes, -y and y.

        One plain score, as that of a regression, stays one.
        """
        one = logits.shape[1] == 1 and not self.readout.plain
        return torch.cat([-logits, logits], dim=1) if one else logits

    def gradients(self, scores: torch.Tensor) -> list[torch.Tensor]:
        """Differentiate one score per picture, (N,), with respect to every target layer.

        Returns:
            Per target layer ∂score/∂activation as float32 (N, C, h, w); zeros where the layer does not reach the score.
        """
        found = differentiated(scores, self.activations)
        return [layout.feature_maps(each) for layout, each in zip(self.layouts, found, strict=True)]

    def curvature(self, scores: torch.Tensor, layer: int) -> torch.Tensor:
        """Return H·A at a target layer, given by its position: the scores' Hessian times the layer's output.

        Returns:
            float32 (N, C, h, w); zeros where the scores are linear in the layer's output.
        """
        activation, zeros = self.activations[layer], torch.zeros_like(self.feature_maps[layer])
        if not scores.requires_grad:
            return zeros
        scale = _scale_for(scores)
        (gradient,) = torch.autograd.grad(scores.sum() * scale, activation, create_graph=True, allow_unused=True)
        if gradient is None or not gradient.requires_grad:
            return zeros
        along = (gradient * activation.detach()).sum()
        (product,) = torch.autograd.grad(along, activation, retain_graph=True, allow_unused=True)
        return zeros if product is None else self.layouts[layer].feature_maps(product).float() / scale


def differentiated(scores: torch.Tensor, tensors: Sequence[torch.Tensor]) -> list[torch.Tensor]:
    """Differentiate one score per picture, (N,), with respect to tensors of the same batch.

    Returns:
        For each of them ∂score/∂tensor, float32 of its shape; zeros where it does not reach the score.
    """
    if not scores.requires_grad:
        return [torch.zeros_like(tensor, dtype=torch.float32) for tensor in tensors]
    scale = _scale_for(scores)
    # Pictures do not depend on one another, so their sum has each one's gradient. A scalar needs no grad_outputs,
    # whose check imports torch's symbolic shapes: 0.3 s of start-up.
    found = torch.autograd.grad(scores.sum() * scale, tensors, retain_graph=True, allow_unused=True)
    return [
        torch.zeros_like(tensor, dtype=torch.float32) if gradient is None else gradient.float() / scale
        for tensor, gradient in zip(tensors, found, strict=True)
    ]


def _scale_for(scores: torch.Tensor) -> float:
    return HALF_PRECISION_SCALE if scores.dtype == torch.float16 else 1.0


_COMPILED = ("forward", "_compiled_call_impl")
"""Attributes by which torch.compile makes a module run compiled code."""


def is_compiled(module: nn.Module) -> bool:
    """Return whether torch.compile has wrapped a module, or compiled it in place."""
    return isinstance(getattr(module, "_orig_mod", None), nn.Module) or module._compiled_call_impl is not None


def uncompile(module: nn.Module) -> None:
    """Make a compiled module run its Python code, since compiled code calls no hooks."""
    module._compiled_call_impl = None
    if isinstance(getattr(module, "_orig_mod", None), nn.Module):
        module.__dict__["forward"] = module._orig_mod


@contextlib.contextmanager
def undisturbed(network: nn.Module) -> Iterator[None]:
    """Keep the network in eval mode with no parameter needing a gradient; restore every flag at the end.

    Only one thread at a time: hooks and flags belong to the network, not to a call, and networks may share modules.
    """
    with _ALONE:
        training = [module for module in network.modules() if module.training]
        learning = [parameter for parameter in network.parameters() if parameter.requires_grad]
        compiled = [(module, dict(module.__dict__)) for module in network.modules() if is_compiled(module)]
        try:
            for module, _ in compiled:
                uncompile(module)
            for module in training:
                module.training = False
            for parameter in learning:
                parameter.requires_grad_(False)
            yield
        finally:
            for module, attributes in compiled:
                module.__dict__.update({name: attributes[name] for name in _COMPILED if name in attributes})
            for parameter in learning:
                parameter.requires_grad_(True)
            for module in training:
                module.training = True


@contextlib.contextmanager
def hooked(places: Sequence[Place], seen: dict[int, torch.Tensor | None]) -> Iterator[None]:
    """Make each layer's output start, or continue, the graph; ``seen`` receives it, or None, by the layer's position.

    The network continues with a copy, so that an in-place activation behind the layer cannot change the capture.
    """

    def hook_for(position: int, number: int) -> Any:  # noqa: ANN401
        left = number

        def hook(module: nn.Module, args: tuple[Any, ...], output: Any) -> Any:  # noqa: ANN401
            nonlocal left
            left -= 1
            if left:
                return None
            tensor = first_tensor(output, (3, 4))
            if tensor is None:
                seen[position] = None
                return None
            with recording():  # also where the network does not record, as a frozen backbone
                # A tensor of its own: what others read of the layer's tensor is not what the layer returns.
                graph = tensor.requires_grad
                activation = tensor.view_as(tensor) if graph else _without_graph(tensor).requires_grad_(True)
                seen[position] = activation
                return with_replaced(output, tensor, activation.clone())

        return hook

    handles = [
        place.module.register_forward_hook(hook_for(position, place.number)) for position, place in enumerate(places)
    ]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _without_graph(tensor: torch.Tensor) -> torch.Tensor:
    return tensor.clone() if tensor.is_inference() else tensor.detach()


def capture(
    network: nn.Module,
    places: Sequence[Place],
    batch: torch.Tensor,
    readout: Readout,
    note: Callable[[nn.Module, Place], contextlib.AbstractContextManager[Callable[[], Any]]] | None = None,
) -> Captured:
    """Run one forward pass, within ``recording``, and keep the target layers' outputs.

    Args:
        network: maps (N, 3, H, W) to class scores; in eval mode, its parameters without gradients, not used elsewhere
            meanwhile: ``undisturbed``, or a ``replica``.
        places: its target layers.
        batch: normalised pictures (N, 3, H, W), of the network's dtype and device.
        readout: the way to its logits.
        note: context manager entered for the network and each layer during the run; the yielded value is kept.

    Raises:
        ModelError: a layer was not called or has no spatial output, or the network returns no class scores.
    """
    batch = batch.clone() if batch.is_inference() else batch
    seen: dict[int, torch.Tensor | None] = {}
    with hooked(places, seen), contextlib.ExitStack() as stack:
        noted = [stack.enter_context(note(network, place)) for place in places] if note is not None else []
        logits = readout.logits(network, batch)
    activations, layouts = [], []
    for position, place in enumerate(places):
        activation = seen.get(position)
        layout = None if activation is None else place.layout.at(activation.shape, (batch.shape[2], batch.shape[3]))
        if activation is None or layout is None:
            what = (
                "has another output than in the trial run" if position in seen else "was not used by the forward pass"
            )
            raise ModelError(
                f"the target layer ({type(place.module).__name__}) {what}", "name another {layer}, or give {reshape}"
            )
        activations.append(activation)
        layouts.append(layout)
    return Captured(network, list(places), batch, activations, layouts, logits, readout, noted)
