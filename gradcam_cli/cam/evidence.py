"""What methods may ask for about a batch: computed when the first one asks, kept for all of them."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

import torch
from torch import nn

if TYPE_CHECKING:
    from gradcam_cli.cam.capture import Captured


class Question:
    """One class for each picture of a captured batch. All layers' gradients come from one backward pass.

    Args:
        captured: what the forward pass left behind.
        classes: int64 (N,).
    """

    def __init__(self, captured: Captured, classes: torch.Tensor) -> None:
        self.captured = captured
        self.classes = classes

    @cached_property
    def gradients(self) -> list[torch.Tensor]:
        """Per target layer ∂logit/∂activation, float32 (N, C, h, w)."""
        return self.captured.gradients(self.captured.scores(self.classes))

    def at(self, layer: int) -> Evidence:
        """Return what is known at one of the target layers, by its position."""
        return Evidence(self, layer)


class Evidence:
    """What is known about a batch at one layer, for one class a picture.

    Args:
        question: the class for each picture.
        layer: position among the target layers.
    """

    def __init__(self, question: Question, layer: int) -> None:
        self._question = question
        self._layer = layer
        self._captured = question.captured

    @property
    def classes(self) -> torch.Tensor:
        """The explained class of each picture, int64 (N,)."""
        return self._question.classes

    @property
    def logits(self) -> torch.Tensor:
        """Class scores, float32 (N, K), detached; a network with one logit has K = 1."""
        return self._captured.logits.detach().float()

    @property
    def activations(self) -> torch.Tensor:
        """The layer's feature maps A, float32 (N, C, h, w), detached."""
        return self._captured.feature_maps[self._layer]

    @property
    def gradients(self) -> torch.Tensor:
        """∂logit/∂A of the explained class, float32 (N, C, h, w)."""
        return self._question.gradients[self._layer]

    def gradients_of(self, others: torch.Tensor) -> torch.Tensor:
        """Return ∂/∂A of other classes' logits, summed over columns: ``others`` int64 (N, M) → float32 (N, C, h, w)."""
        scores = self._captured.logits.gather(1, others).sum(1)
        return self._captured.gradients(scores)[self._layer]

    @cached_property
    def curvature(self) -> torch.Tensor:
        """H·A, the Hessian of the explained logit times the activation, float32 (N, C, h, w)."""
        return self._captured.curvature(self._captured.scores(self.classes), self._layer)

    @property
    def linear_head(self) -> nn.Linear | None:
        """The network's last linear layer that has an output for each logit, or None."""
        count = self._captured.logits.shape[1]
        linear = [module for module in self._captured.network.modules() if isinstance(module, nn.Linear)]
        return next((module for module in reversed(linear) if module.out_features == count), None)
