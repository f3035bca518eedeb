"""Grad-CAM of one batch, as a ratio to a bare forward pass of the same batch: ours and the peers', interleaved."""

from __future__ import annotations

import argparse
import copy
import statistics
import time
from typing import TYPE_CHECKING

import torch
import torchvision
from torch import nn

from gradcam_cli.cam.explainer import Explainer

if TYPE_CHECKING:
    from collections.abc import Callable

NETWORKS = ("squeezenet1_0", "mobilenet_v2", "resnet18", "resnet50")


def contenders(net: nn.Module, batch: torch.Tensor) -> dict[str, Callable[[], object]]:
    """Return what is timed; the first is the floor."""
    explainer = Explainer(net)
    layer = explainer.layers[0]
    fast = copy.deepcopy(net).to(memory_format=torch.channels_last)
    fast_batch = batch.contiguous(memory_format=torch.channels_last)
    fast_explainer = Explainer(fast, layer.name)
    folded_explainer = Explainer(fast, layer.name, optimize=True)
    found: dict[str, Callable[[], object]] = {
        "forward": lambda: forward(net, batch),
        "gradcam": lambda: explainer(batch),
        "forward, channels-last": lambda: forward(fast, fast_batch),
        "gradcam, channels-last": lambda: fast_explainer(fast_batch),
        "gradcam, as commands do": lambda: folded_explainer(fast_batch),
    }
    try:
        from pytorch_grad_cam import GradCAM

        peer_net = copy.deepcopy(net)
        peer = GradCAM(peer_net, [peer_net.get_submodule(layer.name)])
        found["pytorch-grad-cam"] = lambda: peer(batch, None)
    except ImportError:
        pass
    try:
        from torchcam.methods import GradCAM as TorchCAM

        other_net = copy.deepcopy(net)
        extractor = TorchCAM(other_net, target_layer=other_net.get_submodule(layer.name))

        def torchcam() -> object:
            scores = other_net(batch)
            return extractor(scores.argmax(1).tolist(), scores)

        found["torch-cam"] = torchcam
    except ImportError:
        pass
    return found


@torch.inference_mode()
def forward(net: nn.Module, batch: torch.Tensor) -> torch.Tensor:
    return net(batch)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("networks", nargs="*", default=NETWORKS)
    parser.add_argument("--batch-size", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=9)
    options = parser.parse_args()
    for name in options.networks:
        net = torchvision.models.get_model(name, weights=None).eval()
        batch = torch.randn(options.batch_size, 3, 224, 224)
        timed = contenders(net, batch)
        seconds: dict[str, list[float]] = {label: [] for label in timed}
        for turn in range(options.rounds + 1):
            for label, call in timed.items():
                started = time.perf_counter()
                call()
                if turn:
                    seconds[label].append(time.perf_counter() - started)
        floor = statistics.median(seconds["forward"])
        print(f"{name}, batch {options.batch_size}: forward {floor * 1e3:.0f} ms")
        for label, values in seconds.items():
            print(f"  {label:26s} {statistics.median(values) / floor:5.2f} × forward")


if __name__ == "__main__":
    main()
