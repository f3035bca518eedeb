"""Methods that run the network many times, against pytorch-grad-cam's and against the bare forward rate.

Score-CAM's limit is the time of its masked pictures in bare forward passes of the folded, channels-last network.
"""

from __future__ import annotations

import argparse
import copy
import time
from typing import TYPE_CHECKING

import torch
import torchvision

from gradcam_cli.cam.capture import capture, recording
from gradcam_cli.cam.evidence import Patience
from gradcam_cli.cam.explainer import Explainer

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import nn


METHODS = ("gradcam", "scorecam", "faster-scorecam", "ablationcam")


def seconds(call: Callable[..., object], *arguments: object) -> float:
    started = time.perf_counter()
    call(*arguments)
    return time.perf_counter() - started


def ours(net: nn.Module, picture: torch.Tensor) -> tuple[str, int, float, dict[str, float]]:
    """Return the layer, its number of feature maps, a bare forward's seconds a picture, and each method's seconds."""
    net = net.to(memory_format=torch.channels_last)
    picture = picture.contiguous(memory_format=torch.channels_last)
    explainers = {method: Explainer(net, method=method, optimize=True) for method in METHODS}
    layer = explainers["gradcam"].layers[0].name
    with recording(), explainers["gradcam"].running() as (folded, layers):
        maps = capture(folded, layers, picture).feature_maps[0].shape[1]
        with torch.inference_mode():
            bare = min(seconds(folded, picture.repeat(16, 1, 1, 1)) for _ in range(5)) / 16
    took = {method: min(seconds(explainer, picture, 1) for _ in range(2)) for method, explainer in explainers.items()}
    patience = Patience(budget=took["scorecam"] / 12)
    hurried = Explainer(net, method="faster-scorecam", optimize=True, patience=patience)
    took["faster-scorecam, --budget a twelfth"] = seconds(hurried, picture, 1)
    return layer, maps, bare, took


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("networks", nargs="*", default=("squeezenet1_0", "resnet18"))
    parser.add_argument("--no-peers", action="store_true", help="leave pytorch-grad-cam's half minutes out")
    options = parser.parse_args()
    picture = torch.randn(1, 3, 224, 224)
    for name in options.networks:
        net = torchvision.models.get_model(name, weights=None).eval()
        plain = copy.deepcopy(net)
        layer, maps, bare, took = ours(net, picture)
        print(f"{name}, {layer}: {maps} feature maps, bare forward {bare * 1e3:.1f} ms a picture")
        for method, spent in took.items():
            print(f"  {method:36s} {spent:7.2f} s = {spent / bare / maps:5.2f} × maps × forward")
        if options.no_peers:
            continue
        from pytorch_grad_cam import AblationCAM, ScoreCAM
        from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget

        for peer, mine in ((ScoreCAM, "scorecam"), (AblationCAM, "ablationcam")):
            theirs = peer(plain, [plain.get_submodule(layer)])
            theirs.batch_size = 32
            spent = seconds(theirs, picture, [ClassifierOutputTarget(1)])
            times = spent / took[mine]
            print(f"  pytorch-grad-cam's {peer.__name__:17s} {spent:7.2f} s, ours is {times:.1f} times as fast")


if __name__ == "__main__":
    main()
