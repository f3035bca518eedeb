"""The methods' formulas in float64 NumPy, and what they need of the small network: no autograd, nothing of ours.

Decompositions are torch's, which keep to one core; NumPy's stall where others are busy.
"""

from __future__ import annotations

import copy
from functools import lru_cache
from typing import Protocol

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F


class Truth(Protocol):
    """What the formulas need to know of one picture, a network and one of its layers; all of it float64.

    Attributes:
        picture: as the network takes it, (3, H, W).
        activations: of the layer, (C, h, w).
    """

    picture: np.ndarray
    activations: np.ndarray

    def logits(self) -> np.ndarray: ...

    def logits_of(self, pictures: np.ndarray) -> np.ndarray:
        """Logits of other pictures, (N, 3, H, W) → (N, K)."""

    def without(self, channel: int) -> np.ndarray:
        """Logits without a feature map."""

    def gradient(self, target: int) -> np.ndarray:
        """∂logit/∂activation, (C, h, w)."""

    def curvature(self, target: int) -> np.ndarray:
        """Its Hessian times the activation, (C, h, w)."""

    def input_gradient(self, target: int) -> np.ndarray:
        """∂logit/∂picture, (3, H, W)."""

    def sent_back(self, target: int, *, guided: bool) -> np.ndarray:
        """Write the same out layer by layer; ``guided`` cuts what is negative at ReLUs."""

    def at(self, picture: np.ndarray) -> Truth:
        """Return what is true of another picture."""


class Oracle:
    """The truth of the small network, with gradients by central differences.

    Args:
        net: of ``conftest.SmallNet``.
        picture: (3, H, W).
        layer: ``features``, or ``features.3`` in front of its last ReLU, where activations are negative too.
    """

    def __init__(self, net: nn.Module, picture: torch.Tensor, layer: str) -> None:
        self._net = copy.deepcopy(net).double()
        self._layer = layer
        self.picture = picture.double().numpy()
        self._last = nn.Identity() if layer == "features" else self._net.features[4]
        stem = self._net.features if layer == "features" else self._net.features[:4]
        with torch.no_grad():
            self._maps = stem(picture.double()[None])
        self.activations = self._maps[0].numpy()

    def logits(self, maps: torch.Tensor | None = None) -> np.ndarray:
        with torch.no_grad():
            return self._net.head(self._last(self._maps if maps is None else maps))[0].numpy()

    def logits_of(self, pictures: np.ndarray) -> np.ndarray:
        with torch.no_grad():
            return self._net(torch.from_numpy(pictures)).numpy()

    def at(self, picture: np.ndarray) -> Oracle:
        return Oracle(self._net, torch.from_numpy(picture), self._layer)

    def input_gradient(self, target: int, step: float = 1e-6) -> np.ndarray:
        flat = torch.from_numpy(self.picture).flatten()
        columns = []
        for positions in torch.arange(len(flat)).split(480):
            moved = torch.zeros(len(positions), len(flat), dtype=torch.float64)
            moved[torch.arange(len(positions)), positions] = step
            with torch.no_grad():
                above, below = (self._net((flat + m).view(-1, *self.picture.shape)) for m in (moved, -moved))
            columns.append((above - below)[:, target] / (2 * step))
        return torch.cat(columns).view(self.picture.shape).numpy()

    def sent_back(self, target: int, *, guided: bool) -> np.ndarray:
        first, relu, second, norm, _ = self._net.features
        mix, weights = self._net.tail[0], self._net.classifier.weight[target]
        picture = torch.from_numpy(self.picture)[None]
        with torch.no_grad():
            before = [first(picture)]
            before.append(norm(second(relu(before[0]))))
            after = self._net.tail(before[1].clamp(min=0))
            back = (1 - after**2) * weights[:, None, None] / after[0, 0].numel()
            back = torch.einsum("oi,nohw->nihw", mix.weight[:, :, 0, 0], back)
            for convolution, values in ((second, before[1]), (first, before[0])):
                back = torch.where((values > 0) & ((back > 0) | (not guided)), back, 0.0)
                if convolution is second:
                    back = back * (norm.weight / (norm.running_var + norm.eps) ** 0.5)[:, None, None]
                # A stride of 2 halves an even side.
                back = F.conv_transpose2d(back, convolution.weight, stride=2, padding=1, output_padding=1)
        return back[0].numpy()

    def without(self, channel: int) -> np.ndarray:
        maps = self._maps.clone()
        maps[:, channel] = 0
        return self.logits(maps)

    def gradient(self, target: int) -> np.ndarray:
        return self.gradients()[target]

    def curvature(self, target: int) -> np.ndarray:
        return (self.gradients(1 + 1e-4)[target] - self.gradients(1 - 1e-4)[target]) / 2e-4

    @lru_cache(maxsize=4)  # noqa: B019  (a few small oracles outlive their test)
    def gradients(self, scale: float = 1.0) -> np.ndarray:
        """∂logit/∂activation for all classes, (K, C, h, w), at ``scale`` times the activation."""
        flat = self._maps.flatten() * scale
        columns = []
        for position in range(len(flat)):
            step = torch.zeros_like(flat)
            step[position] = 1e-5
            above, below = (self.logits((flat + sign * step).view_as(self._maps)) for sign in (1, -1))
            columns.append((above - below) / 2e-5)
        return np.stack(columns, axis=1).reshape(-1, *self.activations.shape)


def weighed(weights: np.ndarray, maps: np.ndarray) -> np.ndarray:
    return np.tensordot(weights, maps, axes=1)


def gradcam_pp(a: np.ndarray, g: np.ndarray) -> np.ndarray:
    weights = np.zeros(len(a))
    for k in range(len(a)):
        for gradient in g[k].ravel():
            if gradient > 0:
                weights[k] += gradient * gradient**2 / (2 * gradient**2 + gradient**3 * a[k].sum())
    return weighed(weights, a)


def xgradcam(a: np.ndarray, g: np.ndarray) -> np.ndarray:
    return weighed(np.array([(g[k] * a[k]).sum() / a[k].sum() if a[k].any() else 0.0 for k in range(len(a))]), a)


def component(x: np.ndarray, sign_of: np.ndarray) -> np.ndarray:
    """Project the columns of ``x`` (C, h, w) on its first left singular vector, uncentred."""
    u = torch.linalg.svd(torch.from_numpy(x).flatten(1), full_matrices=False)[0].numpy()
    projected = weighed(u[:, 0], x)
    return projected if (projected * sign_of.sum(0)).sum() >= 0 else -projected


def kernel_component(a: np.ndarray) -> np.ndarray:
    points = a.reshape(len(a), -1).T
    points = points - points.mean(0)
    kernel = np.tanh(points @ points.T / len(a) + 1)
    n = len(kernel)
    centring = np.eye(n) - np.ones((n, n)) / n
    values, vectors = torch.linalg.eigh(torch.from_numpy(centring @ kernel @ centring))
    projected = (vectors[:, -1] * values[-1].sqrt()).numpy().reshape(a.shape[1:])
    return projected if (projected * a.sum(0)).sum() >= 0 else -projected


def fem(a: np.ndarray) -> np.ndarray:
    return weighed(np.array([(plane > plane.mean() + 2 * plane.std()).mean() for plane in a]), a)


def upsampled(plane: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Bilinear with half-pixel centres, edges repeated."""
    for axis, length in enumerate(size):
        places = np.clip((np.arange(length) + 0.5) * plane.shape[axis] / length - 0.5, 0, plane.shape[axis] - 1)
        low = np.floor(places).astype(int)
        high = np.minimum(low + 1, plane.shape[axis] - 1)
        share = np.expand_dims(places - low, 1 - axis)
        plane = np.take(plane, low, axis) * (1 - share) + np.take(plane, high, axis) * share
    return plane


def softmax(values: np.ndarray) -> np.ndarray:
    powers = np.exp(values - values.max())
    return powers / powers.sum()


@lru_cache(maxsize=4)
def masks_of(truth: Truth) -> dict[int, np.ndarray]:
    """Score-CAM's masks (H, W) by feature map; one that is flat has none."""
    masks = {}
    for k, plane in enumerate(truth.activations):
        if np.ptp(plane) > 0:
            mask = upsampled(plane, truth.picture.shape[1:])
            masks[k] = (mask - mask.min()) / (mask.max() - mask.min())
    return masks


@lru_cache(maxsize=32)
def masked(truth: Truth, strength: float = 1.0, copy: int | None = None) -> np.ndarray:
    """Logits under each mask, (masks, K): under a share of it, or its noisy copy of that number."""
    noise = 0.0
    if copy is not None:
        generator = torch.Generator().manual_seed(0)
        shape = (1, 1, *truth.picture.shape[1:])
        noise = [torch.randn(shape, generator=generator).double().numpy()[0, 0] * 2 for _ in range(copy + 1)][-1]
    return truth.logits_of(np.stack([truth.picture * (m * strength + noise) for m in masks_of(truth).values()]))


def score_weights(method: str, truth: Truth, target: int) -> np.ndarray:
    """Score-CAM's weights; a flat feature map has none."""
    if method == "scorecam":
        found = [softmax(row)[target] for row in masked(truth)]
    elif method == "faster-scorecam":
        varied = np.argsort([-truth.activations[k].var() for k in masks_of(truth)])[:64]
        found = [softmax(row)[target] if k in varied else 0.0 for k, row in enumerate(masked(truth))]
    elif method == "scorecam-paper":
        blank = truth.logits_of(np.zeros_like(truth.picture)[None])[0]
        found = softmax(masked(truth)[:, target] - blank[target])
    elif method == "scorecam-logits":
        found = softmax(masked(truth)[:, target])
    elif method == "iscam":
        found = softmax(np.mean([masked(truth, i / 10)[:, target] for i in range(1, 11)], axis=0))
    else:
        found = softmax(np.mean([masked(truth, copy=n)[:, target] for n in range(8)], axis=0))
    weights = np.zeros(len(truth.activations))
    weights[list(masks_of(truth))] = found
    return weights


def noisy(picture: np.ndarray, copies: int) -> list[np.ndarray]:
    generator = torch.Generator().manual_seed(0)
    noises = [torch.randn(picture.shape, generator=generator).numpy() for _ in range(copies)]
    spread = picture.dtype.type(0.15) * (picture.max() - picture.min())
    return [picture + spread * noise for noise in noises]


@lru_cache(maxsize=4)
def noised(truth: Truth, copies: int) -> list[Truth]:
    return [truth.at(picture) for picture in noisy(truth.picture, copies)]


def smoothgradcam_pp(truth: Truth, target: int) -> np.ndarray:
    gradients = np.stack([each.gradient(target) for each in noised(truth, 8)])
    first, second, third = (np.mean(gradients**power, axis=0) for power in (1, 2, 3))
    weights = np.zeros(len(first))
    for k, plane in enumerate(truth.activations):
        for d1, d2, d3 in zip(first[k].ravel(), second[k].ravel(), third[k].ravel(), strict=True):
            if d1 > 0:
                weights[k] += d1 * d2 / (2 * d2 + d3 * plane.sum())
    return weighed(weights, truth.activations)


def of_input(method: str, truth: Truth, target: int) -> np.ndarray:
    """Return the map (H, W) of a method that shows the pixels' gradient."""
    if method == "gradient":
        found = truth.input_gradient(target)
    elif method == "smoothgrad":
        found = np.mean([each.sent_back(target, guided=False) for each in noised(truth, 16)], axis=0)
    else:
        found = truth.sent_back(target, guided=True)
    if method == "guided-gradcam":
        coarse = weighed(truth.gradient(target).mean((1, 2)), truth.activations)
        found = found * upsampled(np.maximum(coarse, 0), truth.picture.shape[1:])
    return np.abs(found).max(axis=0)


def expected(method: str, truth: Truth, target: int) -> np.ndarray:
    """Return the method's map (h, w), not rectified."""
    if method in ("gradient", "smoothgrad", "guided-backprop", "guided-gradcam"):
        return of_input(method, truth, target)
    if method == "smoothgradcam++":
        return smoothgradcam_pp(truth, target)
    a = truth.activations
    if "score" in method or method in ("iscam", "sscam"):
        return weighed(score_weights(method, truth, target), a)
    if method == "ablationcam":
        y = truth.logits()[target]
        return weighed(np.array([(y - truth.without(k)[target]) / abs(y) for k in range(len(a))]), a)
    g = truth.gradient(target)
    if method == "finercam":
        logits = truth.logits()
        nearest = sorted((abs(logits[k] - logits[target]), k) for k in range(len(logits)) if k != target)[:3]
        return weighed((g - np.mean([truth.gradient(k) for _, k in nearest], axis=0)).mean((1, 2)), a)
    if method == "shapleycam":
        return weighed((g - truth.curvature(target) / 2).mean((1, 2)), a)
    formulas = {
        "gradcam": lambda: weighed(g.mean((1, 2)), a),
        "gradcam++": lambda: gradcam_pp(a, g),
        "xgradcam": lambda: xgradcam(a, g),
        "hirescam": lambda: (g * a).sum(0),
        "layercam": lambda: (np.maximum(g, 0) * a).sum(0),
        "gradcam-elementwise": lambda: np.maximum(g * a, 0).sum(0),
        "guided-weights": lambda: weighed(np.where((g > 0) & (a > 0), g, 0).mean((1, 2)), a),
        "eigencam": lambda: component(a, a),
        "eigengradcam": lambda: component(g * a, g * a),
        "kpca-cam": lambda: kernel_component(a),
        "fem": lambda: fem(a),
    }
    return formulas[method]()
