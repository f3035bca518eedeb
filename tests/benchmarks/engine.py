"""Grad-CAM of one batch, as a ratio to a bare forward pass of the same batch: ours and the peers', interleaved.

The bare pass is ``inference_mode`` through the network as torchvision builds it. Every peer is used as its manual says;
captum is told the class, so that it does without looking for it. Each contender has a process of its own, in which it
alone decides what memory is kept from pass to pass, as in a program of its own; they take turns. What the commands do
about memory, they do here too, and another bare pass shows how much of the gain is due to that. What is printed is a
Markdown table.
"""

from __future__ import annotations

import argparse
import multiprocessing
import statistics
import time
from typing import TYPE_CHECKING, TypeAlias

import torch
import torchvision

from gradcam_cli.cam.explainer import Explainer
from gradcam_cli.cli.tuning import hold_memory

if TYPE_CHECKING:
    from collections.abc import Callable
    from multiprocessing.connection import Connection

    from torch import nn

NETWORKS = (
    "squeezenet1_0", "mobilenet_v2", "resnet18", "resnet50", "vgg16", "densenet121", "efficientnet_b0",
    "convnext_tiny", "vit_b_16",
)  # fmt: skip
FLOOR = "forward"
CONTENDERS = (
    FLOOR, "forward, memory kept", "gradcam", "gradcam --no-optimize", "captum", "torch-cam", "pytorch-grad-cam"
)  # fmt: skip

Call: TypeAlias = "Callable[[], object]"


def contender(label: str, net: nn.Module, batch: torch.Tensor) -> Call:
    """Return what is timed.

    Raises:
        ImportError: the peer is not installed.
        NotImplementedError: it gives no map of a transformer's tokens.
    """
    if label in CONTENDERS[1:4]:
        hold_memory()
    if label.startswith(FLOOR):
        return lambda: forward(net, batch)
    explainer = Explainer(net, optimize=label == "gradcam")
    if label.startswith("gradcam"):
        laid_out = batch.contiguous(memory_format=torch.channels_last)  # as the pipeline's batches are
        return lambda: explainer(laid_out)
    layer = explainer.layers[0].name
    tokens = explainer(batch[:1])[0].maps[0].values.shape if "encoder" in layer else None
    if label == "pytorch-grad-cam":
        return pytorch_grad_cam(net, layer, batch, tokens)
    if tokens is not None:
        raise NotImplementedError
    return captum(net, layer, batch) if label == "captum" else torch_cam(net, layer, batch)


@torch.inference_mode()
def forward(net: nn.Module, batch: torch.Tensor) -> torch.Tensor:
    return net(batch)


def pytorch_grad_cam(net: nn.Module, layer: str, batch: torch.Tensor, tokens: tuple[int, ...] | None) -> Call:
    from pytorch_grad_cam import GradCAM

    def on_grid(tensor: torch.Tensor) -> torch.Tensor:
        return tensor[:, 1:].transpose(1, 2).unflatten(2, tokens)

    cam = GradCAM(net, [net.get_submodule(layer)], reshape_transform=on_grid if tokens else None)
    return lambda: cam(batch, None)


def captum(net: nn.Module, layer: str, batch: torch.Tensor) -> Call:
    from captum.attr import LayerGradCam

    cam = LayerGradCam(net, net.get_submodule(layer))
    return lambda: cam.attribute(batch, target=0, relu_attributions=True)


def torch_cam(net: nn.Module, layer: str, batch: torch.Tensor) -> Call:
    from torchcam.methods import GradCAM

    cam = GradCAM(net, target_layer=net.get_submodule(layer))

    def explain() -> object:
        scores = net(batch)
        return cam(scores.argmax(1).tolist(), scores)

    return explain


def take_turns(label: str, name: str, size: int, mine: Connection) -> None:
    """Work of one contender's process: warm up, then time a pass each time it is told to."""
    torch.manual_seed(0)
    net, batch = torchvision.models.get_model(name, weights=None).eval(), torch.randn(size, 3, 224, 224)
    try:
        call = contender(label, net, batch)
    except (ImportError, NotImplementedError):
        mine.send(False)
        return
    call()
    call()
    mine.send(True)
    while mine.recv():
        mine.send(duration(call))


def duration(call: Call) -> float:
    started = time.perf_counter()
    call()
    return time.perf_counter() - started


def row(name: str, size: int, seconds: float) -> dict[str, list[float]]:
    """Return each contender's seconds in each round: for ``seconds``, and three rounds at least."""
    processes = multiprocessing.get_context("spawn")  # a forked process would have no threads for the network
    begun: dict[str, Connection] = {}
    for label in CONTENDERS:
        begun[label], theirs = processes.Pipe()
        processes.Process(target=take_turns, args=(label, name, size, theirs), daemon=True).start()
    lines = {label: line for label, line in begun.items() if line.recv()}
    found: dict[str, list[float]] = {label: [] for label in lines}
    started = time.perf_counter()
    while len(found[FLOOR]) < 3 or time.perf_counter() - started < seconds:
        for label, line in lines.items():
            line.send(True)
            found[label].append(line.recv())
    for line in lines.values():
        line.send(False)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("networks", nargs="*", default=NETWORKS)
    parser.add_argument("--batch-size", type=int, action="append", help="default: 1 and 16")
    parser.add_argument("--seconds", type=float, default=25, help="for each row, about; three rounds at least")
    options = parser.parse_args()
    print(f"| network | batch | {' | '.join(CONTENDERS)} |\n|---|---|{'---|' * len(CONTENDERS)}")
    for size in options.batch_size or [1, 16]:
        for name in options.networks:
            found = row(name, size, options.seconds)
            floors = found[FLOOR]
            cells = [f"{statistics.median(floors) * 1e3:.0f} ms"]
            for label in CONTENDERS[1:]:
                pairs = zip(found[label], floors, strict=True) if label in found else ()
                cells.append(f"{statistics.median(taken / floor for taken, floor in pairs):.2f}" if pairs else "")
            print(f"| {name} | {size} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
