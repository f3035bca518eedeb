"""How a network is run for its logits: which output has the scores, and what stands in front of a final activation.

A trial run (``layers.trace``) decides; every later run of the network goes through its `Readout`.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import torch

from gradcam_cli.cam.function_modes import GraphKept, LeftOut
from gradcam_cli.cam.outputs.scores import at_path

if TYPE_CHECKING:
    from torch import nn

    from gradcam_cli.cam.outputs.nested import Path

SMALLEST = 1e-30
"""Probabilities are taken to be at least this much, so that they have logarithms."""


@dataclass(frozen=True, slots=True)
class Readout:
    """The way to a network's logits.

    Attributes:
        path: place of the scores in the output.
        activation: what makes the network's own output of the logits: ``softmax``, ``log_softmax``, ``sigmoid``; None
            where it returns logits.
        undone: position of that function among those of ``FINAL_ACTIVATIONS`` in a run, if it is left out; None where
            it was not seen, and logits are computed from probabilities.
        plain: whether the scores are taken as they are, as those of a regression: a single one has no second side.
        from_input: whether the graph must begin at the input, for a network that registers hooks on tensors.
        through: whether the graph goes on where the network stops it by ``no_grad``, ``inference_mode`` or ``detach``.
    """

    path: Path = ()
    activation: Literal["softmax", "log_softmax", "sigmoid"] | None = None
    undone: int | None = None
    plain: bool = False
    from_input: bool = False
    through: bool = False

    def run(self, network: nn.Module, batch: torch.Tensor) -> Any:  # noqa: ANN401
        """Run the network on a batch (N, C, H, W), without its final activation, and return its output."""
        with contextlib.ExitStack() as stack:
            if self.through:
                stack.enter_context(GraphKept())
            if self.undone is not None:
                stack.enter_context(LeftOut(self.undone))
            if self.from_input:
                stack.enter_context(torch.enable_grad())
                batch = batch if batch.requires_grad else batch.detach().requires_grad_(True).clone()
            return network(batch)

    def logits_in(self, output: Any, count: int) -> torch.Tensor:  # noqa: ANN401
        """Return the logits (N, K) in the output of ``run`` for ``count`` pictures.

        Raises:
            ModelError: the output has no class scores where the trial run found them.
        """
        scores = at_path(output, self.path, count)
        return scores if self.activation is None or self.undone is not None else _logits_of(scores, self.activation)

    def logits(self, network: nn.Module, batch: torch.Tensor) -> torch.Tensor:
        """Run the network on a batch (N, C, H, W) and return the logits (N, K)."""
        return self.logits_in(self.run(network, batch), len(batch))

    @property
    def probabilities(self) -> Literal["softmax", "sigmoid"] | None:
        """The function that turns the logits into the network's own probabilities; None where it returns logits."""
        return "softmax" if self.activation == "log_softmax" else self.activation


def _logits_of(scores: torch.Tensor, activation: str) -> torch.Tensor:
    """Return logits that have the given probabilities: log p, whose softmax is p, or log(p / (1 - p))."""
    if activation == "log_softmax":
        return scores
    if activation == "softmax" and scores.shape[1] > 1:
        return scores.clamp(min=SMALLEST).log()
    return torch.logit(scores, eps=torch.finfo(scores.dtype).eps)
