"""Smoothing over versions of a picture: flips and changes of brightness, which should not change its content."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from collections.abc import Iterator

BRIGHTNESS = (1.0, 0.9, 1.1)
"""Factors on the pixels' values."""


@dataclass(frozen=True, slots=True)
class Augmentation:
    """Makes the versions of a batch whose maps are averaged, as pytorch-grad-cam's ``aug_smooth`` does.

    There the normalised tensor is scaled, which changes contrast around the training pictures' mean; here the pixels
    are scaled, and stay between black and white.

    Attributes:
        mean: per channel, subtracted by normalisation from scaled pixels.
        std: per channel, the divisor of normalisation.
        white: value of white after scaling; black is 0.
    """

    mean: tuple[float, ...]
    std: tuple[float, ...]
    white: float = 1

    def versions(self, batch: torch.Tensor) -> Iterator[tuple[torch.Tensor, bool]]:
        """Yield normalised pictures (N, C, H, W) and whether they are flipped left to right; the originals first.

        Six in all: unflipped and flipped, at 1, 0.9 and 1.1 times their brightness.
        """
        mean, std = (torch.tensor(values).to(batch).view(-1, 1, 1) for values in (self.mean, self.std))
        for factor, flipped in product(BRIGHTNESS, (False, True)):
            version = batch
            if factor != 1:
                version = (((batch * std + mean) * factor).clamp(0, self.white) - mean) / std
            yield (version.flip(3) if flipped else version), flipped
