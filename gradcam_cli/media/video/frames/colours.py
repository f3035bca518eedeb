"""Frames whose colours are not BT.709's, or that have transparent pixels → sRGB on white."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from gradcam_cli.media.colour import pixels
from gradcam_cli.media.colour.spaces import REFERENCE_WHITE, space

if TYPE_CHECKING:
    import av
    from av.container import InputContainer
    from av.video.stream import VideoStream

    from gradcam_cli.media.colour.spaces import Space
    from gradcam_cli.media.video.frames.scale import Levels, Plane


@dataclass(frozen=True, slots=True)
class Treatment:
    """What is to be done with the colours of a stream's frames.

    Attributes:
        space: how their values are meant; None for BT.709.
        peak: nits of the brightest part of HDR, which becomes white.
        transparent: whether they have alpha, and are put on white.
    """

    space: Space | None
    peak: float
    transparent: bool

    def rgb(self, values: Levels) -> Plane:
        """Return what `scale.to_deep_rgb` makes of a frame, RGB or RGBA (H, W, C), as opaque uint8 sRGB (H, W, 3)."""
        colours = values[..., :3]
        if self.space:
            rgb = pixels.converted(colours, self.space, self.peak)
        else:
            rgb = pixels.to_8_bits(colours)
        return pixels.on_white(rgb, pixels.to_8_bits(values[..., 3:])) if self.transparent else rgb

    def notes(self) -> tuple[str, ...]:
        """Return what is done, for the user."""
        colours = (self.space.description("BT.709", self.peak),) if self.space else ()
        return (*colours, *(("transparent parts are shown on white",) if self.transparent else ()))


def space_of(stream: VideoStream) -> Space | None:
    """Return the colour space that a stream states; None for one that is shown as it is."""
    return space(stream.codec_context.color_primaries, stream.codec_context.color_trc)


def states_alpha(stream: VideoStream) -> bool:
    """Whether a WebM's header says that its frames come with alpha."""
    return any(key.lower() == "alpha_mode" and value == "1" for key, value in stream.metadata.items())


def has_alpha(container: InputContainer, stream: VideoStream, frame: av.VideoFrame) -> bool:
    """Whether a frame has alpha that counts: the fourth byte of uncompressed AVI does not."""
    if container.format.name == "avi" and stream.codec_context.codec.name == "rawvideo":
        return False
    return frame.format.name == "pal8" or any(component.is_alpha for component in frame.format.components)


def treatment_of(
    container: InputContainer, stream: VideoStream, first: av.VideoFrame, peak: float | None
) -> Treatment | None:
    """Return what is to be done with the colours of a stream's frames, judged by the first one; None for nothing."""
    stated, transparent = space_of(stream), has_alpha(container, stream, first)
    if stated is None and not transparent:
        return None
    return Treatment(stated, peak or REFERENCE_WHITE, transparent)
