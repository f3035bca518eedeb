"""A network that is ready to explain: loaded, its target layers found, its preprocessing decided."""

from __future__ import annotations

import copy
import sys
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from gradcam_cli.cam.augmentation import Augmentation
from gradcam_cli.cam.context import Budget
from gradcam_cli.cam.explainer import Explainer
from gradcam_cli.cam.function_modes import recording
from gradcam_cli.cam.predictions import Ranking, check_named, predictions, resolve
from gradcam_cli.errors import GradcamError, InputError, ModelError
from gradcam_cli.models.device import lower_precision, out_of_memory
from gradcam_cli.models.labels import read_labels
from gradcam_cli.models.load import load_model
from gradcam_cli.models.preprocess import Prepared, adapted, collate, plan_geometry, prepare, to_tensor
from gradcam_cli.pipeline.input_fit import InputFit, find_fit
from gradcam_cli.pipeline.settings import ALL_LAYERS
from gradcam_cli.text import first_line

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import numpy.typing as npt

    from gradcam_cli.cam.maps import ClassMap
    from gradcam_cli.cam.targets import Logits, Target
    from gradcam_cli.models.network import Network
    from gradcam_cli.pipeline.frame import Frame
    from gradcam_cli.pipeline.settings import ModelSettings
    from gradcam_cli.records import Activation, Geometry, Numbers, Prediction, Preset, Size


@dataclass(frozen=True, slots=True)
class Explained:
    """The results for one picture.

    Attributes:
        predictions: all classes, the most probable first.
        maps: one for each layer and target, layers first; ``targets`` are the classes they are for.
        targets: the explained classes.
        seconds: this picture's share of its batch's time.
    """

    predictions: Ranking
    maps: list[ClassMap]
    targets: list[Prediction]
    seconds: float


def _listed(numbers: Numbers) -> str:
    return ",".join(f"{number:g}" for number in numbers)


class _FullMemoryError(ModelError):
    """A batch does not fit into memory."""


class Session:
    """One network that explains pictures according to the settings.

    Args:
        settings: the user's choices; the session's ``settings`` have the layers' names instead of ``all``.
        network: an already loaded network to use instead of the settings' ``model`` and ``weights``.
        progress: called with (bytes done, total bytes) while weights are downloaded.
        passes: called with (passes done, total passes) of a batch by methods that run the network many times.
        warn: called with warnings for the user, at once or while pictures are explained.

    Raises:
        GradcamError: the network, its weights, labels, layer or target cannot be used.
    """

    @recording()
    def __init__(
        self,
        settings: ModelSettings,
        network: Network | None = None,
        progress: Callable[[int, int], None] | None = None,
        *,
        passes: Callable[[int, int], None] | None = None,
        warn: Callable[[str], None] = lambda text: None,
    ) -> None:
        self.settings = settings
        self.network = network or load_model(
            settings.model, weights=settings.weights, device=settings.device, progress=progress,
            arguments=dict(settings.arguments), texts=settings.texts,
        )  # fmt: skip
        if network is None:
            lower_precision(self.network.module, settings.precision)
        self.warn = warn
        self._most = sys.maxsize
        self.preset = self._preset()
        budget = Budget(settings.budget, passes)
        found = find_fit(
            self.network, self.network.name, self.preset, settings.fit,
            lambda size: self.explainer_on(size, budget=budget), given=settings.input_size is not None,
        )  # fmt: skip
        self.fit, self.preset, self.explainer = found.fit, found.preset, found.result
        self._name_classes()
        check_named(settings.targets, self.network.labels)
        self.activation = self.explainer.activation
        self.notes = [*self.network.notes, *self._assumed(found), *found.notes, *self.explainer.notes]
        if ALL_LAYERS in settings.layers:
            self.settings = replace(settings, layers=tuple(layer.name for layer in self.explainer.layers))

    def _name_classes(self) -> None:
        """Set the number of classes that the trial run has found, and their labels."""
        self.network.num_classes = count = self.explainer.classes
        sides = 1 if count == 1 and self._wanted_activation == "none" else self.network.sides
        if self.settings.labels is not None:
            self.network.labels = read_labels(self.settings.labels, sides)
        elif self.network.labels is not None and len(self.network.labels) != sides:
            self.network.labels = None

    @property
    def _wanted_activation(self) -> Activation:
        wanted = self.settings.activation
        return self.network.activation or wanted if wanted == "auto" else wanted

    def _labelled(self, count: int) -> bool:
        """Return whether the class labels are for that number of scores."""
        if self.settings.labels is None:
            return self.network.labels is not None and len(self.network.labels) == count
        try:
            return len(read_labels(self.settings.labels, count)) == count
        except ModelError:
            return False

    def _assumed(self, found: InputFit[Explainer]) -> list[str]:
        """Return the note on what neither a file nor the user has said of the network's pictures."""
        preset = self.preset
        side = preset.resize if self.fit == "whole" else preset.crop
        usual = {
            "size": f"a side of {side} pixels",
            "mean": f"mean {_listed(preset.mean)}",
            "std": f"std {_listed(preset.std)}",
            "scale": f"values of 0…{preset.scale}",
        }
        stated = self.settings.given | ({"size"} if found.derived else set())
        assumed = [text for what, text in usual.items() if what in self.network.assumed - stated]
        if not assumed:
            return []
        return [
            f"neither a file nor an option says on what pictures {self.network.name} was trained: "
            f"{', '.join(assumed)} assumed"
        ]

    def explainer_on(
        self,
        size: Size,
        layers: Sequence[str] | None = None,
        methods: Sequence[str] | None = None,
        budget: Budget | None = None,
    ) -> Explainer:
        """Return an explainer by the session's settings, after a trial run of the network.

        Args:
            size: (h, w) of the pictures.
            layers: instead of the settings' layers, for one picture: the network runs as it is.
            methods: instead of the settings' methods.
            budget: for methods that run the network many times.
        """
        settings = self.settings
        chosen = layers or settings.layers
        if chosen == ("auto",) and self.network.layer is not None:
            chosen = (self.network.layer,)
        return Explainer(
            self.network.module, chosen, method=methods or settings.methods,
            fusion=None if layers else settings.fusion, input_size=size, channels=self.preset.channels,
            tokens=settings.reshape, output=settings.output, fits=self._labelled, activation=self._wanted_activation,
            optimize=settings.optimize and not layers, budget=budget, eigen_smooth=settings.eigen_smooth,
            augmentation=self._augmentation() if settings.augment_smooth else None,
        )  # fmt: skip

    def _augmentation(self) -> Augmentation:
        return Augmentation(self.preset.mean, self.preset.std, self.preset.scale)

    def _preset(self) -> Preset:
        wanted = self.settings
        return adapted(
            self.network.preset, side=wanted.input_size, mean=wanted.mean, std=wanted.std, scale_255=wanted.scale_255
        )

    @recording()
    def prepare(self, pixels: npt.NDArray[np.uint8], whole: Size | None = None) -> Prepared:
        """Convert a picture, uint8 RGB (H, W, 3), to the network's input. Safe to call from several threads.

        Args:
            pixels: the picture.
            whole: its original size, if it was read smaller.
        """
        return prepare(pixels, self.preset, self.fit, whole)

    def geometry(self, size: Size) -> Geometry:
        """Return where the network's input lies in a picture of ``size``."""
        return plan_geometry(size, self.preset, self.fit)

    def prepare_frame(self, frame: Frame) -> Prepared:
        """Convert a frame of a clip to the network's input; the clip's decoder resizes it, which is cheaper."""
        geometry = self.geometry(frame.size)
        return Prepared(to_tensor(frame.rgb(geometry.resized), geometry, self.preset), geometry)

    def resolve(self, ranked: Ranking) -> tuple[Target, ...]:
        """Return the classes that the settings' targets mean; ``ranked`` has the most probable class first."""
        return tuple(resolve(self.settings.targets, ranked, self.network.labels))

    def only(self, layer: int | None, method: str) -> Session:
        """Return a session with the same network that explains one layer by one method.

        Args:
            layer: position of the layer, or None to fuse all of them.
            method: name of the method.
        """
        single = copy.copy(self)
        single.explainer = self.explainer.only(layer, method)
        layers = tuple(each.name for each in single.explainer.layers)
        single.settings = replace(self.settings, layers=layers, methods=(method,), fusion=single.explainer.fusion)
        return single

    def of_maps(self, targets: Sequence[Target]) -> list[Target]:
        """Return each map's target when ``targets`` are explained, in the order of ``Explained.maps``."""
        layers = 1 if self.settings.fusion else len(self.explainer.layers)
        return [target for _ in range(layers) for target in targets for _ in self.settings.methods]

    def explain_batch(
        self, pictures: Sequence[Prepared], targets: Sequence[Target] | None = None
    ) -> list[Explained | InputError]:
        """Explain pictures of one input size in one forward pass, or in several where memory is short.

        Args:
            pictures: prepared pictures.
            targets: what to explain, instead of the settings' targets.

        Returns:
            One entry a picture, in order; an error where the network's scores are not finite.

        Raises:
            ModelError: the network cannot run on the pictures, not even one at a time, or lacks a requested class.
        """
        most = min(len(pictures), self._most)
        try:
            return [
                result
                for start in range(0, len(pictures), most)
                for result in self._explain_batch(pictures[start : start + most], targets)
            ]
        except _FullMemoryError:
            if most == 1:
                raise
            self._most = most // 2
            self.warn(f"memory is short: {most} pictures at once are too many, going on with {self._most}")
            return self.explain_batch(pictures, targets)

    def explain_one(
        self, picture: Prepared, name: str | None = None, targets: Sequence[Target] | None = None
    ) -> Explained:
        """Explain one picture.

        Args:
            picture: the prepared picture.
            name: its name in an error.
            targets: what to explain, instead of the settings' targets.

        Raises:
            InputError: the network's scores are not finite.
            ModelError: as ``explain_batch``.
        """
        result = self.explain_batch([picture], targets)[0]
        if isinstance(result, InputError):
            raise result if name is None else InputError(f"{name}: {result.message}", result.template)
        return result

    @recording()
    def _explain_batch(
        self, pictures: Sequence[Prepared], targets: Sequence[Target] | None
    ) -> list[Explained | InputError]:
        started = time.perf_counter()
        ranked: list[Ranking] = []

        def choose(logits: Logits) -> Sequence[Target]:
            ranked.append(predictions(logits, self.network.labels, self.activation))
            return targets or self.resolve(ranked[-1])

        at_once = 1 if self.network.one_by_one else len(pictures)
        try:
            explained = [
                each
                for first in range(0, len(pictures), at_once)
                for each in self.explainer(collate(pictures[first : first + at_once]), choose)
            ]
        except GradcamError:
            raise
        except Exception as error:  # the network is foreign code and may raise anything
            height, width = pictures[0].geometry.input
            if out_of_memory(error):
                how_many = "one picture" if len(pictures) == 1 else f"{len(pictures)} pictures"
                raise _FullMemoryError(
                    f"there is not enough memory for {self.network.name} with {how_many} of {width}×{height}",
                    "try a smaller {input_size}, fewer layers, or {device} cpu",
                ) from error
            raise ModelError(
                f"{self.network.name} failed on a {width}×{height} input: {first_line(error)}",
                "try another {fit}, {input_size} or a smaller {batch_size}",
            ) from error
        seconds = (time.perf_counter() - started) / len(pictures)
        results: list[Explained | InputError] = []
        for classes, result in zip(ranked, explained, strict=True):
            if np.isfinite(result.logits).all():
                results.append(
                    Explained(classes, result.maps, [classes.for_target(each.target) for each in result.maps], seconds)
                )
            else:
                results.append(InputError("the network gives non-finite scores (NaN or infinity)", "check its weights"))
        return results
