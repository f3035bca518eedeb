"""Trial runs of a Keras network: whether it is the same here, and what values it takes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import keras
import torch

from gradcam_cli.models.sources.keras.graph import FromPicture, KerasLayer, flat
from gradcam_cli.models.untrusted.keras.values import KerasConfigError

if TYPE_CHECKING:
    from torch import nn

    Shape = tuple[int | None, int | None, int | None, int]

_FREE_SIDE = 224
"""Side of a trial picture where the network takes any."""
_CLOSE = 1e-3
"""Largest difference to Keras, of the largest value."""


def _pictures(shape: Shape, value: float | None = None) -> torch.Tensor:
    """Return a picture (1, C, H, W) of one value, or of noise between 0 and 1."""
    _, height, width, channels = shape
    size = (1, channels, height or _FREE_SIDE, width or _FREE_SIDE)
    return torch.rand(size, generator=torch.Generator().manual_seed(0)) if value is None else torch.full(size, value)


@torch.no_grad()
def require_same(module: FromPicture, network: Any, shape: Shape) -> None:  # noqa: ANN401
    """Compare with Keras on noise.

    Raises:
        KerasConfigError: Keras computes something else.
    """
    batch = _pictures(shape)
    ours = list(flat(module(batch)))
    with keras.device("cpu"):
        theirs = list(flat(network(batch.permute(0, 2, 3, 1) if module.channels_last else batch, training=False)))
    for one, other in zip(ours, theirs, strict=True):
        if one.shape != other.shape or (one - other).abs().max() > _CLOSE * other.abs().max().clamp(min=_CLOSE):
            raise KerasConfigError("it computes other scores here than Keras does")


class _StopError(Exception):
    """The values before the first layer with weights are known."""


def white_of(module: nn.Module, shape: Shape) -> int | None:
    """Return the value of white that a network expects, 1 or 255, or None where it does not show.

    What stands before its first layer with weights shows it: a network that shrinks its values to a few units takes
    0…255, as does one that subtracts a mean of such a size.
    """
    ends = [_before_weights(module, _pictures(shape, value)) for value in (0.0, 1.0)]
    if ends[0] is None or ends[1] is None:
        return None
    offset, scale = ends[0], (ends[1] - ends[0]).abs().mean()
    largest = offset.abs().max()
    if scale <= _SHRUNK or largest >= _OF_BYTES:
        return 255
    return 1 if largest > 0 or abs(float(scale) - 1) > _CLOSE else None


_SHRUNK = 0.1
"""Largest product of scales by which values of 0…255 become some of a usual size."""
_OF_BYTES = 20
"""Smallest mean, in units of what the first weights read, that is one of values up to 255."""


@torch.no_grad()
def _before_weights(module: nn.Module, picture: torch.Tensor) -> torch.Tensor | None:
    found: list[torch.Tensor] = []

    def keep(_: nn.Module, args: tuple[Any, ...]) -> None:
        found.extend(flat(args))
        raise _StopError

    weighted = [
        each for each in module.modules() if isinstance(each, KerasLayer) and any(True for _ in each.parameters())
    ]
    handles = [each.register_forward_pre_hook(keep) for each in weighted]
    try:
        module(picture)
    except _StopError:
        pass
    finally:
        for handle in handles:
            handle.remove()
    return found[0] if found else None
