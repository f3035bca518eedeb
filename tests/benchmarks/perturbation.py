"""Methods that run the network many times, against pytorch-grad-cam's and against the bare forward rate.

Score-CAM's limit is the time of its masked pictures in bare forward passes of the folded, channels-last network. All
are run in turn, some rounds, and the best of each is taken: a machine shared with others is slow at times.
"""

from __future__ import annotations

import argparse
import copy
import time
from functools import partial
from typing import TYPE_CHECKING

import torch
import torchvision

from gradcam_cli.cam.capture import capture
from gradcam_cli.cam.context import Budget
from gradcam_cli.cam.explainer import Explainer
from gradcam_cli.cam.function_modes import recording
from gradcam_cli.cli.tuning import hold_memory

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import nn

METHODS = ("gradcam", "scorecam", "faster-scorecam", "ablationcam")
QUICK = ("bare", "gradcam", "ablationcam")
PEER = "pytorch-grad-cam's "


def seconds(call: Callable[[], object]) -> float:
    started = time.perf_counter()
    call()
    return time.perf_counter() - started


def calls_of(net: nn.Module, picture: torch.Tensor, *, peers: bool) -> tuple[str, int, dict[str, Callable[[], object]]]:
    """Return the layer, its number of feature maps, and what is to be timed by what it is called."""
    plain = copy.deepcopy(net)
    net = net.to(memory_format=torch.channels_last)
    picture = picture.contiguous(memory_format=torch.channels_last)
    explainers = {method: Explainer(net, method=method, optimize=True) for method in METHODS}
    layer = explainers["gradcam"].layers[0].name
    with recording(), explainers["gradcam"].running() as (folded, layers):
        maps = capture(folded, layers, picture, explainers["gradcam"].readout).feature_maps[0].shape[1]
    sixteen = picture.repeat(16, 1, 1, 1)

    def bare() -> None:
        with torch.inference_mode():
            folded(sixteen)

    calls: dict[str, Callable[[], object]] = {"bare": bare}
    calls |= {method: partial(explainer, picture, 1) for method, explainer in explainers.items()}
    if peers:
        from pytorch_grad_cam import AblationCAM, ScoreCAM
        from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget

        for peer in (ScoreCAM, AblationCAM):
            theirs = peer(plain, [plain.get_submodule(layer)])
            theirs.batch_size = 32
            calls[f"{PEER}{peer.__name__}"] = partial(theirs, picture, [ClassifierOutputTarget(1)])
    return layer, maps, calls


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("networks", nargs="*", default=("squeezenet1_0", "resnet18"))
    parser.add_argument("--no-peers", action="store_true", help="leave pytorch-grad-cam's half minutes out")
    parser.add_argument("--rounds", type=int, default=2)
    options = parser.parse_args()
    hold_memory()  # as the command does
    picture = torch.randn(1, 3, 224, 224)
    for name in options.networks:
        net = torchvision.models.get_model(name, weights=None).eval()
        layer, maps, calls = calls_of(net, picture, peers=not options.no_peers)
        took: dict[str, float] = {}
        for _ in range(options.rounds):
            for label, call in calls.items():
                spent = min(seconds(call) for _ in range(5 if label in QUICK else 1))
                took[label] = min(spent, took.get(label, spent))
        budget = Budget(seconds=took["scorecam"] / 12)
        hurried = Explainer(net, method="faster-scorecam", optimize=True, budget=budget)
        took["faster-scorecam, --budget a twelfth"] = seconds(partial(hurried, picture, 1))
        bare = took.pop("bare") / 16
        print(f"{name}, {layer}: {maps} feature maps, bare forward {bare * 1e3:.1f} ms a picture")
        for label, spent in took.items():
            print(f"  {label:36s} {spent:7.2f} s = {spent / bare / maps:5.2f} × maps × forward")
        for peer, mine in (("ScoreCAM", "scorecam"), ("AblationCAM", "ablationcam")):
            if f"{PEER}{peer}" in took:
                print(f"  {mine} is {took[PEER + peer] / took[mine]:.1f} times as fast as the peer's")


if __name__ == "__main__":
    main()
