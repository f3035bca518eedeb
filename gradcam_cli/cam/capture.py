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

from gradcam_cli.cam.layers.layout import Layout, first_tensor, layout_of, tensors_in, with_replaced
from gradcam_cli.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from gradcam_cli.records import Size

HALF_PRECISION_SCALE = 1024.0
"""Gradients of float16 networks are computed this much larger, so that small ones do not vanish."""

_MAX_SHAPES = 4
"""Most shapes of a network's outputs in an error."""

_ALONE = threading.RLock()


@contextlib.contextmanager
def recording() -> Iterator[None]:
    """Record a graph in any mode of the caller: ``no_grad`` and ``inference_mode`` are suspended in the block."""
    with torch.inference_mode(False), torch.enable_grad():
        yield


@dataclass
class Captured:
    """The results of one forward pass; they can be differentiated repeatedly.

    Attributes:
        network: the network that ran.
        layers: its target layers.
        batch: its input, (N, 3, H, W).
        activations: per target layer, its output as the layer returned it, attached to the graph.
        layouts: per target layer, the layout of its grid.
        logits: class scores (N, K), attached to the graph.
        tokens: (h, w) of the grid of tokens, where that was given.
        noted: value yielded by ``note`` for each layer, or empty.
    """

    network: nn.Module
    layers: list[nn.Module]
    batch: torch.Tensor
    activations: list[torch.Tensor]
    layouts: list[Layout]
    logits: torch.Tensor
    tokens: Size | None = None
    noted: Sequence[Callable[[], Any]] = ()

    @cached_property
    def memory(self) -> list[dict[Any, Any]]:
        """Per target layer, results that methods share with one another."""
        return [{} for _ in self.layers]

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
        return (two_class_logits(self.logits) * class_weights.to(self.logits)).sum(1)

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


def two_class_logits(logits: torch.Tensor) -> torch.Tensor:
    """Return a logit for every class: a network with one logit y, (N, 1), has two classes, -y and y."""
    return torch.cat([-logits, logits], dim=1) if logits.shape[1] == 1 else logits


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


@contextlib.contextmanager
def undisturbed(network: nn.Module) -> Iterator[None]:
    """Keep the network in eval mode with no parameter needing a gradient; restore every flag at the end.

    Only one thread at a time: hooks and flags belong to the network, not to a call, and networks may share modules.
    """
    with _ALONE:
        training = [module for module in network.modules() if module.training]
        learning = [parameter for parameter in network.parameters() if parameter.requires_grad]
        try:
            for module in training:
                module.training = False
            for parameter in learning:
                parameter.requires_grad_(False)
            yield
        finally:
            for parameter in learning:
                parameter.requires_grad_(True)
            for module in training:
                module.training = True


@contextlib.contextmanager
def hooked(layers: Sequence[nn.Module], seen: dict[int, torch.Tensor | None]) -> Iterator[None]:
    """Make each layer's output start, or continue, the graph; ``seen`` receives it, or None, by the layer's position.

    The network continues with a copy, so that an in-place activation behind the layer cannot change the capture.
    A layer that is called more than once is captured at its last call.
    """

    def hook_for(position: int) -> Any:  # noqa: ANN401
        def hook(module: nn.Module, args: tuple[Any, ...], output: Any) -> Any:  # noqa: ANN401
            tensor = first_tensor(output, (3, 4))
            if tensor is None:
                seen[position] = None
                return None
            activation = tensor if tensor.requires_grad else tensor.detach().requires_grad_(True)
            seen[position] = activation
            return with_replaced(output, tensor, activation.clone())

        return hook

    handles = [layer.register_forward_hook(hook_for(position)) for position, layer in enumerate(layers)]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def logits_of(output: Any, count: int) -> torch.Tensor:  # noqa: ANN401
    """Return the class scores (N, K) among the ``tensors_in`` a network's output.

    A tensor (N, K) is preferred. Otherwise dimensions of one may be missing or too many: (K,), (), (N,), (N, 1, K) or
    (N, K, 1, 1), which are told apart by the number of pictures.

    Args:
        output: what the network has returned.
        count: N, the number of pictures that it was given.

    Raises:
        ModelError: the output contains no such scores.
    """
    found = list(tensors_in(output))
    for tensor in found:
        if tensor.ndim == 2 and len(tensor) == count:
            return tensor
    for tensor in found:
        rest = [side for side in tensor.shape if side != 1]
        if count > 1 and tensor.ndim and len(tensor) == count:
            rest = rest[1:]
        elif count > 1:
            continue
        if len(rest) <= 1 and tensor.numel():
            return tensor.reshape(count, -1)
    shapes = ", ".join(str(tuple(tensor.shape)) for tensor in found[:_MAX_SHAPES]) or "no tensor of floats"
    raise ModelError(
        f"the network returns no class scores of shape (batch, classes), but {shapes} for {count} picture"
        f"{'s' if count > 1 else ''}",
        "give a classifier: a network with one score a class",
    )


def capture(
    network: nn.Module,
    layers: Sequence[nn.Module],
    batch: torch.Tensor,
    tokens: Size | None = None,
    note: Callable[[nn.Module, nn.Module], contextlib.AbstractContextManager[Callable[[], Any]]] | None = None,
) -> Captured:
    """Run one forward pass, within ``recording``, and keep the target layers' outputs.

    Args:
        network: maps (N, 3, H, W) to class scores; in eval mode, its parameters without gradients, not used elsewhere
            meanwhile: ``undisturbed``, or a ``replica``.
        layers: target layers, modules of ``network``.
        batch: normalised pictures (N, 3, H, W), of the network's dtype and device.
        tokens: (h, w) of the grid of tokens; None finds it.
        note: context manager entered for the network and each layer during the run; the yielded value is kept.

    Raises:
        ModelError: a layer was not called or has no spatial output, or the network returns no class scores.
    """
    batch = batch.clone() if batch.is_inference() else batch
    seen: dict[int, torch.Tensor | None] = {}
    with hooked(layers, seen), contextlib.ExitStack() as stack:
        noted = [stack.enter_context(note(network, layer)) for layer in layers] if note is not None else []
        logits = logits_of(network(batch), len(batch))
    activations, layouts = [], []
    for position, layer in enumerate(layers):
        activation = seen.get(position)
        layout = None if activation is None else layout_of(activation.shape, (batch.shape[2], batch.shape[3]), tokens)
        if activation is None or layout is None:
            what = "has no grid in its output" if position in seen else "was not used by the forward pass"
            hint = (
                "leave {layer} out to have it found" if tokens is None else "give another {reshape}, or another {layer}"
            )
            raise ModelError(f"the target layer ({type(layer).__name__}) {what}", hint)
        activations.append(activation)
        layouts.append(layout)
    return Captured(network, list(layers), batch, activations, layouts, logits, tokens, noted)
