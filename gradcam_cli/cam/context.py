"""The data of a batch that methods use: computed on first use, kept for all methods."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from gradcam_cli.cam.capture import capture, differentiated
from gradcam_cli.cam.execution.batch_invariant import perturbations_of_one, weighted_sums
from gradcam_cli.cam.execution.partial_forward import PartialForward, sample_of
from gradcam_cli.cam.function_modes import Guided
from gradcam_cli.cam.pca import first_component

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from gradcam_cli.cam.capture import Captured
    from gradcam_cli.cam.targets import Target
    from gradcam_cli.records import Activation


@dataclass(frozen=True, slots=True)
class Budget:
    """The time limit and progress callback of methods that run the network many times.

    Attributes:
        seconds: for one picture, for methods that may leave feature maps out; None is their default.
        progress: called with (passes done, total passes) for a batch.
    """

    seconds: float | None = None
    progress: Callable[[int, int], None] | None = None


class BatchContext:
    """One target for each picture of a captured batch. All layers' gradients come from one backward pass.

    Args:
        captured: the results of the forward pass.
        targets: the target of each picture.
        budget: for methods that run the network many times.
        activation: function that turns logits into probabilities.
        eigen: whether the first principal component of the feature maps' contributions replaces their sum.
    """

    def __init__(
        self,
        captured: Captured,
        targets: Sequence[Target],
        budget: Budget | None = None,
        activation: Activation = "auto",
        *,
        eigen: bool = False,
    ) -> None:
        self.captured = captured
        self.activation = activation
        self.targets = targets
        self.budget = budget or Budget()
        self.eigen = eigen
        self.class_weights = torch.zeros_like(captured.class_logits(captured.logits.detach()), dtype=torch.float32)
        for row, target in zip(self.class_weights, targets, strict=True):
            row[target.index] = -1 if target.negated else 1
            if target.against is not None:
                row[target.against] = -row[target.index]

    @cached_property
    def gradients(self) -> list[torch.Tensor]:
        """Per target layer ∂logit/∂activation, float32 (N, C, h, w)."""
        return self.captured.gradients(self.captured.scores(self.class_weights))

    def input_gradients(self, pictures: torch.Tensor) -> torch.Tensor:
        """Run the network on pictures instead of the batch and return ∂y/∂picture, float32 (N, 3, H, W)."""
        leaf = pictures.detach().requires_grad_(True)
        # The network gets a copy, which it may change in place.
        found = capture(self.captured.network, [], leaf.clone(), self.captured.readout)
        return differentiated(found.scores(self.class_weights), [leaf])[0]

    @cached_property
    def guided_gradients(self) -> torch.Tensor:
        """The batch's ``input_gradients`` with negative ones cut at every ReLU, float32 (N, 3, H, W)."""
        with Guided():
            return self.input_gradients(self.captured.batch)

    def at(self, layer: int) -> LayerContext:
        """Return the context of one target layer, by its position."""
        return LayerContext(self, layer)


class LayerContext:
    """The data of a batch at one layer, for one target per picture.

    Args:
        batch_context: the batch, with the target of each picture.
        layer: position among the target layers.
    """

    def __init__(self, batch_context: BatchContext, layer: int) -> None:
        self._batch = batch_context
        self._layer = layer
        self._captured = batch_context.captured

    @property
    def targets(self) -> Sequence[Target]:
        """The explained target of each picture."""
        return self._batch.targets

    @property
    def class_weights(self) -> torch.Tensor:
        """Each logit's weight in the score, float32 (N, K).

        1 for the class and -1 for one that it is compared with; both negated for evidence against the class.
        """
        return self._batch.class_weights

    @property
    def logits(self) -> torch.Tensor:
        """A logit for every class, float32 (N, K), detached; of a network with one logit (N, 2)."""
        return self.class_logits(self._captured.logits.detach()).float()

    @property
    def activations(self) -> torch.Tensor:
        """The layer's feature maps A, float32 (N, C, h, w), detached."""
        return self._captured.feature_maps[self._layer]

    @property
    def gradients(self) -> torch.Tensor:
        """∂y/∂A of the score y = Σ weight × logit (see ``class_weights``), float32 (N, C, h, w)."""
        return self._batch.gradients[self._layer]

    def gradients_of(self, class_weights: torch.Tensor) -> torch.Tensor:
        """Return ∂/∂A of another weighted sum of the logits: ``class_weights`` (N, K) → float32 (N, C, h, w)."""
        return self._captured.gradients(self._captured.scores(class_weights))[self._layer]

    @cached_property
    def curvature(self) -> torch.Tensor:
        """H·A, the Hessian of the explained score times the activation, float32 (N, C, h, w)."""
        return self._captured.curvature(self._captured.scores(self.class_weights), self._layer)

    @property
    def pictures(self) -> torch.Tensor:
        """The network's input, normalised, (N, 3, H, W), of the network's dtype."""
        return self._captured.batch

    def input_gradients(self, pictures: torch.Tensor) -> torch.Tensor:
        """Return ∂y/∂picture at pictures instead of the batch's, (N, 3, H, W) → float32 (N, 3, H, W)."""
        return self._batch.input_gradients(pictures)

    @property
    def guided_gradients(self) -> torch.Tensor:
        """∂y/∂picture of the batch with negative gradients cut at every ReLU, float32 (N, 3, H, W)."""
        return self._batch.guided_gradients

    def on(self, pictures: torch.Tensor) -> LayerContext:
        """Return the layer's context for other pictures, (N, 3, H, W), with the same targets; runs one forward pass."""
        captured = self._captured
        found = capture(captured.network, [captured.places[self._layer]], pictures, captured.readout)
        same = self._batch
        return BatchContext(found, self.targets, same.budget, same.activation, eigen=same.eigen).at(0)

    def weighed(self, weights: torch.Tensor) -> torch.Tensor:
        """Return Σ_k α_k A_k of the layer's feature maps: weights (N, C) → (N, h, w)."""
        if self._batch.eigen:
            return self.summed(weights[:, :, None, None] * self.activations)
        return weighted_sums(weights, self.activations)

    def summed(self, parts: torch.Tensor) -> torch.Tensor:
        """Add up the contributions of the feature maps, (N, C, h, w) → (N, h, w).

        With ``eigen``, their first principal component replaces the sum, which removes patterns of few feature maps:
        pytorch-grad-cam's ``eigen_smooth``, with the sign fixed and nothing centred.
        """
        return first_component(parts).to(parts.device) if self._batch.eigen else parts.sum(dim=1)

    @torch.no_grad()
    def run(self, pictures: torch.Tensor) -> torch.Tensor:
        """Run the network on versions of one picture, (B, 3, H, W), and return the logits, float32 (B, K)."""
        with perturbations_of_one():
            return self._captured.readout.logits(self._captured.network, pictures).detach().float()

    def class_logits(self, logits: torch.Tensor) -> torch.Tensor:
        """Return a logit for every class of the network's logits, (B, K): of a network with one logit (B, 2)."""
        return self._captured.class_logits(logits)

    def score(self, logits: torch.Tensor, picture: int) -> torch.Tensor:
        """Return a picture's explained score for the network's logits in each row, (B, K) → (B,)."""
        return self.class_logits(logits) @ self.class_weights[picture].to(logits)

    def probability(self, logits: torch.Tensor, picture: int) -> torch.Tensor:
        """Return the probability of a picture's class in each row, (B, K) → (B,).

        Compared with another class, it is the probability among the two; negated, that of all others. Where the scores
        are no logits, it is the explained score.
        """
        if self._captured.readout.plain:
            return self.score(logits, picture)
        target = self.targets[picture]
        single = logits.shape[1] == 1
        if single:
            logits = torch.cat([torch.zeros_like(logits), logits], dim=1)
        if target.against is not None:
            return torch.sigmoid(logits[:, target.index] - logits[:, target.against])
        each_alone = self._batch.activation == "sigmoid" and not single
        found = (torch.sigmoid(logits) if each_alone else torch.softmax(logits, dim=1))[:, target.index]
        return 1 - found if target.negated else found

    @torch.no_grad()
    def partial_forward(self, picture: int) -> PartialForward:
        """Return the part of the network behind the layer, for one picture of the batch."""
        captured, one = self._captured, slice(picture, picture + 1)
        recorded = None
        if captured.noted and captured.layouts[self._layer].batch_dim == 0:
            noted = captured.noted[self._layer]()
            recorded = sample_of(noted, picture, len(captured.batch)), captured.logits[one].detach()
        place = captured.places[self._layer]
        return PartialForward(captured.network, place, captured.batch[one], captured.readout, recorded)

    @property
    def budget(self) -> float | None:
        """Seconds for one picture, for methods that may leave feature maps out."""
        return self._batch.budget.seconds

    def report_progress(self, done: int, total: int) -> None:
        """Report how many of a method's passes over the batch are done."""
        if self._batch.budget.progress is not None:
            self._batch.budget.progress(done, total)

    @property
    def memory(self) -> dict[Any, Any]:
        """Results that methods of a family share with each other, for all classes of the batch at this layer."""
        return self._captured.memory[self._layer]

    @property
    def channel_dim(self) -> int:
        """Dimension of the feature maps in the layer's own output, with the batch first."""
        return self._captured.layouts[self._layer].channel_dim

    @property
    def linear_head(self) -> nn.Linear | None:
        """The network's last linear layer that has an output for each logit, or None."""
        count = self._captured.logits.shape[1]
        linear = [module for module in self._captured.network.modules() if isinstance(module, nn.Linear)]
        return next((module for module in reversed(linear) if module.out_features == count), None)
