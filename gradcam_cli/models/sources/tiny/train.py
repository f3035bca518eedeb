"""Trains the bundled network on CIFAR-10 and writes it as safetensors.

``python -m gradcam_cli.models.sources.tiny.train`` downloads CIFAR-10 through torchvision; ``--data`` takes a local
copy instead: a folder or a zip with ``train/<class>/*`` and ``test/<class>/*``. An interrupted run continues from its
checkpoint. The recipe and its results are in the model card beside this file.
"""

from __future__ import annotations

import argparse
import io
import json
import math
import time
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from PIL import Image
from torch import nn
from torch.nn import functional as F

from gradcam_cli.models.sources.tiny.network import CLASSES, MEAN, STD, TinyNet

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence


def read_members(data: Path, split: str) -> Iterator[tuple[str, bytes]]:
    """Yield (class name, encoded picture) of one split of a local copy, in a fixed order."""
    if data.is_dir():
        for path in sorted(p for p in (data / split).glob("*/*") if p.is_file()):
            yield path.parent.name, path.read_bytes()
        return
    with zipfile.ZipFile(data) as archive:
        for name in sorted(archive.namelist()):
            parts = Path(name).parts
            if len(parts) >= 3 and parts[-3] == split and not name.endswith("/"):
                yield parts[-2], archive.read(name)


def load_split(data: Path | None, split: str, download_to: Path) -> tuple[torch.Tensor, torch.Tensor]:
    """Return one split as uint8 pictures (N, 3, 32, 32) and int64 classes (N,)."""
    if data is None:
        from torchvision.datasets import CIFAR10

        dataset = CIFAR10(str(download_to), train=split == "train", download=True)
        pictures, classes = dataset.data, dataset.targets
    else:
        members = list(read_members(data, split))
        pictures = np.stack([np.asarray(Image.open(io.BytesIO(blob)).convert("RGB")) for _, blob in members])
        classes = [CLASSES.index(name) for name, _ in members]
    return torch.from_numpy(np.ascontiguousarray(pictures)).permute(0, 3, 1, 2).contiguous(), torch.tensor(classes)


def normalise(pictures: torch.Tensor) -> torch.Tensor:
    """Map uint8 (N, 3, H, W) to the network's float32 input."""
    mean, std = torch.tensor(MEAN).view(1, 3, 1, 1), torch.tensor(STD).view(1, 3, 1, 1)
    return ((pictures.float() / 255 - mean) / std).contiguous(memory_format=torch.channels_last)


def augment(x: torch.Tensor, generator: torch.Generator, strength: float, holes: float, side: int) -> torch.Tensor:
    """Shift and mirror every picture; zoom, stretch, tint, blur and cut some of them.

    CIFAR-10's objects are centred and fill the frame; in a photograph they are smaller or larger, off the centre
    and lit differently, hence the zoom (0.6 to 1.5) and the tint, applied to a share ``strength`` of the batch.

    Args:
        x: normalised pictures (N, 3, H, W).
        generator: source of the randomness.
        strength: share in [0, 1] of the pictures that get more than a shift and a mirror.
        holes: share in [0, 1] of the pictures that get a hole of a third of their sides.
        side: height and width of the result, in pixels.
    """
    n = len(x)

    def uniform(low: float, high: float, *shape: int) -> torch.Tensor:
        return torch.rand(n, *shape, generator=generator) * (high - low) + low

    chosen = (torch.rand(n, generator=generator) < strength).float()
    zoom = torch.exp(uniform(math.log(0.65), math.log(1.6)) * chosen)
    aspect = torch.exp(uniform(-0.15, 0.15) * chosen)
    angle = uniform(-0.15, 0.15) * chosen
    mirror = torch.where(torch.rand(n, generator=generator) < 0.5, -1.0, 1.0)
    reach = 4 / 16 + chosen * 0.15
    theta = torch.zeros(n, 2, 3)
    theta[:, 0, 0] = mirror * zoom * aspect * torch.cos(angle)
    theta[:, 0, 1] = -zoom * torch.sin(angle)
    theta[:, 1, 0] = mirror * zoom * torch.sin(angle)
    theta[:, 1, 1] = zoom / aspect * torch.cos(angle)
    # Whole pixels where nothing else is done, so that those pictures stay sharp.
    shift = uniform(-1, 1, 2) * reach[:, None]
    theta[:, :, 2] = torch.where(chosen[:, None] > 0, shift, (shift * 16).round() / 16)
    grid = F.affine_grid(theta, [n, 3, side, side], align_corners=False)
    x = F.grid_sample(x, grid, mode="bilinear", padding_mode="reflection", align_corners=False)

    chosen = chosen.view(n, 1, 1, 1)
    grey = x.mean(1, keepdim=True)
    x = grey + (x - grey) * (1 + uniform(-0.5, 0.4, 1, 1, 1) * chosen)
    x = x * (1 + uniform(-0.25, 0.25, 1, 1, 1) * chosen) + uniform(-0.3, 0.3, 1, 1, 1) * chosen
    x = x + uniform(-0.12, 0.12, 3, 1, 1) * chosen

    top, left = uniform(0, side, 1, 1), uniform(0, side, 1, 1)
    rows, columns = torch.arange(side).view(1, -1, 1), torch.arange(side).view(1, 1, -1)
    reach = side / 6 * (torch.rand(n, 1, 1, generator=generator) < holes)
    hole = ((rows - top).abs() < reach) & ((columns - left).abs() < reach)
    return x.masked_fill(hole[:, None], 0.0).contiguous(memory_format=torch.channels_last)


@torch.inference_mode()
def accuracy(network: nn.Module, pictures: torch.Tensor, classes: torch.Tensor) -> float:
    """Return top-1 accuracy in [0, 1] in float32, one view per picture."""
    network.eval()
    right = 0
    for start in range(0, len(pictures), 500):
        logits = network(normalise(pictures[start : start + 500]))
        right += int((logits.argmax(1) == classes[start : start + 500]).sum())
    return right / len(pictures)


@dataclass(frozen=True)
class Stretch:
    """Epochs over which the learning rate falls once.

    Attributes:
        epochs: number of epochs.
        rate: the highest learning rate.
        weight_decay: of matrices and filters.
        holes: share of pictures with a hole.
        warm_up: share of the epochs over which the rate rises first.
        strength: share of strongly augmented pictures in the first half; over the second half it falls to zero.
        lowest: the rate at the end, as a share of the highest.
        small: epochs with pictures of ``SMALL_SIDE`` pixels: they cost half as much and train nearly as well.
    """

    epochs: int
    rate: float
    weight_decay: float
    holes: float
    warm_up: float = 0.0
    strength: float = 0.0
    lowest: float = 0.0
    small: int = 0


STRETCHES = (
    Stretch(epochs=40, rate=0.2, weight_decay=5e-4, holes=0.3, warm_up=0.2, strength=0.35, small=16),
    Stretch(epochs=8, rate=0.06, weight_decay=2e-4, holes=0.1),
    Stretch(epochs=1, rate=0.03, weight_decay=2e-4, holes=0.1, lowest=2 / 3),
)
"""The last starts from the mean of the others' final weights; its result is the running mean of its own weights."""

SMALL_SIDE = 24
MEMORY = 0.002
"""Weight of one step in the running mean of weights: it reaches back over five hundred steps."""

BATCHES_FOR_STATISTICS = 50


def stretch_of(epoch: int) -> tuple[int, int]:
    """Return the stretch of an epoch, counted from 0, and the number of its epochs before it."""
    for position, stretch in enumerate(STRETCHES):
        if epoch < stretch.epochs:
            return position, epoch
        epoch -= stretch.epochs
    raise ValueError("there is no such epoch")


def learning_rate(stretch: Stretch, done: float) -> float:
    """Return the rate after ``done`` epochs of a stretch: linearly up over its warm-up, then linearly down."""
    progress = done / stretch.epochs
    rising = progress / stretch.warm_up if stretch.warm_up else 1.0
    falling = 1 - (1 - stretch.lowest) * (progress - stretch.warm_up) / (1 - stretch.warm_up)
    return stretch.rate * min(rising, falling)


def mean_of(states: Sequence[dict[str, torch.Tensor]]) -> dict[str, torch.Tensor]:
    """Return the mean of networks' states; counters are those of the first."""
    return {
        key: torch.stack([state[key] for state in states]).mean(0) if first.is_floating_point() else first.clone()
        for key, first in states[0].items()
    }


@torch.no_grad()
def measure_statistics(network: nn.Module, pictures: torch.Tensor, options: argparse.Namespace) -> None:
    """Recompute the batch norms' statistics, which the mean of weights does not have."""
    norms = [module for module in network.modules() if isinstance(module, nn.BatchNorm2d)]
    usual = [norm.momentum for norm in norms]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # the plain mean over batches
    generator = torch.Generator().manual_seed(options.seed)
    network.train()
    order = torch.randperm(len(pictures), generator=generator)
    for indices in torch.split(order, 2 * options.batch_size)[:BATCHES_FOR_STATISTICS]:
        network(augment(normalise(pictures[indices]), generator, 0.0, 0.0, pictures.shape[-1]))
    for norm, momentum in zip(norms, usual, strict=True):
        norm.momentum = momentum


def train_epoch(
    network: nn.Module,
    optimiser: torch.optim.Optimizer,
    mean: dict[str, torch.Tensor],
    pictures: torch.Tensor,
    classes: torch.Tensor,
    epoch: int,
    options: argparse.Namespace,
) -> float:
    """Run one epoch in bfloat16 autocast, keep the running mean of the weights in ``mean``, return the mean loss.

    Seeded by the epoch, so that runs can resume.
    """
    generator = torch.Generator().manual_seed(options.seed * 1000 + epoch)
    position, done = stretch_of(epoch)
    stretch = STRETCHES[position]
    network.train()
    batches = torch.split(torch.randperm(len(pictures), generator=generator), options.batch_size)
    strength = stretch.strength * min(1.0, 2 * (1 - done / stretch.epochs))
    side = SMALL_SIDE if done < stretch.small else pictures.shape[-1]
    total = 0.0
    for step, indices in enumerate(batches):
        for group in optimiser.param_groups:
            group["lr"] = learning_rate(stretch, done + step / len(batches))
            group["weight_decay"] = stretch.weight_decay if group["decayed"] else 0.0
        x = augment(normalise(pictures[indices]), generator, strength, stretch.holes, side)
        with torch.autocast("cpu", torch.bfloat16):
            logits = network(x)
        loss = F.cross_entropy(logits.float(), classes[indices], label_smoothing=0.1)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        total += loss.item() * len(indices)
        if mean:
            for key, value in network.state_dict().items():
                mean[key].lerp_(value, MEMORY) if value.is_floating_point() else mean[key].copy_(value)
    return total / len(pictures)


def optimiser_for(network: nn.Module) -> torch.optim.Optimizer:
    """Return SGD with Nesterov momentum; weight decay on matrices and filters only."""
    decayed = [p for p in network.parameters() if p.ndim > 1]
    plain = [p for p in network.parameters() if p.ndim <= 1]
    groups = [{"params": decayed, "decayed": True}, {"params": plain, "decayed": False}]
    return torch.optim.SGD(groups, lr=0.0, momentum=0.9, nesterov=True)


def export(network: nn.Module, out: Path, facts: dict[str, str]) -> None:
    """Write filters and matrices as float16, the rest as float32, with ``facts`` in the file's header."""
    from safetensors.torch import save_file

    tensors = {
        name: (value.half() if value.ndim > 1 else value.float()).contiguous()
        for name, value in network.state_dict().items()
        if not name.endswith("num_batches_tracked")
    }
    save_file(tensors, str(out), metadata=facts)


def main() -> None:
    """Parse the flags, train, export, and print the accuracy of the exported file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="local copy (folder or zip); default: torchvision downloads it")
    parser.add_argument("--download-to", type=Path, default=Path("data"), help="where torchvision keeps its download")
    parser.add_argument("--out", type=Path, default=Path("tiny.safetensors"))
    parser.add_argument("--batch-size", type=int, default=128)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()

    torch.manual_seed(options.seed)
    network = TinyNet().to(memory_format=torch.channels_last)
    optimiser = optimiser_for(network)
    pictures, classes = load_split(options.data, "train", options.download_to)
    test_pictures, test_classes = load_split(options.data, "test", options.download_to)

    checkpoint = options.out.with_suffix(".checkpoint.pth")
    first = 0
    ends: list[dict[str, torch.Tensor]] = []
    mean: dict[str, torch.Tensor] = {}
    if checkpoint.exists():
        state = torch.load(checkpoint, weights_only=True)
        network.load_state_dict(state["network"])
        optimiser.load_state_dict(state["optimiser"])
        first, ends, mean = state["epoch"], state["ends"], state["mean"]
    epochs = sum(stretch.epochs for stretch in STRETCHES)
    for epoch in range(first, epochs):
        started = time.perf_counter()
        if stretch_of(epoch) == (len(STRETCHES) - 1, 0):
            network.load_state_dict(mean_of(ends))
            measure_statistics(network, pictures, options)
            optimiser = optimiser_for(network)
            mean = {key: value.clone() for key, value in network.state_dict().items()}
        loss = train_epoch(network, optimiser, mean, pictures, classes, epoch, options)
        if epoch + 1 < epochs and stretch_of(epoch + 1)[1] == 0:
            ends.append({key: value.clone() for key, value in network.state_dict().items()})
        part = checkpoint.with_suffix(".part")
        torch.save(
            {"network": network.state_dict(), "optimiser": optimiser.state_dict(), "epoch": epoch + 1,
             "ends": ends, "mean": mean}, part
        )  # fmt: skip
        part.replace(checkpoint)
        line = {"epoch": epoch + 1, "loss": round(loss, 4), "seconds": round(time.perf_counter() - started, 1)}
        line["test_accuracy"] = accuracy(network, test_pictures, test_classes)
        print(json.dumps(line), flush=True)

    network.load_state_dict(mean)
    network.half().float()  # the precision in the file
    reached = accuracy(network, test_pictures, test_classes)
    facts = {"dataset": "CIFAR-10", "seed": str(options.seed), "epochs": str(epochs)}
    export(network, options.out, facts | {"test_accuracy": f"{reached:.4f}"})
    print(json.dumps({"written": str(options.out), "test_accuracy": reached}))


if __name__ == "__main__":
    main()
