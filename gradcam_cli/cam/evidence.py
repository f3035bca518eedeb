"""What methods may ask for about a batch: computed when the first one asks, kept for all of them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from gradcam_cli.cam.capture import logits_of
from gradcam_cli.cam.rerun import Tail

if TYPE_CHECKING:
    from collections.abc import Callable

    from gradcam_cli.cam.capture import Captured


@dataclass(frozen=True, slots=True)
class Patience:
    """How long methods that run the network many times may take.

    Attributes:
        budget: seconds for one picture, for methods that may leave feature maps out; None lets them choose.
        progress: told (passes done, passes in all) for a batch.
    """

    budget: float | None = None
    progress: Callable[[int, int], None] | None = None


class Question:
    """One class for each picture of a captured batch. All layers' gradients come from one backward pass.

    Args:
        captured: what the forward pass left behind.
        classes: int64 (N,).
        patience: for methods that run the network many times.
    """

    def __init__(self, captured: Captured, classes: torch.Tensor, patience: Patience) -> None:
        self.captured = captured
        self.classes = classes
        self.patience = patience

    @cached_property
    def gradients(self) -> list[torch.Tensor]:
        """Per target layer ∂logit/∂activation, float32 (N, C, h, w)."""
        return self.captured.gradients(self.captured.scores(self.classes))

    @torch.no_grad()
    def tail(self, layer: int, picture: int) -> Tail:
        """Return the part of the network behind a target layer, for one picture of the batch."""
        captured = self.captured
        return Tail(captured.network, captured.layers[layer], captured.batch[picture : picture + 1])

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
    def pictures(self) -> torch.Tensor:
        """What was run, normalised, (N, 3, H, W), of the network's dtype."""
        return self._captured.batch

    @torch.no_grad()
    def run(self, pictures: torch.Tensor) -> torch.Tensor:
        """Run the network on other pictures, (B, 3, H, W), and return the logits, float32 (B, K)."""
        return logits_of(self._captured.network(pictures)).float()

    def score(self, logits: torch.Tensor, picture: int) -> torch.Tensor:
        """Return the logit of a picture's class in each row, (B, K) → (B,); of one logit, class 0 is the negative."""
        index = int(self.classes[picture])
        return logits[:, 0] * (2 * index - 1) if logits.shape[1] == 1 else logits[:, index]

    def probability(self, logits: torch.Tensor, picture: int) -> torch.Tensor:
        """Return the probability of a picture's class in each row, (B, K) → (B,)."""
        if logits.shape[1] == 1:
            return torch.sigmoid(self.score(logits, picture))
        return torch.softmax(logits, dim=1)[:, int(self.classes[picture])]

    def tail(self, picture: int) -> Tail:
        """Return the part of the network behind the layer, for one picture of the batch."""
        return self._question.tail(self._layer, picture)

    @property
    def budget(self) -> float | None:
        """Seconds for one picture, for methods that may leave feature maps out."""
        return self._question.patience.budget

    def told(self, done: int, total: int) -> None:
        """Tell how many of a method's passes over the batch are done."""
        if self._question.patience.progress is not None:
            self._question.patience.progress(done, total)

    @property
    def memory(self) -> dict[Any, Any]:
        """Where methods of a family keep what others of it need too, for all classes of the batch at this layer."""
        return self._captured.memory[self._layer]

    @property
    def channel_dim(self) -> int:
        """Which dimension of the layer's own output, batch first, counts the feature maps."""
        return {"nchw": 1, "nhwc": 3, "tokens": 2}[self._captured.layouts[self._layer].kind]

    @property
    def linear_head(self) -> nn.Linear | None:
        """The network's last linear layer that has an output for each logit, or None."""
        count = self._captured.logits.shape[1]
        linear = [module for module in self._captured.network.modules() if isinstance(module, nn.Linear)]
        return next((module for module in reversed(linear) if module.out_features == count), None)
