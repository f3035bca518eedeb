"""The architecture of the bundled network: a small residual network for pictures of about 32 pixels."""

from __future__ import annotations

import torch
from torch import nn

CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
"""CIFAR-10's classes in their official order, which is also the alphabetical one."""

MEAN = (0.4914, 0.4822, 0.4465)
STD = (0.2470, 0.2435, 0.2616)
"""Channel statistics of CIFAR-10's training pictures, RGB, in units of the [0, 1] pixel range."""


def _conv_norm(channels_in: int, channels_out: int, stride: int = 1) -> list[nn.Module]:
    convolution = nn.Conv2d(channels_in, channels_out, 3, stride=stride, padding=1, bias=False)
    return [convolution, nn.BatchNorm2d(channels_out)]


class Residual(nn.Module):
    """Two 3×3 convolutions with a shortcut: ``relu(shortcut(x) + f(x))`` (He et al., 2016).

    Where the shape changes, the shortcut averages over ``stride``×``stride`` pixels and mixes the channels.
    """

    def __init__(self, channels_in: int, channels_out: int, stride: int = 1) -> None:
        super().__init__()
        self.body = nn.Sequential(
            *_conv_norm(channels_in, channels_out, stride), nn.ReLU(), *_conv_norm(channels_out, channels_out)
        )
        self.shortcut: nn.Module = nn.Identity()
        if stride > 1 or channels_in != channels_out:
            mix = nn.Conv2d(channels_in, channels_out, 1, bias=False)
            self.shortcut = nn.Sequential(nn.AvgPool2d(stride), mix, nn.BatchNorm2d(channels_out))
        self.relu = nn.ReLU()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map (N, channels_in, h, w) to (N, channels_out, h / stride, w / stride)."""
        summed: torch.Tensor = self.relu(self.shortcut(x) + self.body(x))
        return summed


class TinyNet(nn.Module):
    """A residual network of under a million parameters whose last grid is a quarter of its input's size.

    Sixteen layers like those of a wide residual network (Zagoruyko and Komodakis, 2016). Global average pooling
    before the classifier lets it take any input whose sides are multiples of 4; a 32×32 picture has a last grid of
    8×8.

    Args:
        num_classes: length of the score vector.
        widths: numbers of channels of the three stages, at the input's size, half and a quarter of it.
    """

    def __init__(self, num_classes: int = 10, widths: tuple[int, int, int] = (32, 64, 144)) -> None:
        super().__init__()
        first, second, third = widths
        self.stem = nn.Sequential(*_conv_norm(3, first), nn.ReLU())
        self.stage1 = nn.Sequential(Residual(first, first), Residual(first, first))
        self.stage2 = nn.Sequential(Residual(first, second, stride=2), Residual(second, second))
        self.stage3 = nn.Sequential(Residual(second, third, stride=2), Residual(third, third))
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.classifier = nn.Linear(third, num_classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map normalised RGB pictures (N, 3, H, W) to logits (N, num_classes)."""
        features = self.stage3(self.stage2(self.stage1(self.stem(x))))
        logits: torch.Tensor = self.classifier(torch.flatten(self.pool(features), 1))
        return logits
