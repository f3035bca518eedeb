"""The methods' formulas in float64 NumPy, on gradients by central differences: no autograd, nothing of ours."""

from __future__ import annotations

import copy

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F


class Oracle:
    """What is true of one picture at one layer of the small network.

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

    def logits_of(self, picture: np.ndarray) -> np.ndarray:
        with torch.no_grad():
            return self._net(torch.from_numpy(picture)[None])[0].numpy()

    def at(self, picture: np.ndarray) -> Oracle:
        """Return what is true of another picture."""
        return Oracle(self._net, torch.from_numpy(picture), self._layer)

    def input_gradient(self, target: int, step: float = 1e-6) -> np.ndarray:
        """∂logit/∂picture, (3, H, W)."""
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
        """∂logit/∂picture, (3, H, W), written out layer by layer; ``guided`` cuts what is negative at ReLUs."""
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
        """Logits without a feature map."""
        maps = self._maps.clone()
        maps[:, channel] = 0
        return self.logits(maps)

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
    u, _, _ = np.linalg.svd(x.reshape(len(x), -1), full_matrices=False)
    projected = weighed(u[:, 0], x)
    return projected if (projected * sign_of.sum(0)).sum() >= 0 else -projected


def kernel_component(a: np.ndarray) -> np.ndarray:
    points = a.reshape(len(a), -1).T
    points = points - points.mean(0)
    kernel = np.tanh(points @ points.T / len(a) + 1)
    n = len(kernel)
    centring = np.eye(n) - np.ones((n, n)) / n
    values, vectors = np.linalg.eigh(centring @ kernel @ centring)
    projected = (vectors[:, -1] * np.sqrt(values[-1])).reshape(a.shape[1:])
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


def score_weights(method: str, truth: Oracle, target: int) -> np.ndarray:
    """Score-CAM's weights; a flat feature map has none."""
    a = truth.activations
    uneven = [k for k in range(len(a)) if np.ptp(a[k]) > 0]
    masks = {}
    for k in uneven:
        mask = upsampled(a[k], truth.picture.shape[1:])
        masks[k] = (mask - mask.min()) / (mask.max() - mask.min())

    def logits(change) -> np.ndarray:
        return np.stack([truth.logits_of(truth.picture * change(masks[k])) for k in uneven])

    whole = logits(lambda mask: mask)
    if method in ("scorecam", "faster-scorecam"):
        found = [softmax(row)[target] for row in whole]
    elif method == "scorecam-paper":
        found = softmax(whole[:, target] - truth.logits_of(np.zeros_like(truth.picture))[target])
    elif method == "scorecam-logits":
        found = softmax(whole[:, target])
    elif method == "iscam":
        found = softmax(np.mean([logits(lambda mask, i=i: mask * i / 10)[:, target] for i in range(1, 11)], axis=0))
    else:
        generator = torch.Generator().manual_seed(0)
        shape = (1, 1, *truth.picture.shape[1:])
        noises = [torch.randn(shape, generator=generator).double().numpy()[0, 0] * 2 for _ in range(8)]
        found = softmax(np.mean([logits(lambda mask, n=n: mask + n)[:, target] for n in noises], axis=0))
    weights = np.zeros(len(a))
    weights[uneven] = found
    return weights


def noisy(picture: np.ndarray, copies: int) -> list[np.ndarray]:
    generator = torch.Generator().manual_seed(0)
    noises = [torch.randn(picture.shape, generator=generator).double().numpy() for _ in range(copies)]
    return [picture + 0.15 * (picture.max() - picture.min()) * noise for noise in noises]


def smoothgradcam_pp(truth: Oracle, target: int) -> np.ndarray:
    gradients = np.stack([truth.at(copy).gradients()[target] for copy in noisy(truth.picture, 8)])
    first, second, third = (np.mean(gradients**power, axis=0) for power in (1, 2, 3))
    weights = np.zeros(len(first))
    for k, plane in enumerate(truth.activations):
        for d1, d2, d3 in zip(first[k].ravel(), second[k].ravel(), third[k].ravel(), strict=True):
            if d1 > 0:
                weights[k] += d1 * d2 / (2 * d2 + d3 * plane.sum())
    return weighed(weights, truth.activations)


def of_input(method: str, truth: Oracle, target: int) -> np.ndarray:
    """Return the map (H, W) of a method that shows the pixels' gradient."""
    if method == "gradient":
        found = truth.input_gradient(target)
    elif method == "smoothgrad":
        found = np.mean([truth.at(copy).sent_back(target, guided=False) for copy in noisy(truth.picture, 16)], axis=0)
    else:
        found = truth.sent_back(target, guided=True)
    if method == "guided-gradcam":
        coarse = weighed(truth.gradients()[target].mean((1, 2)), truth.activations)
        found = found * upsampled(np.maximum(coarse, 0), truth.picture.shape[1:])
    return np.abs(found).max(axis=0)


def expected(method: str, truth: Oracle, target: int) -> np.ndarray:
    """Return the method's map (h, w), not rectified."""
    if method in ("gradient", "smoothgrad", "guided-backprop", "guided-gradcam"):
        return of_input(method, truth, target)
    if method == "smoothgradcam++":
        return smoothgradcam_pp(truth, target)
    a, everyone = truth.activations, truth.gradients()
    g = everyone[target]
    if method == "finercam":
        logits = truth.logits()
        nearest = sorted((abs(logits[k] - logits[target]), k) for k in range(len(logits)) if k != target)[:3]
        return weighed((g - np.mean([everyone[k] for _, k in nearest], axis=0)).mean((1, 2)), a)
    if method == "shapleycam":
        curvature = (truth.gradients(1 + 1e-4)[target] - truth.gradients(1 - 1e-4)[target]) / 2e-4
        return weighed((g - curvature / 2).mean((1, 2)), a)
    if "score" in method or method in ("iscam", "sscam"):
        return weighed(score_weights(method, truth, target), a)
    if method == "ablationcam":
        y = truth.logits()[target]
        return weighed(np.array([(y - truth.without(k)[target]) / abs(y) for k in range(len(a))]), a)
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
