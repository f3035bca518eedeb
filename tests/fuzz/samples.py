"""Good files of every kind, small and made on the spot: what the fuzzer damages."""

from __future__ import annotations

import functools
import io
import json
import pickle
import tempfile
import zipfile
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from gradcam_cli.models.sources import tiny
from tests.conftest import SAMPLES, SmallNet
from tests.media.clips import Clip, Sound, make

MARKER = "executed"
"""A file that appears if a checkpoint is ever run."""

NETWORK = '''"""A network for small checkpoints."""
import torch
from torch import nn


def build(num_classes=3):
    torch.manual_seed(0)
    body = nn.Sequential(nn.Conv2d(3, 4, 3, stride=2, padding=1), nn.BatchNorm2d(4), nn.ReLU())
    return nn.Sequential(body, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, num_classes))
'''

Samples = tuple[tuple[str, bytes], ...]
"""Suffix and content of each."""


@functools.cache
def of(kind: str) -> Samples:
    """Return the samples of a kind; the same ones at every call."""
    return {"pictures": _pictures, "gifs": _animations, "videos": _videos, "weights": _weights, "labels": _labels}[
        kind
    ]()


def _scene(mode: str = "RGB", size: tuple[int, int] = (40, 28)) -> Image.Image:
    x, y = np.meshgrid(np.arange(size[0]), np.arange(size[1]))
    waves = np.stack([127 + 120 * np.sin(x / a + y / b) for a, b in ((3, 5), (7, 2), (2, 9))], axis=2)
    return Image.fromarray(waves.astype(np.uint8)).convert(mode)


def _saved(image: Image.Image, form: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, form, **options)
    return buffer.getvalue()


def _pictures() -> Samples:
    turned = Image.Exif()
    turned[0x0112] = 6
    deep = Image.fromarray((np.arange(40 * 28).reshape(28, 40) * 50).astype(np.uint16))
    made = [
        (".png", _saved(_scene(), "PNG")),
        (".png", _saved(_scene("P"), "PNG", transparency=3)),
        (".png", _saved(_scene("RGBA"), "PNG")),
        (".png", _saved(deep, "PNG")),
        (".png", _saved(_scene("1"), "PNG")),
        (".jpg", _saved(_scene(), "JPEG", exif=turned)),
        (".jpg", _saved(_scene("CMYK"), "JPEG")),
        (".jpg", _saved(_scene("L"), "JPEG", progressive=True)),
        (".webp", _saved(_scene(), "WEBP")),
        (".webp", _saved(_scene("RGBA"), "WEBP", lossless=True)),
        (".bmp", _saved(_scene(), "BMP")),
        (".bmp", _saved(_scene("P"), "BMP")),
        (".tif", _saved(_scene(), "TIFF")),
        (".tif", _saved(_scene(), "TIFF", compression="tiff_lzw")),
        (".tif", _saved(_scene("F"), "TIFF")),
        (".tif", _saved(_scene("CMYK"), "TIFF", compression="tiff_adobe_deflate")),
        (".gif", _saved(_scene("P"), "GIF")),
        (".ppm", _saved(_scene(), "PPM")),
        (".tga", _saved(_scene(), "TGA", rle=True)),
        (".ico", _saved(_scene("RGBA"), "ICO", sizes=[(16, 16)])),
        (".jp2", _saved(_scene(), "JPEG2000")),
        (".pcx", _saved(_scene(), "PCX")),
        (".sgi", _saved(_scene(), "SGI")),
        (".dds", _saved(_scene(), "DDS")),
        (".jpg", (SAMPLES / "cat.jpg").read_bytes()),
    ]
    return tuple(made)


def _animations() -> Samples:
    frames = [Image.fromarray(np.roll(np.asarray(_scene(size=(32, 24))), 4 * k, axis=1)) for k in range(4)]
    clear = [frame.convert("RGBA") for frame in frames]
    for frame in clear[1:]:
        frame.putpixel((3, 3), (0, 0, 0, 0))

    def saved(form: str, pictures: list[Image.Image], **options: object) -> bytes:
        return _saved(pictures[0], form, save_all=True, append_images=pictures[1:], **options)

    return (
        (".gif", saved("GIF", frames, duration=[40, 100, 30, 500], loop=3)),
        (".gif", saved("GIF", clear, duration=70, disposal=2)),
        (".gif", saved("GIF", frames, duration=70, disposal=3, loop=0)),
        (".png", saved("PNG", frames, duration=90, loop=2)),
        (".png", saved("PNG", clear, duration=90, default_image=True)),
        (".webp", saved("WEBP", frames, duration=[40, 100, 30, 500], loop=5)),
        (".webp", saved("WEBP", clear, duration=70, lossless=True)),
    )


def _videos() -> Samples:
    with tempfile.TemporaryDirectory() as folder:
        wanted = {
            "a.mp4": Clip(size=(32, 48)),
            "sound.mp4": Clip(size=(32, 48), sound=Sound()),
            "turned.mov": Clip(size=(32, 48), rotation=90),
            "a.mkv": Clip(size=(32, 48), sound=Sound(codec="libopus")),
            "a.webm": Clip(size=(32, 48), codec="libvpx-vp9", options={"cpu-used": "8"}),
            "a.avi": Clip(size=(32, 48), codec="mpeg4", tick=Clip().last),
            "a.ts": Clip(size=(32, 48)),
            "a.mpg": Clip(size=(32, 48), codec="mpeg2video", tick=Clip().last * 12 / 25, times=[]),
        }
        made = []
        for name, clip in wanted.items():
            clip.times = [k * (clip.last if name != "a.mpg" else clip.tick) for k in range(8)]
            if name == "a.mpg":
                clip.last = clip.tick
            made.append((Path(name).suffix, make(Path(folder, name), clip).read_bytes()))
    return (*made, (".mp4", (SAMPLES / "cat.mp4").read_bytes()))


class Evil:
    """Runs a command when a careless reader unpickles it."""

    def __reduce__(self) -> tuple[object, ...]:
        return __import__("os").system, (f"touch {MARKER}",)


def _weights() -> Samples:
    from safetensors.torch import save

    space: dict[str, object] = {}
    exec(NETWORK, space)
    state = space["build"](num_classes=3).state_dict()  # type: ignore[operator]

    def saved(content: object, **options: object) -> bytes:
        buffer = io.BytesIO()
        torch.save(content, buffer, **options)
        return buffer.getvalue()

    other = SmallNet().state_dict()
    return (
        (".pth", saved(state)),
        (".pth", saved({"epoch": 3, "state_dict": {f"module.{key}": value for key, value in state.items()}})),
        (".pt", saved(state, _use_new_zipfile_serialization=False)),
        (".pth", saved({key: value.half() for key, value in state.items()})),
        (".safetensors", save(state)),
        (".safetensors", save({key: value.double() for key, value in state.items()}, {"format": "pt"})),
        (".ckpt", saved({"state_dict": state, "hyper_parameters": {"lr": 0.1, "tuple": (1, None)}})),
        (".pth", saved(other)),
        (".pth", saved({**state, "evil": Evil()})),
        (".pkl", pickle.dumps({**state, "evil": Evil()})),
        (".pth", tiny.WEIGHTS.read_bytes()[:20_000]),
    )


def repacked(data: bytes, change: bytes) -> bytes:
    """Return a zip checkpoint whose pickle is replaced, with right checksums; other data as it is."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            content = {entry.filename: archive.read(entry) for entry in archive.infolist()}
    except Exception:  # not a zip file, or one that is damaged already
        return data
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, entry in content.items():
            archive.writestr(name, change if name.endswith("data.pkl") else entry)
    return buffer.getvalue()


def pickle_of(data: bytes) -> bytes | None:
    """Return the pickle within a zip checkpoint."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            return next((archive.read(name) for name in archive.namelist() if name.endswith("data.pkl")), None)
    except Exception:
        return None


def _labels() -> Samples:
    names = ["cat", "dog, domestic", "чайник"]
    return (
        (".txt", "\n".join(names).encode()),
        (".txt", "\r\n".join(names).encode("utf-8-sig")),
        (".txt", "\n".join(names).encode("utf-16")),
        (".txt", "\n".join(f"n0144076{k} {name}" for k, name in enumerate(names)).encode()),
        (".json", json.dumps(names).encode()),
        (".json", json.dumps({str(k): ["n01440764", name] for k, name in enumerate(names)}).encode()),
        (".json", json.dumps({name: k for k, name in enumerate(names)}).encode()),
        (".txt", str(dict(enumerate(names))).encode()),
    )
