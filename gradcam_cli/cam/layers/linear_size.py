"""The size of a network's input, from a linear layer that takes a certain number of values."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from gradcam_cli.cam.capture import undisturbed
from gradcam_cli.cam.execution.replica import throwaway
from gradcam_cli.cam.layers.causes import CannotRunError
from gradcam_cli.cam.layers.trial import Trial

if TYPE_CHECKING:
    from torch import nn

    from gradcam_cli.records import Size

_MISMATCH = re.compile(r"shapes cannot be multiplied \((\d+)x(\d+) and (\d+)x(\d+)\)")

USUAL_SIDES = (
    224, 256, 128, 64, 32, 28, 150, 100, 200, 160, 180, 96, 112, 192, 227, 299, 300, 320, 384, 512, 48, 120, 144, 240,
    280, 400, 448,
)  # fmt: skip
"""Sides that networks are trained at, the most frequent first."""

_MOST_TRIALS = 40


@dataclass(frozen=True, slots=True)
class LinearSize:
    """What a linear layer says of the input.

    Attributes:
        side: of a square input that fits; several may.
        grid: side of the last feature maps at that input.
    """

    side: int
    grid: int


def side_for_linear(network: nn.Module, tried: Size, channels: int) -> LinearSize | None:
    """Return a side of the input at which a network's first linear layer gets as many values as it takes.

    Args:
        network: one that fails on ``tried``.
        tried: (H, W).
        channels: C.

    Returns:
        The most usual side among those that fit; None where something else is wrong.

    Raises:
        CannotRunError: the linear layer takes maps that are not square.
    """
    copied = throwaway(network)
    if copied is None:
        return None
    with undisturbed(copied):
        some = next(iter(copied.parameters()), torch.empty(0))

        def run(size: Size) -> Trial:
            blank = torch.zeros((1, channels, *size), device=some.device)
            return Trial(copied, blank.to(some.dtype) if some.is_floating_point() else blank)

        failed = run(tried)
        found = _MISMATCH.search(str(failed.error))
        if found is None:
            return None
        given, wanted = int(found[2]), int(found[3])
        maps = next(
            (
                each.output
                for each in reversed(failed.calls)
                if each.output[0].numel() == given and each.output.ndim == 4
            ),
            None,
        )
        if maps is None or wanted % maps.shape[1]:
            return None
        places = wanted // maps.shape[1]
        grid = math.isqrt(places)
        if grid * grid != places:
            raise CannotRunError(
                f"the network's linear layer reads feature maps of {places} places, as no square picture gives them",
                "give its {input_size} as HEIGHTxWIDTH",
            )
        stride = tried[0] / maps.shape[2]
        sides = range(max(1, math.floor((grid - 1) * stride)), math.ceil((grid + 2) * stride) + 1)
        likely = [side for side in USUAL_SIDES if side in sides]
        others = sorted(set(sides) - set(likely), key=lambda side: abs(side - grid * stride))
        for side in [*likely, *others][:_MOST_TRIALS]:
            if run((side, side)).error is None:
                return LinearSize(side, grid)
    return None
