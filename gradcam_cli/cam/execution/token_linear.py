"""Linear layers over tokens whose backward pass skips tokens with a zero gradient.

A transformer's class scores depend on one token. After its last attention the gradient of all other tokens is zero, and
so is its product with a linear layer's weights: two thirds of that block's backward pass.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch.nn import functional as F

if TYPE_CHECKING:
    from torch import Tensor


def linear(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """Return x Wᵀ + b for each token, (N, T, I) → (N, T, O), differentiable by x alone.

    Args:
        x: (N, T, I).
        weight: (O, I), without gradient.
        bias: (O,), without gradient, or None.
    """
    if not x.requires_grad:
        return F.linear(x, weight, bias)
    result: Tensor = _Linear.apply(x, weight, bias)
    return result


class _Linear(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:  # noqa: ANN401
        ctx.save_for_backward(weight)
        return F.linear(x, weight, bias)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:  # noqa: ANN401
        (weight,) = ctx.saved_tensors
        reached = gradient.ne(0).any(dim=2).any(dim=0)
        # A zero may still have a derivative: while a graph of the backward pass is recorded, nothing is skipped.
        if torch.is_grad_enabled() or bool(reached.all()):
            return gradient @ weight, None, None
        passed_on = gradient.new_zeros(*gradient.shape[:2], weight.shape[1])
        passed_on[:, reached] = gradient[:, reached] @ weight
        return passed_on, None, None
