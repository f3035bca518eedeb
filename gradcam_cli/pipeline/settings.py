"""The user's choices as plain values: checked without torch, passed down the pipeline."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from gradcam_cli.cam.methods.registry import check_method
from gradcam_cli.cam.targets import TOP, TargetSpec
from gradcam_cli.errors import UsageError
from gradcam_cli.models.registry import check_arguments, check_texts
from gradcam_cli.pipeline.render_settings import RenderSettings
from gradcam_cli.records import (
    ACTIVATIONS,
    BY_CONTENT,
    FITS,
    MAX_INPUT,
    MIN_INPUT,
    NO_RESULT,
    PRECISIONS,
    RESULT_SIDES,
    VIDEO_QUALITY,
    fitted,
)

if TYPE_CHECKING:
    from collections.abc import Collection
    from fractions import Fraction
    from pathlib import Path

    from gradcam_cli.records import Activation, Codec, Fit, Fusion, Numbers, Precision, Size

Axis = Literal["inputs", "models", "layers", "targets", "methods"]

AXES: tuple[Axis, ...] = ("inputs", "models", "layers", "targets", "methods")
"""What a comparison varies."""

COMPARED = ("gradcam", "gradcam++", "xgradcam", "hirescam", "layercam", "eigencam", "ablationcam")
"""Methods that are compared by default."""

ALL_LAYERS = "all"
"""The name that stands for every layer with a grid."""


def require(what: str, name: object, known: Collection[str]) -> None:
    """Raise UsageError unless ``name`` is one of ``known``."""
    if name not in known:
        raise UsageError(f"there is no {what} {name!r}", f"choose one of {', '.join(known)}")


@dataclass(frozen=True, slots=True)
class ModelSettings:
    """Which network is explained, and how.

    Attributes:
        model: name of the network.
        arguments: (name, value) of each argument for the user's own code.
        texts: the classes of a network that compares pictures with texts.
        weights: checkpoint file, or None for the network's own weights.
        labels: labels file, or None for the network's own.
        layers: dotted names, ``auto``, or only ``all``.
        targets: the classes to explain.
        methods: names, as ``cam.methods.registry.check_method`` returns them.
        fusion: how several layers' maps are combined, or None for a result per layer.
        fit: how a picture is fitted to the network's input.
        input_size: side in pixels, or (h, w), that overrides the preset's sizes.
        reshape: (h, w) of the grid of a transformer's tokens; None finds it.
        mean: one number, or one per channel, that overrides the preset's, after scaling; likewise ``std``.
        std: divisor of the values.
        scale_255: whether the network takes values from 0 to 255.
        output: name or position of the network's output that has the scores, or None to find it.
        activation: function that turns the network's scores into probabilities; ``none`` takes them as they are.
        device: ``auto``, ``cpu``, ``cuda``, ``mps`` or another of torch's names.
        precision: number format of the network; maps are always float32.
        optimize: whether the network runs in its fastest form.
        budget: seconds per picture, for methods that may leave feature maps out; None is their default.
        augment_smooth: whether maps of flipped, darker and brighter versions of a picture are averaged.
        eigen_smooth: whether the first principal component of the feature maps' contributions replaces their sum.
    """

    model: str = field(default="auto", metadata=BY_CONTENT)
    arguments: tuple[tuple[str, object], ...] = ()
    texts: tuple[str, ...] = ()
    weights: Path | None = field(default=None, metadata=BY_CONTENT)
    labels: Path | None = field(default=None, metadata=BY_CONTENT)
    layers: tuple[str, ...] = ("auto",)
    targets: tuple[TargetSpec, ...] = (TOP,)
    methods: tuple[str, ...] = ("gradcam",)
    fusion: Fusion | None = None
    fit: Fit = "whole"
    input_size: int | Size | None = None
    reshape: Size | None = None
    mean: Numbers | None = None
    std: Numbers | None = None
    scale_255: bool = False
    output: str | None = None
    activation: Activation = "auto"
    device: str = "auto"
    precision: Precision = "float32"
    optimize: bool = True
    budget: float | None = None
    augment_smooth: bool = False
    eigen_smooth: bool = False

    def __post_init__(self) -> None:
        check_arguments(self.model, self.arguments)
        if self.weights is None:  # otherwise its network is to be found out
            check_texts(self.model, self.texts)
        for method in self.methods:
            check_method(method)
        require("fit", self.fit, FITS)
        require("precision", self.precision, PRECISIONS)
        require("activation", self.activation, ACTIVATIONS)
        if self.std is not None and not all(number > 0 for number in self.std):
            raise UsageError(
                f"a standard deviation of {min(self.std):g} is not possible", "give one or three positive numbers"
            )
        if self.fusion is not None and len(self.layers) == 1 and self.layers[0] != ALL_LAYERS:
            raise UsageError("there is one layer, which leaves nothing to fuse", "add {layer} all, or several {layer}")
        sides = self.input_size if isinstance(self.input_size, tuple) else (self.input_size,)
        if self.input_size is not None and not all(
            len(sides) <= 2 and isinstance(side, int) and MIN_INPUT <= side <= MAX_INPUT for side in sides
        ):
            raise UsageError(
                f"an input size of {self.input_size} is not possible",
                f"give a whole number from {MIN_INPUT} to {MAX_INPUT}, or two: height and width",
            )

    @property
    def given(self) -> frozenset[str]:
        """What the options state of the pictures that a network was trained on: size, mean, std and scale."""
        stated = {
            "size": self.input_size,
            "mean": self.mean or self.scale_255,
            "std": self.std or self.scale_255,
            "scale": self.scale_255 or (self.mean and self.std),
        }
        return frozenset(name for name, value in stated.items() if value)

    def counts(self, models: int = 1, inputs: int = 1) -> dict[Axis, int]:
        """Return the number of entries on each axis of a comparison; ``all`` layers count as two while not known."""
        layers = 1 if self.fusion else 2 if self.layers == (ALL_LAYERS,) else len(self.layers)
        targets, methods = len(self.targets), len(self.methods)
        return {"inputs": inputs, "models": models, "layers": layers, "targets": targets, "methods": methods}


def check_sides(size: int | None, max_size: int | None) -> None:
    """Raise UsageError where the longest side of results is given twice, or is out of range."""
    if size is None:
        return
    if max_size is not None:
        raise UsageError("the longest side is given twice", "give {size}, which enlarges too, or {max_size}")
    low, high = RESULT_SIDES
    if not (isinstance(size, int) and low <= size <= high):
        raise UsageError(f"a longest side of {size} is not possible", f"give a whole number from {low} to {high}")


@dataclass(frozen=True, slots=True)
class RunSettings:
    """How pictures are batched and limited, when to stop, and how maps are shown.

    Attributes:
        batch_size: pictures in one forward pass, at most.
        fail_fast: whether the first input that fails ends the run.
        max_pixels: most pixels of a picture; None is the usual limit, see `media.limits`.
        max_size: longest side of the results in pixels, or None for the picture's own.
        size: the same, of smaller pictures too, which are then enlarged.
    """

    batch_size: int = field(default=8, metadata=NO_RESULT)
    fail_fast: bool = field(default=False, metadata=NO_RESULT)
    max_pixels: int | None = field(default=None, metadata=NO_RESULT)
    max_size: int | None = None
    render: RenderSettings = field(default_factory=RenderSettings)
    size: int | None = None

    def __post_init__(self) -> None:
        check_sides(self.size, self.max_size)


@dataclass(frozen=True, slots=True)
class ClipSettings:
    """How a clip is explained and shown.

    Attributes:
        batch_size: frames in one forward pass, at most.
        fail_fast: whether the first input that fails ends the run.
        per_frame_target: whether each frame's own class is explained instead of the clip's.
        normalize_over: whether maps share the clip's scale or have each frame's own.
        smooth: time constant in seconds of the smoothing over time; 0 is none.
        keep_partial: whether a stopped run keeps its unfinished output as playable files.
        start: seconds; earlier frames are left out.
        end: seconds; frames from then on are left out.
        stride: the first of every ``stride`` frames is kept.
        fps: constant frame rate; None keeps the source's times.
        max_size: longest side in pixels, or None.
        size: the same, of smaller frames too, which are then enlarged in the results.
        max_pixels: most pixels of a source's frame or picture; None is the usual limit, see `media.limits`.
        max_frames: most frames of a clip; None is any number.
        codec: codec of videos.
        audio: whether the sound is kept.
        gif_fps: most frames per second of GIFs; None keeps them all.
        gif_width: greatest width of GIFs in pixels, or None.
        render: how maps are shown.
    """

    batch_size: int = field(default=4, metadata=NO_RESULT)
    fail_fast: bool = field(default=False, metadata=NO_RESULT)
    per_frame_target: bool = False
    normalize_over: Literal["clip", "frame"] = "clip"
    smooth: float = 0.0
    keep_partial: bool = field(default=False, metadata=NO_RESULT)
    start: Fraction | None = None
    end: Fraction | None = None
    stride: int = 1
    fps: Fraction | None = None
    max_size: int | None = None
    size: int | None = None
    max_pixels: int | None = field(default=None, metadata=NO_RESULT)
    max_frames: int | None = field(default=None, metadata=NO_RESULT)
    codec: Codec = "h264"
    audio: bool = True
    gif_fps: Fraction | None = None
    gif_width: int | None = None
    render: RenderSettings = field(default_factory=lambda: RenderSettings(quality=VIDEO_QUALITY))

    def __post_init__(self) -> None:
        check_sides(self.size, self.max_size)

    def shown(self, size: Size) -> Size:
        """Return the size (height, width) in the results of frames that were read with ``size``."""
        return fitted(size, self.size, enlarged=True)

    def gif_size(self, size: Size) -> Size:
        """Return the size (height, width) of a GIF of frames of ``size``."""
        width = self.gif_width
        if width is None or width >= size[1]:
            return size
        return max(1, round(size[0] * width / size[1])), width


@dataclass(frozen=True, slots=True)
class CompareSettings:
    """How a comparison is laid out and shown.

    Attributes:
        rows: axis that varies from row to row; None chooses it.
        columns: axis that varies from column to column; None chooses it.
        width: width of the figure in millimetres.
        inputs: names of the pictures that one figure shows, where they are an axis.
        title: of the figure; None names what all maps share.
        names: (name as it was given, name in the figure) of methods, layers, classes, networks or inputs.
        times: whether the time of each map is written below it.
        metadata: whether the figure's files state its origin.
        fail_fast: whether the first input that fails ends the run.
        max_pixels: most pixels of a picture; None is the usual limit, see `media.limits`.
        render: how maps are shown.
    """

    rows: Axis | None = None
    columns: Axis | None = None
    width: float = 178
    inputs: tuple[str, ...] = ()
    title: str | None = None
    names: tuple[tuple[str, str], ...] = ()
    times: bool = False
    metadata: bool = True
    fail_fast: bool = field(default=False, metadata=NO_RESULT)
    max_pixels: int | None = field(default=None, metadata=NO_RESULT)
    render: RenderSettings = field(default_factory=RenderSettings)

    def __post_init__(self) -> None:
        if self.rows is not None and self.rows == self.columns:
            raise UsageError(f"rows and columns are both {self.rows}", "choose two different things")


def axes_for(counts: dict[Axis, int], rows: Axis | None, columns: Axis | None) -> tuple[Axis | None, Axis | None]:
    """Return the axes that vary along the rows and the columns of a figure.

    Args:
        counts: number of entries on each axis.
        rows: the requested axis, or None for the shorter of two.
        columns: the requested axis, or None for the longer of two.

    Raises:
        UsageError: an axis varies that has no place.
    """
    left = sorted((axis for axis in AXES if counts[axis] > 1 and axis not in (rows, columns)), key=counts.__getitem__)
    if columns is None and left:
        columns = left.pop()
    if rows is None and left:
        rows = left.pop()
    if left:
        raise UsageError(
            f"a figure has rows and columns, which leaves no place for {' and '.join(left)}",
            "give one of them only, or compare twice",
        )
    return rows, columns
