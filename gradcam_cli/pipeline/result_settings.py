"""What a run's results depend on: the command, the networks and the settings, for each part of an input's results."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import product
from typing import TYPE_CHECKING, Any

from gradcam_cli.cam.methods.registry import method_named
from gradcam_cli.models.sources.contents import contents
from gradcam_cli.pipeline.settings import ALL_LAYERS
from gradcam_cli.records import Part
from gradcam_cli.store.settings_hash import settings_hash, stated

if TYPE_CHECKING:
    from collections.abc import Callable

    from gradcam_cli.pipeline.images.sweep_settings import SweepSettings
    from gradcam_cli.pipeline.settings import ClipSettings, CompareSettings, ModelSettings, RunSettings


@dataclass(frozen=True)
class ResultSettings:
    """What a run's results depend on, besides their inputs.

    Attributes:
        command: the kind of run, such as ``image``.
        models: the networks; several in a comparison only.
        run: the other settings.
        together: the one part of a run whose results show everything at once, a figure or a sweep; None where each
            layer, target and method has its own.
    """

    command: str
    models: tuple[ModelSettings, ...]
    run: tuple[RunSettings | ClipSettings | CompareSettings | SweepSettings, ...]
    together: Part | None = None

    @property
    def parts(self) -> tuple[Part, ...] | None:
        """The parts of an input's results, in their order; None while the names of ``all`` layers are not known."""
        if self.together is not None:
            return (self.together,)
        each = by_part(self.models[0])
        return None if each is None else tuple(part for part, _ in each)

    def of_session(self, settings: ModelSettings) -> ResultSettings:
        """Return them for a loaded network's settings, which have the names of ``all`` layers."""
        return self if self.together is not None else replace(self, models=(settings,))

    def hashes(self) -> Callable[[Part], str]:
        """Return a function part → hash of its settings, by the files as they are now, read when it is first called."""
        found: dict[Part, str] = {}

        def of(part: Part) -> str:
            if not found:
                files = {
                    f"{name} {position}" if position else name: value
                    for position, model in enumerate(self.models)
                    for name, value in contents(model.model, model.weights, model.labels).items()
                }
                named = {name for model in self.models for name in model.methods}
                for method in map(method_named, sorted(named)):
                    if method.plugin is not None:
                        files[f"method {method.name}"] = f"{method.plugin.package} {method.plugin.version}"
                for each, models in self._by_part():
                    found[each] = settings_hash(self.command, (*models, *self.run), files)
            return found[part]

        return of

    def stated(self, part: Part, model: str) -> dict[str, Any]:
        """Return the settings of a part that are not the usual ones.

        Args:
            part: of the results.
            model: the network, where there are several, by its name in the settings.
        """
        models = next(models for each, models in self._by_part() if each == part)
        return stated((*(each for each in models if each.model == model), *self.run))

    def _by_part(self) -> list[tuple[Part, tuple[ModelSettings, ...]]]:
        if self.together is not None:
            return [(self.together, self.models)]
        return [(part, (model,)) for part, model in by_part(self.models[0]) or ()]


def by_part(model: ModelSettings) -> list[tuple[Part, ModelSettings]] | None:
    """Return each of one picture's results, in their order, with the settings for it alone.

    None while the names of ``all`` layers are not known, before the network is loaded.
    """
    if model.fusion is None and model.layers[0] == ALL_LAYERS:
        return None
    layers = [model.layers] if model.fusion else [(layer,) for layer in model.layers]
    several = len(layers) > 1, len(model.targets) > 1, len(model.methods) > 1
    found = []
    for names, target, method in product(layers, model.targets, model.methods):
        layer = model.fusion or names[0]
        varying = (name for name, varies in zip((layer, target.name, method), several, strict=True) if varies)
        part = Part(layer, target.name, method, "_".join(varying))
        found.append((part, replace(model, layers=names, targets=(target,), methods=(method,))))
    return found
