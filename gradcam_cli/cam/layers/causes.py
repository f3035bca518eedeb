"""Why a network cannot be run on a picture: each cause with its own way out."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING

import torch
from torch import nn

from gradcam_cli.errors import ModelError
from gradcam_cli.text import first_line

if TYPE_CHECKING:
    from gradcam_cli.records import Size


class CannotRunError(ModelError):
    """The network cannot be run on pictures of the size that was tried."""


def cannot_run(network: nn.Module, input_size: Size, channels: int, error: Exception) -> ModelError:
    """Return the error for a network that has raised ``error`` on a picture."""
    height, width = input_size
    problem = f"the network cannot be run on a {width}×{height} picture: {first_line(error)}"
    names = _required(network)
    if len(names) > 1:
        more = ", ".join(names[1:])
        given = ", ".join(["x", *(f"self.{name}" for name in names[1:])])
        return ModelError(
            f"the network needs more than a picture: forward() also takes {more}", _HINT, _wrapper(network, given)
        )
    if any(isinstance(each, nn.Conv3d) for each in network.modules()):
        return ModelError(
            "the network takes volumes or clips of five dimensions (N, C, D, H, W), not pictures",
            _HINT,
            _wrapper(network, "x[:, :, None].expand(-1, -1, 16, -1, -1)"),
        )
    first = next((each for each in network.modules() if isinstance(each, nn.Conv2d)), None)
    if any(word in str(error) for word in ("Half", "BFloat16")) and "should be the same" in str(error):
        return ModelError(
            "the network's forward changes the number format, which no longer suits its float32 weights",
            "leave the conversion out of forward: {precision} float16 runs the whole network in half precision",
        )
    if first is not None and first.in_channels != channels and "channels" in str(error):
        return ModelError(
            f"the network reads pictures of {first.in_channels} channels, and a picture file has 3, or 1 if it is gray",
            _HINT,
            _wrapper(network, "torch.cat([x, self.others], 1)" if first.in_channels > channels else "x[:, :2]"),
        )
    if isinstance(error, (TypeError, ValueError)) and any(word in str(error) for word in ("positional", "unpack")):
        return ModelError(
            f"the network takes several inputs in one, not a picture: {first_line(error)}",
            _HINT,
            _wrapper(network, "[x, self.other]"),
        )
    return CannotRunError(problem, "choose {input_size} and {fit} to suit it")


_HINT = "give it the rest by a class of your own that has it as an attribute"


def _wrapper(network: nn.Module, given: str) -> str:
    """Return the lines of a class that gives a network more than a picture x."""
    return (
        f"class Wrapped({type(network).__name__}):\n    def forward(self, x):\n        return super().forward({given})"
    )


def _required(network: nn.Module) -> list[str]:
    """Return the names of the arguments that a network's forward cannot do without."""
    try:
        parameters = inspect.signature(network.forward).parameters.values()
    except (TypeError, ValueError):
        return []
    usual = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    return [each.name for each in parameters if each.default is each.empty and each.kind in usual]


def unobserved(network: nn.Module) -> ModelError | None:
    """Return the error for a network whose layers cannot be observed: TorchScript, quantised; None for others."""
    if quantised(network):
        return ModelError(
            "the network is quantised: its layers return whole numbers",
            "give the network as it was before quantisation",
        )
    if any(isinstance(each, torch.jit.ScriptModule) for each in network.modules()):
        return ModelError(
            "the network is TorchScript (torch.jit), whose layers cannot be observed",
            "give the network as it was before torch.jit.script or torch.jit.trace, or its torch.export archive",
        )
    return None


def quantised(network: nn.Module) -> bool:
    """Return whether a part of the network computes with whole numbers, which have no gradients."""
    return any("quantized" in type(each).__module__ for each in network.modules())
