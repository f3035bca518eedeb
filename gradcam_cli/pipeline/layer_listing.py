"""The layers of a network, to choose a target from; no trained weights are needed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from gradcam_cli.cam.layers.select import Candidate, NeedsValuesError, candidates, find_layer
from gradcam_cli.cam.layers.trace import Trace, trace_network
from gradcam_cli.errors import ModelError
from gradcam_cli.models.load import Outline, load_model, outline
from gradcam_cli.models.network import Network
from gradcam_cli.models.preprocess import adapted
from gradcam_cli.pipeline.input_fit import InputFit, find_fit

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from gradcam_cli.records import Preset, Size


@dataclass(frozen=True, slots=True)
class Listing:
    """A network's layers, and its input.

    Attributes:
        model: the network's name.
        preset: how its pictures are preprocessed.
        input: (h, w) of the network's input, for a picture of the usual shape.
        layers: parents before children.
        auto: name of the layer that ``--layer auto`` takes; empty where there is none.
        problem: why there is none, or empty.
    """

    model: str
    preset: Preset
    input: Size
    layers: list[Candidate]
    auto: str
    problem: str = ""


def list_layers(
    spec: str,
    input_size: int | Size | None = None,
    weights: Path | None = None,
    arguments: Mapping[str, object] | None = None,
) -> Listing:
    """List a network's layers.

    Args:
        spec: its name.
        weights: a checkpoint, whose network is listed; without one no weights are needed.
        input_size: side of the input in pixels, or (h, w), instead of the network's own.
        arguments: arguments for the user's own code.

    Raises:
        UsageError: there is no such network, or it takes no such arguments.
        ModelError: it cannot be built, or cannot be run on that size, or the checkpoint cannot be used.
    """
    network: Outline | Network
    if weights is None:
        network = outline(spec, arguments=arguments)
    else:
        network = load_model(spec, weights=weights, arguments=arguments)
    found = _traced(network, spec, input_size)
    auto, problem = "", ""
    try:
        auto = find_layer(found.result).name
    except NeedsValuesError:
        if isinstance(network, Network):
            raise
        network = outline(spec, filled=True, arguments=arguments)
        found = _traced(network, spec, input_size)
        auto = find_layer(found.result).name
    except ModelError as error:
        problem = error.message
    name, trace = network.name if isinstance(network, Network) else spec, found.result
    return Listing(name, found.preset, trace.input_size, candidates(network.module, trace), auto, problem)


def _traced(network: Outline | Network, name: str, input_size: int | Size | None) -> InputFit[Trace]:
    """Run the network for trial as a session does."""
    preset = adapted(network.preset, side=input_size, mean=None, std=None, scale_255=False)

    def attempt(size: Size) -> Trace:
        return trace_network(network.module, size, preset.channels, gradients=True)

    return find_fit(network, name, preset, "whole", attempt, given=input_size is not None)
