"""ICC profiles → sRGB, by littleCMS, which Pillow brings along."""

from __future__ import annotations

import io
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageCms

from gradcam_cli.text import printable

if TYPE_CHECKING:
    from collections.abc import Mapping

_MODES: Mapping[str, tuple[str, ...]] = {
    "RGB ": ("RGB", "RGBA"), "GRAY": ("L",), "CMYK": ("CMYK",), "Lab ": ("LAB",),
}  # fmt: skip
"""A profile's colour space → modes of pictures that it is for; the first is that of the others of its kind."""

_ALIKE = 2
"""Levels by which colours of a profile may differ from sRGB's to be left as they are."""
_LONGEST_NAME = 60


@dataclass(frozen=True, slots=True)
class Profile:
    """An ICC profile.

    Attributes:
        name: as it calls itself.
        space: its colours' kind, as ``RGB ``.
        is_srgb: whether its colours are sRGB's, nearly.
        content: the file.
    """

    name: str
    space: str
    is_srgb: bool
    content: bytes

    def modes(self) -> tuple[str, ...]:
        """Return the modes of pictures that it is for, the usual one first; none for kinds that are not supported."""
        return _MODES.get(self.space, ())

    def to_srgb(self, image: Image.Image) -> Image.Image:
        """Return a picture of one of `modes` as sRGB, relative to white; alpha stays.

        Raises:
            ImageCms.PyCMSError: littleCMS cannot convert it.
        """
        return image if self.is_srgb else _applied(image, self.content)


@lru_cache(maxsize=16)
def read(content: bytes) -> Profile | None:
    """Return a profile, or None for one that is damaged."""
    try:
        profile = ImageCms.ImageCmsProfile(io.BytesIO(content))
        name = printable((ImageCms.getProfileDescription(profile) or "").strip()) or "an unnamed profile"
        space = profile.profile.xcolor_space
        return Profile(name[:_LONGEST_NAME], space, _is_srgb(content, space), content)
    except (OSError, ValueError, TypeError, ImageCms.PyCMSError):
        return None


@lru_cache(maxsize=1)
def srgb() -> bytes:
    """Return an sRGB profile; always the same bytes."""
    content = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    content[24:36], content[40:44] = bytes(12), bytes(4)  # when and on what system it was made
    return bytes(content)


def _is_srgb(content: bytes, space: str) -> bool:
    """Whether colours spread over a profile's space stay what they are, nearly, in sRGB."""
    steps = np.linspace(0, 255, 9).astype(np.uint8)
    if space == "GRAY":
        ramp = Image.fromarray(steps[np.newaxis])
        return _differ(_applied(ramp, content), ramp.convert("RGB")) <= _ALIKE
    if space != "RGB ":
        return False
    cube = np.stack(np.meshgrid(steps, steps, steps), -1).reshape(27, 27, 3)
    colours = Image.fromarray(cube)
    return _differ(_applied(colours, content), colours) <= _ALIKE


def _differ(one: Image.Image, other: Image.Image) -> int:
    return int(np.abs(np.asarray(one).astype(int) - np.asarray(other)).max())


def _applied(image: Image.Image, content: bytes) -> Image.Image:
    mode = "RGBA" if image.mode == "RGBA" else "RGB"
    found = image.copy() if mode == image.mode else None
    transform = ImageCms.buildTransform(
        ImageCms.ImageCmsProfile(io.BytesIO(content)),
        ImageCms.createProfile("sRGB"),
        image.mode,
        mode,
        ImageCms.Intent.RELATIVE_COLORIMETRIC,
        ImageCms.Flags.BLACKPOINTCOMPENSATION,
    )
    if found is None:
        converted = ImageCms.applyTransform(image, transform)
        assert converted is not None  # it is None where the picture itself is changed
        return converted
    ImageCms.applyTransform(found, transform, inPlace=True)
    return found
