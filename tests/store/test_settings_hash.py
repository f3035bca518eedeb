from __future__ import annotations

import dataclasses
import os
import random
import subprocess
import sys
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

import pytest

from gradcam_cli.cam.targets import TargetSpec
from gradcam_cli.pipeline.render_settings import RenderSettings
from gradcam_cli.pipeline.settings import ClipSettings, CompareSettings, ModelSettings, RunSettings
from gradcam_cli.records import BY_CONTENT, NO_RESULT
from gradcam_cli.store import settings_hash as module
from gradcam_cli.store.settings_hash import settings_hash, stated

OTHERS = {
    "arguments": (("depth", 18),),
    "texts": ("a cat",),
    "layers": ("layer4",),
    "targets": (TargetSpec(rank=2),),
    "methods": ("layercam",),
    "fusion": "mean",
    "fit": "crop",
    "input_size": 64,
    "reshape": (7, 7),
    "mean": (0.5,),
    "std": (0.5,),
    "scale_255": True,
    "output": "1",
    "activation": "sigmoid",
    "device": "cpu",
    "precision": "bfloat16",
    "optimize": False,
    "budget": 1.0,
    "augment_smooth": True,
    "eigen_smooth": True,
    "format": "jpg",
    "colormap": "jet",
    "alpha": 0.25,
    "by_intensity": False,
    "contours": (0.5,),
    "upsample": "bicubic",
    "unseen": "dark",
    "normalize": "max",
    "quality": 50,
    "per_frame_target": True,
    "normalize_over": "frame",
    "smooth": 0.5,
    "caption": True,
    "colorbar": True,
    "side_by_side": True,
    "start": Fraction(1, 3),
    "end": Fraction(2, 3),
    "stride": 2,
    "fps": Fraction(10),
    "max_size": 100,
    "size": 100,
    "codec": "vp9",
    "audio": False,
    "gif_fps": Fraction(5),
    "gif_width": 100,
    "rows": "layers",
    "columns": "methods",
    "width": 90.0,
    "inputs": ("a.png", "b.png"),
    "title": "Ours",
    "names": (("gradcam", "Ours"),),
    "times": True,
    "metadata": False,
    "render": RenderSettings(colormap="jet"),
}
"""Another value for every setting that changes a result: a new one is missing here, and its test fails."""

SETTINGS = (ModelSettings, RenderSettings, RunSettings, ClipSettings, CompareSettings)


def changed(kind, name, value):
    """Return settings with one changed value, past the checks of what belongs together."""
    settings = kind()
    object.__setattr__(settings, name, value)
    return settings


def hashed(*settings, command="image", **contents):
    return settings_hash(command, settings, contents)


@pytest.mark.parametrize(
    ("kind", "name"), [(kind, each.name) for kind in SETTINGS for each in dataclasses.fields(kind)], ids=str
)
def test_every_setting_counts_that_changes_a_result(kind, name):
    metadata = next(each.metadata for each in dataclasses.fields(kind) if each.name == name)
    if metadata in (NO_RESULT, BY_CONTENT):
        assert hashed(changed(kind, name, "something")) == hashed(kind())
    else:
        assert OTHERS[name] != getattr(kind(), name)
        assert hashed(changed(kind, name, OTHERS[name])) != hashed(kind())


def test_which_settings_change_no_result():
    """A list that one reads: a setting that is marked by mistake would let wrong results pass for right ones."""
    marked = {
        (kind.__name__, each.name)
        for kind in SETTINGS
        for each in dataclasses.fields(kind)
        if each.metadata == NO_RESULT
    }
    limits = {"max_pixels", "max_frames", "batch_size", "fail_fast", "keep_partial", "kinds"}
    assert {name for _, name in marked} == limits
    content = {each.name for kind in SETTINGS for each in dataclasses.fields(kind) if each.metadata == BY_CONTENT}
    assert content == {"model", "weights", "labels"}


def test_command_contents_and_version_count(monkeypatch):
    usual = hashed(RunSettings(), model="tiny")
    assert usual != hashed(RunSettings(), model="tiny", command="gif")
    assert usual != hashed(RunSettings(), model="resnet18")
    assert usual != hashed(RunSettings(), model="tiny", weights=None)
    monkeypatch.setattr(module, "RESULT_VERSION", module.RESULT_VERSION + 1)
    assert usual != hashed(RunSettings(), model="tiny")


def test_values_of_other_types_are_told_apart():
    @dataclass
    class Any:
        value: object

    values = [
        0,
        0.5,
        False,
        None,
        "",
        "0",
        (),
        (0,),
        ((0,),),
        {},
        {0: 1},
        {1},
        b"",
        b"0",
        1j,
        float("nan"),
        Fraction(2, 3),
    ]
    values += [float("inf"), -0.5, True, 10**30, {"a": {"b": (1, {2, 3})}}, ...]
    hashes = [hashed(Any(value)) for value in values]
    assert len(set(hashes)) == len(values)
    with pytest.raises(TypeError, match=r"no canonical form of (Posix|Windows)Path"):
        hashed(Any(Path("x")))
    with pytest.raises(TypeError, match="no canonical form of object"):
        hashed(Any(object()))


def test_the_hash_is_that_of_another_process():
    code = (
        "from gradcam_cli.store.settings_hash import settings_hash as h\n"
        "from gradcam_cli.pipeline.settings import *\n"
        "model = ModelSettings('net.py:f', arguments=(('a', {'x', 'y', 'z'}),))\n"
        "print(h('image', [model, RunSettings()], {'b': '1', 'a': None}))"
    )
    hashes = set()
    for seed in ("0", "1", "2"):
        done = subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        )
        hashes.add(done.stdout)
    assert len(hashes) == 1
    assert len(hashes.pop().strip()) == module.DIGITS


def test_the_order_of_contents_does_not_matter():
    contents = [(f"file {number}", str(number)) for number in range(20)]
    hashes = set()
    for seed in range(5):
        random.Random(seed).shuffle(contents)
        hashes.add(hashed(**dict(contents)))
    assert len(hashes) == 1


def test_stated_settings_are_those_that_differ():
    model = ModelSettings("resnet18", targets=(TargetSpec(label="cat"), TargetSpec(index=3)), weights=Path("w.pth"))
    run = ClipSettings(batch_size=2, start=Fraction(1, 2), render=RenderSettings(colormap="jet", quality=75))
    assert stated((model, run)) == {
        "model": "resnet18",
        "weights": "w.pth",
        "targets": ["cat", "3"],
        "start": "1/2",
        "colormap": "jet",
    }
    assert stated((ModelSettings(), ClipSettings())) == {}


def test_a_setting_without_a_default_is_always_stated():
    @dataclass
    class Needs:
        value: int
        kinds: tuple[str, ...] = field(default=("a",), metadata=NO_RESULT)

    assert stated((Needs(3, ("b",)),)) == {"value": 3}
