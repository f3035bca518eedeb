"""Grad-CAM of one batch, as a ratio to a bare forward pass of the same batch: ours and the peers', interleaved.

The bare pass is ``inference_mode`` through the network as torchvision builds it. Every peer is used as its manual says;
captum is told the class, so that it does without looking for it. What is printed is a Markdown table.
"""

from __future__ import annotations

import argparse
import copy
import statistics
import time
from contextlib import suppress
from typing import TYPE_CHECKING, TypeAlias

import torch
import torchvision

from gradcam_cli.cam.explainer import Explainer

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import nn

NETWORKS = (
    "squeezenet1_0", "mobilenet_v2", "resnet18", "resnet50", "vgg16", "densenet121", "efficientnet_b0",
    "convnext_tiny", "vit_b_16",
)  # fmt: skip
COLUMNS = ("gradcam", "gradcam --no-optimize", "captum", "torch-cam", "pytorch-grad-cam")

Timed: TypeAlias = "dict[str, Callable[[], object]]"


def contenders(net: nn.Module, batch: torch.Tensor) -> Timed:
    """Return what is timed; the first is the floor."""
    laid_out = batch.contiguous(memory_format=torch.channels_last)  # as the pipeline's batches are
    explainer, plain = Explainer(net, optimize=True), Explainer(net)
    found: Timed = {
        "forward": lambda: forward(net, batch),
        COLUMNS[0]: lambda: explainer(laid_out),
        COLUMNS[1]: lambda: plain(laid_out),
    }
    layer = explainer.layers[0].name
    tokens = explainer(batch[:1])[0].maps[0].values.shape if "encoder" in layer else None
    with suppress(ImportError):
        found["pytorch-grad-cam"] = pytorch_grad_cam(copy.deepcopy(net), layer, batch, tokens)
    if tokens is None:  # the others give no map of a transformer's tokens
        with suppress(ImportError):
            found["captum"] = captum(copy.deepcopy(net), layer, batch)
        with suppress(ImportError):
            found["torch-cam"] = torch_cam(copy.deepcopy(net), layer, batch)
    return found


@torch.inference_mode()
def forward(net: nn.Module, batch: torch.Tensor) -> torch.Tensor:
    return net(batch)


def pytorch_grad_cam(
    net: nn.Module, layer: str, batch: torch.Tensor, tokens: tuple[int, ...] | None
) -> Callable[[], object]:
    from pytorch_grad_cam import GradCAM

    def on_grid(tensor: torch.Tensor) -> torch.Tensor:
        return tensor[:, 1:].transpose(1, 2).unflatten(2, tokens)

    cam = GradCAM(net, [net.get_submodule(layer)], reshape_transform=on_grid if tokens else None)
    return lambda: cam(batch, None)


def captum(net: nn.Module, layer: str, batch: torch.Tensor) -> Callable[[], object]:
    from captum.attr import LayerGradCam

    cam = LayerGradCam(net, net.get_submodule(layer))
    return lambda: cam.attribute(batch, target=0, relu_attributions=True)


def torch_cam(net: nn.Module, layer: str, batch: torch.Tensor) -> Callable[[], object]:
    from torchcam.methods import GradCAM

    cam = GradCAM(net, target_layer=net.get_submodule(layer))

    def explain() -> object:
        scores = net(batch)
        return cam(scores.argmax(1).tolist(), scores)

    return explain


def ratios(timed: Timed, rounds: int) -> tuple[float, dict[str, float]]:
    """Return the floor's median seconds, and each contender's median ratio to the floor of its own round."""
    floors, found = [], {label: [] for label in timed}
    for _ in range(rounds):
        for label, call in timed.items():
            seconds = duration(call)
            if label == "forward":
                floors.append(seconds)
            found[label].append(seconds / floors[-1])
    return statistics.median(floors), {label: statistics.median(values) for label, values in found.items()}


def duration(call: Callable[[], object]) -> float:
    started = time.perf_counter()
    call()
    return time.perf_counter() - started


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("networks", nargs="*", default=NETWORKS)
    parser.add_argument("--batch-size", type=int, action="append", help="default: 1 and 16")
    parser.add_argument("--seconds", type=float, default=25, help="for each row, about; three rounds at least")
    options = parser.parse_args()
    print(f"| network | batch | forward | {' | '.join(COLUMNS)} |\n|---|---|---|{'---|' * len(COLUMNS)}")
    for size in options.batch_size or [1, 16]:
        for name in options.networks:
            torch.manual_seed(0)
            timed = contenders(torchvision.models.get_model(name, weights=None).eval(), torch.randn(size, 3, 224, 224))
            a_round = sum(duration(call) for call in timed.values())  # also to warm up
            floor, found = ratios(timed, max(3, round(options.seconds / a_round)))
            cells = [f"{found[label]:.2f}" if label in found else "" for label in COLUMNS]
            print(f"| {name} | {size} | {floor * 1e3:.0f} ms | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
