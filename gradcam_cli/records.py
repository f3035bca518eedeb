"""Plain records that are passed between the steps from a path to the written files.

No module here imports numpy, OpenCV or torch at run time, so that planning and ``--help`` stay light.
Sizes are ``(height, width)`` in pixels throughout.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from fractions import Fraction
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import numpy as np
    import numpy.typing as npt

Size = tuple[int, int]
Fit = Literal["whole", "crop", "stretch", "pad"]
Upsampling = Literal["bilinear", "bicubic"]
Unseen = Literal["light", "dark"]
Activation = Literal["auto", "softmax", "sigmoid", "none"]
Numbers = tuple[float, ...]

Precision = Literal["float32", "bfloat16", "float16"]

Fusion = Literal["mean", "max", "product"]
FigureFormat = Literal["png", "pdf", "svg"]
Codec = Literal["h264", "vp9", "av1"]

PRECISIONS: tuple[Precision, ...] = ("float32", "bfloat16", "float16")
FUSIONS: tuple[Fusion, ...] = ("mean", "max", "product")
FIGURE_FORMATS: tuple[FigureFormat, ...] = ("png", "pdf", "svg")
CODECS: tuple[Codec, ...] = ("h264", "vp9", "av1")
FITS: tuple[Fit, ...] = ("whole", "crop", "stretch", "pad")
UPSAMPLINGS: tuple[Upsampling, ...] = ("bilinear", "bicubic")
ACTIVATIONS: tuple[Activation, ...] = ("auto", "softmax", "sigmoid", "none")

NO_RESULT: Mapping[str, str] = {"hash": "never"}
"""Metadata of a setting that changes no result: limits, batches, which kinds are written, when a run stops."""
BY_CONTENT: Mapping[str, str] = {"hash": "by content"}
"""Metadata of a setting that names files, whose content counts instead."""

MIN_INPUT, MAX_INPUT = 8, 4096
"""Sides of a network's input, in pixels."""

PICTURE_QUALITY, VIDEO_QUALITY = 95, 75
"""Default quality of files with lossy compression, from 1 to 100."""

MAX_NUMBER = 10**9
"""Largest number of seconds, of thirty years, which is still exact in any time base."""

RATES = Fraction(1, 3600), Fraction(1000)
"""The lowest and the highest rate, in frames per second."""

GIF_FPS, GIF_WIDTH = Fraction(10), 480
"""Default frames per second and width of a video's GIF; with all frames, a GIF is many times its clip's size."""

MAX_FRAMES: Mapping[str, int] = {"video": 1_000_000, "gif": 10_000}
"""Most frames of a clip by default, by the command."""


RESULT_SIDES = 16, 16_383
"""The least and the greatest longest side of results that may be larger than their source, in pixels; WebP's limit."""


def fitted(size: tuple[float, float], longest: int | None, *, enlarged: bool = False) -> Size:
    """Return a size, aspect kept and sides rounded to the nearest pixel, whose longest side is at most ``longest``.

    Where the result may be ``enlarged``, it is exactly that.
    """
    scale = longest / max(size) if longest else 1.0
    if not enlarged:
        scale = min(1.0, scale)
    return max(1, round(size[0] * scale)), max(1, round(size[1] * scale))


@dataclass(frozen=True, slots=True)
class Preset:
    """A network's preprocessing: sizes in pixels, statistics in units of the scaled range, RGB or luma.

    Attributes:
        resize: length to which a picture's short side is resized.
        crop: side of the square that the network was trained on.
        mean: per channel, subtracted after scaling.
        std: per channel, divided by.
        interpolation: of the resize, always with antialiasing.
        multiple: sides of a whole picture are rounded to multiples of this, so that batches form.
        channels: 3 for RGB, 1 for luma.
        scale: value of white after scaling, 1 or 255; black is 0.
        size: (h, w) of the input, where it is exactly that; a whole picture is then stretched to it.
    """

    resize: int = 256
    crop: int = 224
    mean: Numbers = (0.485, 0.456, 0.406)
    std: Numbers = (0.229, 0.224, 0.225)
    interpolation: Literal["bilinear", "bicubic"] = "bilinear"
    multiple: int = 32
    channels: int = 3
    scale: int = 1
    size: Size | None = None

    @property
    def window(self) -> Size:
        """(h, w) of the input of one size, which crops, stretched and padded pictures have."""
        return self.size or (self.crop, self.crop)


@dataclass(frozen=True, slots=True)
class Geometry:
    """The position of the network's input in the source picture.

    The whole source is resized to ``resized``; the network sees the window of size ``input`` whose upper left
    corner is at ``offset`` in the resized picture. A negative offset means a border outside the picture (``pad``).
    """

    fit: Fit
    source: Size
    resized: Size
    offset: tuple[int, int]
    input: Size

    @property
    def seen(self) -> tuple[float, float, float, float]:
        """The part of the source that the network saw: (left, top, right, bottom) in source pixels."""
        edges = []
        for axis in (1, 0):
            low = max(0, self.offset[axis]) * self.source[axis] / self.resized[axis]
            high = (
                min(self.resized[axis], self.offset[axis] + self.input[axis]) * self.source[axis] / self.resized[axis]
            )
            edges.append((low, high))
        (left, right), (top, bottom) = edges
        return left, top, right, bottom

    def for_source(self, source: Size) -> Geometry:
        """Return the geometry for the same picture at another size, with the same network input."""
        return replace(self, source=source)

    @property
    def sees_all(self) -> bool:
        """Whether the network saw every pixel of the source."""
        return self.seen == (0.0, 0.0, float(self.source[1]), float(self.source[0]))


@dataclass(frozen=True, slots=True)
class Prediction:
    """One class, or one side of it.

    Attributes:
        index: of the class.
        label: its name.
        probability: by the network, in [0, 1]; None where its scores are no logits.
        score: its logit, or the plain score where there is no probability; None for a clip's mean probability.
    """

    index: int
    label: str
    probability: float | None
    score: float | None = None

    def record(self) -> dict[str, int | str | float | None]:
        """Return it as plain values, ready for JSON; `dataclasses.asdict` takes ten times as long."""
        return {"index": self.index, "label": self.label, "probability": self.probability, "score": self.score}

    def value(self) -> str:
        """Return the probability in percent, or else the score: ``81.0%``, ``<0.1%``."""
        if self.probability is None:
            return f"{self.score:.4g}"
        return "<0.1%" if 0 < self.probability < 0.0005 else f"{self.probability:.1%}"

    @property
    def caption(self) -> str:
        """The class with its probability, or its score: ``tabby · 81.0%``, ``age · score 31.2``."""
        return f"{self.label} · {'score ' if self.probability is None else ''}{self.value()}"


@dataclass(frozen=True, slots=True)
class Part:
    """One of an input's results, by what was requested; nothing is looked up, so that names need no network.

    Attributes:
        layer: dotted name, ``auto``, or how several are fused (``mean``).
        target: the class, as `TargetSpec.name` spells it.
        method: name of the method, with its parameters.
        name: what distinguishes it from the others in the results' names: of layer, target and method those that vary;
            empty where it is the only one.
    """

    layer: str = "auto"
    target: str = "top1"
    method: str = "gradcam"
    name: str = ""


@dataclass(frozen=True, slots=True)
class FileState:
    """A written file: what distinguishes it from any other under its name.

    Attributes:
        size: in bytes.
        sha256: of the content, in hexadecimal.
        changed: time of the last change to the content, in nanoseconds since 1970, as the file system has it.
    """

    size: int
    sha256: str
    changed: int


@dataclass(frozen=True, slots=True)
class Output:
    """One file that a job writes.

    Attributes:
        key: how results list it: its kind, with the container behind a dot where a kind has several
            (``overlay.gif``).
        kind: of result: ``overlay``.
        container: the file's suffix without its dot: ``png``, ``gif``.
        part: position of its `Part`, which is that of its explanation too.
        path: of the file.
    """

    key: str
    kind: str
    container: str
    part: int
    path: Path


@dataclass(frozen=True, slots=True)
class Job:
    """One input and the paths of its results, decided before anything is read.

    Attributes:
        input: path of the picture, or None for standard input.
        name: the input's name in messages.
        stem: the results' common path without their kind and suffix.
        outputs: the files to write: each kind's for all parts together, the parts in the order of the explanations.
        others: further inputs that the same files show.
    """

    input: Path | None
    name: str
    stem: Path
    outputs: tuple[Output, ...] = ()
    others: tuple[Job, ...] = ()

    @property
    def files(self) -> dict[str, Path]:
        """The files of a job without parts, by their key."""
        return {output.key: output.path for output in self.outputs}

    @property
    def paths(self) -> list[Path]:
        """The files of a job."""
        return [output.path for output in self.outputs]

    def by_part(self) -> list[list[Output]]:
        """Return the outputs of each part, the parts in their order: one list for each explanation."""
        parts: dict[int, list[Output]] = {}
        for output in self.outputs:
            parts.setdefault(output.part, []).append(output)
        return list(parts.values())

    @property
    def given(self) -> str:
        """The input in JSON results: its path, or ``-`` for standard input."""
        return "-" if self.input is None else str(self.input)


@dataclass(slots=True)
class Picture:
    """A decoded still picture.

    Attributes:
        pixels: uint8 RGB, (H, W, 3), upright, opaque.
        notes: changes that a user should know of (first of several pages, …).
        whole: (height, width) of the upright picture in its file, of which ``pixels`` may be a smaller decoding.
    """

    pixels: npt.NDArray[np.uint8]
    notes: tuple[str, ...]
    whole: Size

    @property
    def size(self) -> Size:
        """(height, width)."""
        return self.pixels.shape[0], self.pixels.shape[1]
