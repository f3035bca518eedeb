"""A package that is not this one, with entry points: written into a folder and put on the path."""

from __future__ import annotations

from textwrap import dedent
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

CODE = '''
    from gradcam_cli.cam.methods.method import Method, Parameter

    def edges(context, *, power: float = 1.0):
        """What a feature map's strongest places see."""
        return context.weighed(context.activations.amax(dim=(2, 3)) ** power)

    signed = Method("ignored", edges, "the same as a record", rectified=False, parameters=(Parameter("power", 2.0),))
    number = 3

    def broken(context):
        raise RuntimeError("out of order")

    def shapeless(context):
        return context.activations

    def nothing(context):
        pass

    def short(context):
        return context.activations[:1].mean(1)

    def architecture(name, **arguments):
        import torch
        from torch import nn
        from gradcam_cli.models.architecture import Architecture, Fitted, Recipe
        from gradcam_cli.records import Preset
        if name != "small":
            raise KeyError(name)
        def build(num_classes):
            torch.manual_seed(0)
            return nn.Sequential(
                nn.Conv2d(3, 8, 5, 4), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(),
                nn.Linear(8, num_classes + arguments.get("more", 0)),
            )
        recipe = Recipe("zoo", None, Preset(resize=64, crop=64), None)
        module = build(4).eval()
        ready = lambda progress: (Fitted(module, recipe, 4 + arguments.get("more", 0), ()), None)
        return Architecture(f"zoo:{name}", 4, build, recipe, (recipe,), ready=ready)

    def entries(wanted):
        from gradcam_cli.models.architecture import ModelEntry
        return [ModelEntry("zoo:small", None, 10, None, 64, True)] if wanted("small") else []
'''

ENTRY_POINTS = """
    [gradcam.methods]
    edges = zoo:edges
    signed-edges = zoo:signed
    gradcam = zoo:edges
    number = zoo:number
    broken = zoo:broken
    shapeless = zoo:shapeless
    nothing = zoo:nothing
    short = zoo:short
    missing = zoo_that_is_not_there:edges

    [gradcam.models]
    zoo = zoo
    timm = zoo
    bare = zoo_that_is_not_there
"""


def install(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Put the package ``zoo`` 1.2 into a folder, and that on the path."""
    (folder / "zoo.py").write_text(dedent(CODE))
    information = folder / "zoo-1.2.dist-info"
    information.mkdir()
    (information / "METADATA").write_text("Metadata-Version: 2.1\nName: zoo\nVersion: 1.2\n")
    (information / "entry_points.txt").write_text(dedent(ENTRY_POINTS))
    monkeypatch.syspath_prepend(str(folder))
    monkeypatch.delenv("GRADCAM_NO_PLUGINS", raising=False)
