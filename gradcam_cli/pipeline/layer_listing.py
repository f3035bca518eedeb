"""The layers of a network, to choose a target from; no trained weights are needed."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from gradcam_cli.cam.layers.select import Candidate, NeedsValuesError, candidates, find_layer
from gradcam_cli.cam.layers.trace import Trace, trace_network
from gradcam_cli.errors import ModelError
from gradcam_cli.models.checkpoints.input_record import InputRecord
from gradcam_cli.models.labels import read_labels
from gradcam_cli.models.load import Outline, load_model, outline
from gradcam_cli.models.network import Network
from gradcam_cli.models.preprocess import adapted
from gradcam_cli.pipeline.input_fit import InputFit, find_fit

if TYPE_CHECKING:
    from gradcam_cli.pipeline.settings import ModelSettings
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
        record: what a side file would state of the network: what is known, not what is assumed.
    """

    model: str
    preset: Preset
    input: Size
    layers: list[Candidate]
    auto: str
    problem: str
    record: InputRecord


def list_layers(settings: ModelSettings) -> Listing:
    """List a network's layers.

    Args:
        settings: the network, its checkpoint, whose network is then listed, and its preprocessing; without a checkpoint
            no weights are needed.

    Raises:
        UsageError: there is no such network, or it takes no such arguments.
        ModelError: it cannot be built, or cannot be run on that size, or the checkpoint cannot be used.
    """
    network: Outline | Network
    given: Any = {"arguments": dict(settings.arguments), "texts": settings.texts}
    if settings.weights is None:
        network = outline(settings.model, **given)
    else:
        network = load_model(settings.model, weights=settings.weights, **given)
    found = _traced(network, settings)
    auto, problem = "", ""
    try:
        auto = find_layer(found.result).name
    except NeedsValuesError:
        if isinstance(network, Network):
            raise
        network = outline(settings.model, filled=True, **given)
        found = _traced(network, settings)
        auto = find_layer(found.result).name
    except ModelError as error:
        problem = error.message
    auto = network.layer or auto
    name, trace = network.name if isinstance(network, Network) else settings.model, found.result
    record = _record(settings, network, found, auto)
    return Listing(name, found.preset, trace.input_size, candidates(network.module, trace), auto, problem, record)


def _record(settings: ModelSettings, network: Outline | Network, found: InputFit[Trace], layer: str) -> InputRecord:
    preset, trace = found.preset, found.result
    own = network.labels if isinstance(network, Network) else None
    plain = settings.activation == "none"
    sides = trace.classes if plain else max(2, trace.classes)
    labels = own if settings.labels is None else read_labels(settings.labels, sides)
    activation = settings.activation if settings.activation != "auto" else trace.readout.probabilities
    guessed = set(network.assumed - settings.given - ({"size"} if found.derived else set()))
    if guessed & {"mean", "std"}:
        guessed.add("scale")
    exact = InputRecord(
        size=preset.size or preset.crop,
        resize=preset.resize
        if preset.size is None and preset.resize != preset.crop and "size" not in guessed
        else None,
        mean=preset.mean,
        std=preset.std,
        scale=preset.scale,
        labels=None if labels is None else list(labels),
        layer=layer or None,
        activation=activation,
    )
    nothing: dict[str, Any] = dict.fromkeys(guessed)
    return replace(exact, **nothing)


def _traced(network: Outline | Network, settings: ModelSettings) -> InputFit[Trace]:
    """Run the network for trial as a session does."""
    preset = adapted(
        network.preset, side=settings.input_size, mean=settings.mean, std=settings.std, scale_255=settings.scale_255
    )

    def attempt(size: Size) -> Trace:
        return trace_network(
            network.module, size, preset.channels, output=settings.output, plain=settings.activation == "none",
            gradients=True,
        )  # fmt: skip

    return find_fit(network, settings.model, preset, settings.fit, attempt, given=settings.input_size is not None)
