"""The colours of a picture that Pillow has decoded → sRGB, by what its file states of them."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from itertools import chain, islice
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np
from PIL import Image

from gradcam_cli.media import boxes
from gradcam_cli.media.colour import icc, pixels
from gradcam_cli.media.colour.spaces import REFERENCE_WHITE, Space, measured_space, space
from gradcam_cli.media.image import repair

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import numpy.typing as npt

_OF_ANIMATIONS = (b"moov", b"trak", b"mdia", b"minf", b"stbl", b"stsd", b"*", b"colr")
"""Where animated AVIF files have code points."""
_CHUNKS = 100
"""Most chunks of a PNG that are searched for code points, which must come before the pixels."""


@dataclass(frozen=True, slots=True)
class Conversion:
    """The conversion of a file's pictures to sRGB.

    Attributes:
        apply: converts a loaded picture; alpha stays, palettes are resolved.
        notes: what it does, or why it cannot.
        space: how the values are meant, if that is stated by numbers.
        peak: nits of the brightest part of HDR, which becomes white.
    """

    apply: Callable[[Image.Image], Image.Image]
    notes: tuple[str, ...] = ()
    space: Space | None = None
    peak: float = REFERENCE_WHITE

    def of_deep(self, values: npt.NDArray[np.uint16]) -> Image.Image:
        """Convert colours of 16 bits (H, W, 3 or 4) from `space`, all their bits, to a picture of sRGB."""
        assert self.space is not None
        image = Image.fromarray(pixels.converted(values[..., :3], self.space, self.peak))
        if values.shape[2] == 4:
            image.putalpha(Image.fromarray(pixels.to_8_bits(values[..., 3])))
        return image


def _same(image: Image.Image) -> Image.Image:
    return image


UNCHANGED = Conversion(_same)


def conversion(image: Image.Image, stream: BinaryIO, form: str | None) -> Conversion:
    """Return the conversion to sRGB that a file needs; of one that states nothing, or sRGB, pictures stay as they are.

    Args:
        image: its picture, or the first one, loaded; its brightest part becomes white in HDR.
        stream: the file; its position stays.
        form: Pillow's name of its format.
    """
    profile = image.info.get("icc_profile")
    stated, found = _stated(image, stream, form)
    if found and (found.is_hdr or not profile or form == "PNG") and not image.mode.startswith(("I", "F")):
        return _of_space(image, found)
    if isinstance(profile, bytes) and profile and not (stated and form == "PNG"):
        return _of_profile(image, profile)
    if image.mode == "CMYK":
        return Conversion(_same, ("its CMYK colours have no profile: taken for pure inks",))
    return UNCHANGED


def _of_space(image: Image.Image, stated: Space) -> Conversion:
    peak = REFERENCE_WHITE
    if stated.is_hdr:
        peak = pixels.peak_of(np.asarray(_with_colours(image))[..., :3], stated)

    def apply(image: Image.Image) -> Image.Image:
        image = _with_colours(image)
        converted = Image.fromarray(pixels.converted(np.asarray(image)[..., :3], stated, peak))
        if image.mode == "RGBA":
            converted.putalpha(image.getchannel("A"))
        return converted

    return Conversion(apply, (stated.description("sRGB", peak),), stated, peak)


def _of_profile(image: Image.Image, content: bytes) -> Conversion:
    profile = icc.read(content)
    if profile is None:
        return Conversion(_same, ("its colour profile is damaged: taken for sRGB",))
    if profile.is_srgb:
        return UNCHANGED
    if _fitting(image, profile) is None:
        return Conversion(_same, (f"its colour profile ({profile.name}) does not suit its pixels: not applied",))

    def apply(image: Image.Image) -> Image.Image:
        fitting = _fitting(image, profile)
        if fitting is None:  # a later picture of another kind
            return image
        converted = profile.to_srgb(fitting)
        if image.has_transparency_data and converted.mode == "RGB":
            converted.putalpha(image.convert("LA" if fitting.mode == "L" else "RGBA").getchannel("A"))
        return converted

    return Conversion(apply, (f"its colours are converted from {profile.name} to sRGB",))


def _fitting(image: Image.Image, profile: icc.Profile) -> Image.Image | None:
    """Return the picture in a mode that its profile is for, or None where there is none."""
    modes = profile.modes()
    if image.mode in modes and not (image.mode == "RGB" and image.has_transparency_data):
        return image
    if "RGB" in modes and image.mode in ("RGB", "P", "PA", "L", "LA", "1", "YCbCr", "RGBX"):
        return _with_colours(image)
    if "L" in modes and image.mode in ("1", "LA"):
        return image.convert("L")
    return None


def _with_colours(image: Image.Image) -> Image.Image:
    """Return a picture as RGB, or as RGBA where it has transparent pixels."""
    return image.convert("RGBA" if image.has_transparency_data else "RGB")


def _stated(image: Image.Image, stream: BinaryIO, form: str | None) -> tuple[bool, Space | None]:
    """Return whether a file has code points or measures of its colours, and the space that they mean, if not sRGB."""
    position = stream.tell()
    points = next(_code_points(stream), None)
    stream.seek(position)
    if points:
        return True, space(*points)
    gamma: Any = image.info.get("gamma")
    if form == "PNG" and gamma and "srgb" not in image.info and not image.info.get("icc_profile"):
        return True, measured_space(gamma, image.info.get("chromaticity"))
    return False, None


def _code_points(stream: BinaryIO) -> Iterator[tuple[int, int]]:
    """Yield the code points of primaries and transfer function that a PNG, AVIF or HEIF file states."""
    for name, begin, _ in islice(repair.png_chunks(stream), _CHUNKS):
        if name == b"IDAT":
            return
        if name == b"cICP":
            stream.seek(begin + 8)
            yield _pair(stream.read(2), "BB")
    stream.seek(0)
    if not repair.brands(stream.read(16)):
        return
    animated = boxes.content(stream, boxes.whole(stream), *_OF_ANIMATIONS)
    for content in chain(boxes.primary_properties(stream, b"colr"), animated):
        if content[:4] in (b"nclx", b"nclc"):
            yield _pair(content[4:8], ">HH")


def _pair(data: bytes, form: str) -> tuple[int, int]:
    primaries, transfer = struct.unpack(form, data.ljust(struct.calcsize(form), b"\0"))
    return primaries, transfer
