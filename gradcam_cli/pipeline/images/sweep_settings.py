"""The user's choices for a sweep, checked without torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from gradcam_cli.cam.methods.registry import method_named
from gradcam_cli.errors import UsageError
from gradcam_cli.pipeline.settings import require

if TYPE_CHECKING:
    from gradcam_cli.pipeline.settings import ModelSettings

Sweep = Literal["channels", "layers", "classes", "methods"]

SWEEPS: tuple[Sweep, ...] = ("channels", "layers", "classes", "methods")


@dataclass(frozen=True, slots=True)
class SweepSettings:
    """What an animated still picture shows.

    Attributes:
        sweep: what changes from frame to frame.
        count: most channels or classes.
    """

    sweep: Sweep
    count: int

    @classmethod
    def of(cls, sweep: Sweep, count: int | None, model: ModelSettings) -> SweepSettings:
        """Return the settings, with the usual count where none is given.

        Raises:
            UsageError: the network's settings have several of what the sweep does not show, or a method without layer.
        """
        require("sweep", sweep, SWEEPS)
        method = model.methods[0]
        if sweep in ("channels", "layers") and not method_named(method).layered:
            raise UsageError(f"the method {method} uses no layer", "choose another {method}, or another sweep")
        swept = "targets" if sweep == "classes" else sweep
        several = [axis for axis, number in model.counts().items() if number > 1 and axis != swept]
        if several or (model.fusion and sweep in ("channels", "layers")):
            kept = {"layers": "layer", "classes": "class", "methods": "method"}
            one = " and ".join(f"one {name}" for each, name in kept.items() if each != sweep)
            raise UsageError(f"a sweep of {sweep} is made of {one}", "run it once for each")
        return cls(sweep, count or (64 if sweep == "channels" else 5))
