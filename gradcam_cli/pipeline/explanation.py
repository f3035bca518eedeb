"""The explanation of a picture."""

from __future__ import annotations

from base64 import b64encode
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gradcam_cli.cam.methods.registry import method_named
from gradcam_cli.media.atomic import write_all
from gradcam_cli.media.image.encode import encode
from gradcam_cli.media.image.read import resized
from gradcam_cli.pipeline.artifacts.registry import ARTIFACTS, SUFFIXES
from gradcam_cli.pipeline.json_record import build_record, one_line, rounded
from gradcam_cli.pipeline.render_settings import FORMATS
from gradcam_cli.pipeline.settings import require
from gradcam_cli.plan.output_names import OutputOptions, build_jobs
from gradcam_cli.records import fitted
from gradcam_cli.render.card import card
from gradcam_cli.render.colormap import colormap
from gradcam_cli.render.overlay import heatmap, mark_unseen, overlay
from gradcam_cli.render.panel import side_by_side
from gradcam_cli.render.saliency import SaliencyMap
from gradcam_cli.render.scale import described, normalization_for

if TYPE_CHECKING:
    import os
    from collections.abc import Sequence

    import numpy as np
    import numpy.typing as npt
    from matplotlib.figure import Figure

    from gradcam_cli.cam.maps import ClassMap
    from gradcam_cli.pipeline.render_settings import PictureFormat, RenderSettings
    from gradcam_cli.pipeline.session import Session
    from gradcam_cli.records import Geometry, Prediction, Size

TOP = 5
"""Number of most probable classes in records and tables."""

THUMBNAIL = 160, 480
"""Least and greatest longest side in pixels of the pictures that a notebook shows, which is to stay small."""


@dataclass(repr=False)
class Explanation:
    """Why a network gives a picture a class.

    Attributes:
        input: the picture's path, ``-`` for standard input.
        pixels: the picture, uint8 RGB (H, W, 3).
        session: the network and the settings that it was explained with.
        class_map: the map, at the target layer's size.
        geometry: the part of the picture that the network saw.
        target: the explained class.
        predictions: the five most probable classes.
        settings: how the map is shown.
        seconds: time spent on this picture by stage.
        files: kind of result → where it was written.
        notes: what was done with the picture when it was read.
    """

    input: str
    pixels: npt.NDArray[np.uint8]
    session: Session
    class_map: ClassMap
    geometry: Geometry
    target: Prediction
    predictions: list[Prediction]
    settings: RenderSettings
    seconds: dict[str, float] = field(default_factory=dict)
    files: dict[str, Path] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    @property
    def layer(self) -> str:
        """The target layer's dotted name."""
        return self.class_map.layer

    @property
    def method(self) -> str:
        """Name of the method, with its parameters."""
        return self.class_map.method

    @property
    def complete(self) -> bool:
        """Always: a picture that is cut off is not read."""
        return True

    @property
    def normalization(self) -> str:
        """How the map is scaled to [0, 1]: what ``auto`` stands for, too; see `render.scale`."""
        return normalization_for(self.settings.normalize, self.class_map.values.shape, self.geometry)

    @cached_property
    def saliency(self) -> SaliencyMap:
        """The map over the whole picture."""
        return SaliencyMap(self.class_map.values, self.geometry, self.settings.normalize)

    @property
    def map(self) -> npt.NDArray[np.float32]:
        """The saliency map, float32 (H, W), in [0, 1] unless ``normalize`` is ``none``."""
        return self.saliency.array()

    @cached_property
    def grayscale(self) -> npt.NDArray[np.uint8]:
        """The saliency map as bytes, uint8 (H, W)."""
        return self.saliency.bytes()

    @cached_property
    def encoded(self) -> bytes:
        """The saliency map as the bytes of a file."""
        return encode(self.grayscale, self.settings.format, quality=self.settings.quality)

    @cached_property
    def shown(self) -> npt.NDArray[np.uint8]:
        """The saliency map as bytes, uint8 (H, W), interpolated as heatmap and overlay show it."""
        if self.settings.upsample == "bilinear":
            return self.grayscale
        return self.saliency.smooth().bytes()

    @property
    def heatmap(self) -> npt.NDArray[np.uint8]:
        """The coloured map, uint8 RGB (H, W, 3)."""
        return self._marked(heatmap(self.shown, colormap(self.settings.colormap)))

    @property
    def overlay(self) -> npt.NDArray[np.uint8]:
        """The coloured map over the picture, uint8 RGB (H, W, 3); the picture alone where the map is blank."""
        if self.blank:
            return self._marked(self.pixels)
        look = self.settings
        drawn = overlay(
            self.pixels, self.shown, colormap(look.colormap), alpha=look.alpha, by_intensity=look.by_intensity,
            contours=look.contours,
        )  # fmt: skip
        return self._marked(drawn)

    @property
    def blank(self) -> str | None:
        """Why the map shows nothing, or None when it shows something."""
        return self.class_map.blank

    def _marked(self, picture: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
        return picture if self.geometry.sees_all else mark_unseen(picture, self.saliency.seen_box, self.settings.unseen)

    def figure(self) -> Figure:
        """Return source, heatmap and overlay with the class and a colour bar, as a `matplotlib.figure.Figure`."""
        from gradcam_cli.render.figure.triptych import panel_size, triptych  # matplotlib takes half a second

        at = self.at(panel_size((self.pixels.shape[0], self.pixels.shape[1])))
        made = [self.session.network.name, self.layer, method_named(self.method).published]
        return triptych(
            at.pixels, at.heatmap, at.overlay, title=self.target.caption, caption=" · ".join(made),
            table=colormap(self.settings.colormap), scale=described(self.normalization),
        )  # fmt: skip

    def at(self, size: Size) -> Explanation:
        """Return the same for the picture at another size (height, width), the map interpolated for it."""
        if size == self.pixels.shape[:2]:
            return self
        return replace(self, pixels=resized(self.pixels, size), geometry=self.geometry.for_source(size))

    def record(self) -> dict[str, Any]:
        """Return the explanation as plain values, ready for JSON."""
        low, high = rounded((self.class_map.low, self.class_map.high))
        scale = self.saliency.scale
        map_record = {
            "min": low,
            "max": high,
            "size": list(self.class_map.values.shape),
            "scale": None if scale is None else rounded(scale),
        }
        record = build_record(self, map_record)
        return {**record, "notes": [*record["notes"], *self.notes]}

    def save(
        self,
        directory: str | os.PathLike[str],
        kinds: Sequence[str] = ("grayscale", "heatmap", "overlay"),
        format: PictureFormat = "png",
    ) -> dict[str, Path]:
        """Write results as ``gradcam image`` does, with its names: all of them or, when anything fails, none.

        Args:
            directory: where; it is made where it is missing.
            kinds: of result, as the command's option for kinds takes them.
            format: of those that are pictures: ``png``, ``jpg`` or ``webp``.

        Returns:
            Kind of result → its file; also in ``files`` from now on. Names begin with that of the ``input``.

        Raises:
            UsageError: there is no such kind or format.
            OutputError: a file cannot be written.
        """
        kinds = (kinds,) if isinstance(kinds, str) else tuple(dict.fromkeys(kinds))
        for kind in kinds:
            require("kind of result", kind, ARTIFACTS)
        require("format", format, FORMATS)
        options = OutputOptions(Path(directory), kinds, format, SUFFIXES)
        (job,) = build_jobs([(None if self.input == "-" else self.input, "")], options)
        shown = replace(self, settings=replace(self.settings, format=format), files=job.files)
        write_all({path: ARTIFACTS[kind].encode(shown) for kind, path in job.files.items()})
        self.files = job.files
        return dict(job.files)

    def __repr__(self) -> str:
        return one_line(self)

    @cached_property
    def _thumbnail(self) -> Explanation:
        """The same for the picture made smaller, or larger where it is tiny."""
        height, width = self.pixels.shape[:2]
        longest = min(max(height, width, THUMBNAIL[0]), THUMBNAIL[1])
        return self.at(fitted((height, width), longest, enlarged=True))

    def _repr_png_(self) -> bytes:
        """Return the overlay, small, for notebooks."""
        return encode(self._thumbnail.overlay, "png")

    def _repr_html_(self) -> str:
        """Return picture and overlay, small, and what they show, for notebooks."""
        small = self._thumbnail
        panel = encode(side_by_side(small.pixels, small.overlay), "jpg", quality=85)
        uri = f"data:image/jpeg;base64,{b64encode(panel).decode('ascii')}"
        facts = {"class": f"{self.target.label} {self.target.value()}", "layer": self.layer, "method": self.method,
                 "network": self.session.network.name, "picture": self.input}  # fmt: skip
        remarks = [f"the map is blank: {self.blank}"] if self.blank else []
        return card(uri, facts, [*remarks, *self.session.notes, *self.notes])
