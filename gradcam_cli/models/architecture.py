"""The description of a model by its source: how it is built, and which trained weights exist for it.

A source has the interface `ModelSource` and one line in ``registry.SOURCES``.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from gradcam_cli.models.checkpoints.input_record import InputRecord

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from torch import Tensor, nn

    from gradcam_cli.models.download import Progress
    from gradcam_cli.records import Activation, Preset


def same_key(key: str) -> str:
    """Return ``key``: for networks whose checkpoints use the network's own names."""
    return key


@dataclass(frozen=True)
class Recipe:
    """One published set of weights.

    Attributes:
        source: its name in results: ``bundled``, ``torchvision IMAGENET1K_V1``.
        location: its file, or an https address whose file name has the first digits of its SHA-256; None where
            ``Architecture.ready`` has the weights.
        preset: preprocessing for these weights.
        labels: names of its classes.
        options: arguments of ``Architecture.build`` that these weights need besides the number of classes.
        activation: what makes its scores probabilities, where that is not the usual.
    """

    source: str
    location: str | Path | None
    preset: Preset
    labels: tuple[str, ...] | None
    options: Mapping[str, Any] = field(default_factory=dict)
    activation: Activation | None = None

    @property
    def file_name(self) -> str:
        """Name of the weights' file."""
        return str(self.location or "").rpartition("/")[2]

    @property
    def hash(self) -> str | None:
        """First digits of the file's SHA-256 where its name has them: ``11ad3fa6`` of ``resnet50-11ad3fa6.pth``."""
        digits = Path(self.file_name).stem.rpartition("-")[2]
        return digits if len(digits) >= 8 and not set(digits) - set("0123456789abcdef") else None


@dataclass(frozen=True)
class Fitted:
    """A network with the weights of a checkpoint.

    Attributes:
        module: in evaluation mode, float32, no parameter requires a gradient.
        recipe: the published set whose options it was built with.
        num_classes: length of its score vector.
        notes: the parts of the checkpoint that were not used.
    """

    module: nn.Module
    recipe: Recipe
    num_classes: int
    notes: tuple[str, ...]


@dataclass(frozen=True)
class Architecture:
    """A network that can be built for any number of classes.

    Attributes:
        name: its name.
        num_classes: number of classes that ``build`` makes by default.
        build: takes ``num_classes=`` and a recipe's options.
        default: the weights that are used when none are given.
        recipes: every published set; a checkpoint of unknown origin is taken for the first.
        own_key: maps a checkpoint's key to the network's own, or to None when the network does not use it.
        translated: gives a checkpoint's tensors the network's own names, where that takes more than one key.
        ready: for weights that are not in a file of the recipe: called with a download's progress callback, returns the
            network with its weights, and their file if there is one.
        presumes: whether its presets are only usual ones, as for code that says nothing of its pictures.
        on_meta: whether ``build`` may be called on the meta device, where parameters get no memory.
        record: what files state of the pictures that it was trained on.
        parts: the files that the weights are split into, where the one that ``ready`` returns only lists them.
    """

    name: str
    num_classes: int
    build: Callable[..., nn.Module]
    default: Recipe
    recipes: tuple[Recipe, ...]
    own_key: Callable[[str], str | None] = same_key
    translated: Callable[[dict[str, Tensor]], dict[str, Tensor]] = dict
    ready: Callable[[Progress | None], tuple[Fitted, Path | None]] | None = None
    presumes: bool = False
    on_meta: bool = True
    record: InputRecord = field(default_factory=InputRecord)
    parts: tuple[Path, ...] = ()


@dataclass(frozen=True)
class ModelEntry:
    """A network in a listing; unknown values are None.

    Attributes:
        name: name for ``--model``.
        mebibytes: size of its weights' file.
        parameters: number of its parameters.
        accuracy: top-1 accuracy on ImageNet's validation pictures, in percent.
        input: side in pixels of the pictures it was trained on.
        cached: whether its weights are on this machine.
    """

    name: str
    mebibytes: float | None
    parameters: int | None
    accuracy: float | None
    input: int
    cached: bool


class ModelSource(Protocol):
    """A source of models; modules of ``models.sources`` have this interface, and import nothing heavy by themselves.

    Attributes:
        PREFIX: start of all its names, if its networks are listed on their own; otherwise empty.
        LIBRARY: module that it needs and that may not be installed, or empty.
        TAKES_ARGUMENTS: whether ``architecture`` takes arguments from the user.
        TAKES_TEXTS: whether it takes ``texts``, the classes of networks that compare pictures with texts.
    """

    PREFIX: str
    LIBRARY: str
    TAKES_ARGUMENTS: bool
    TAKES_TEXTS: bool

    def names(self) -> tuple[str, ...]:
        """Return the names that are known without importing anything heavy."""

    def matches(self, spec: str) -> bool:
        """Whether a name is meant for this source."""

    def check(self, spec: str) -> str:
        """Return a name in its listed spelling; raise UsageError for one that cannot be used, without heavy imports."""

    def architecture(self, spec: str, **arguments: object) -> Architecture:
        """Describe the network of a checked name, with the user's arguments."""

    def entries(self, wanted: Callable[[str], bool]) -> list[ModelEntry]:
        """List the networks whose name, without the prefix, ``wanted`` accepts."""
