"""The architecture of the bundled network: a small residual network for pictures of about 32 pixels."""

from __future__ import annotations

import torch
from torch import nn

CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
"""CIFAR-10's classes in their official order, which is also the alphabetical one."""

MEAN = (0.4914, 0.4822, 0.4465)
STD = (0.2470, 0.2435, 0.2616)
"""Channel statistics of CIFAR-10's training pictures, RGB, in units of the [0, 1] pixel range."""


def _conv_norm(channels_in: int, channels_out: int) -> list[nn.Module]:
    return [nn.Conv2d(channels_in, channels_out, 3, padding=1, bias=False), nn.BatchNorm2d(channels_out)]


class Residual(nn.Module):
    """Two 3×3 convolutions around which the input is added: ``relu(x + f(x))``, shapes unchanged."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.body = nn.Sequential(*_conv_norm(channels, channels), nn.ReLU(), *_conv_norm(channels, channels))
        self.relu = nn.ReLU()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map (N, C, h, w) to (N, C, h, w)."""
        summed: torch.Tensor = self.relu(x + self.body(x))
        return summed


class TinyNet(nn.Module):
    """A residual network of under a million parameters whose last grid is a quarter of its input's size.

    Global average pooling in front of the classifier lets it take any input of at least 8×8 pixels;
    a 32×32 picture has a last grid of 8×8.

    Args:
        num_classes: length of the score vector.
        widths: channels of the stem, of the middle and of the last stage.
    """

    def __init__(self, num_classes: int = 10, widths: tuple[int, int, int] = (32, 64, 144)) -> None:
        super().__init__()
        stem, middle, last = widths
        self.stem = nn.Sequential(*_conv_norm(3, stem), nn.ReLU())
        self.stage1 = nn.Sequential(*_conv_norm(stem, middle), nn.ReLU(), nn.MaxPool2d(2), Residual(middle))
        self.stage2 = nn.Sequential(
            *_conv_norm(middle, last), nn.ReLU(), nn.MaxPool2d(2), Residual(last), Residual(last)
        )
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.classifier = nn.Linear(last, num_classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map normalised RGB pictures (N, 3, H, W) to logits (N, num_classes)."""
        features = self.stage2(self.stage1(self.stem(x)))
        logits: torch.Tensor = self.classifier(torch.flatten(self.pool(features), 1))
        return logits
