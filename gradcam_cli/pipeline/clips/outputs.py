"""The outputs of a clip, by container: files that encode the frames that an artifact has drawn."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import numpy as np

from gradcam_cli.media.gif.write import MAX_LOOPS, GifWriter
from gradcam_cli.media.image.read import resized
from gradcam_cli.media.video.write import VideoWriter
from gradcam_cli.pipeline.artifacts.registry import ARTIFACTS

if TYPE_CHECKING:
    from contextlib import ExitStack
    from fractions import Fraction
    from pathlib import Path

    import numpy.typing as npt

    from gradcam_cli.pipeline.artifacts.base import ClipArtifact
    from gradcam_cli.pipeline.clips.sources.base import ClipInfo
    from gradcam_cli.pipeline.frame import Frame
    from gradcam_cli.pipeline.settings import ClipSettings
    from gradcam_cli.records import FileState, Output, Prediction, Size
    from gradcam_cli.render.planes import Planes

    Pixels = npt.NDArray[np.uint8]


class Sink(Protocol):
    """An open output."""

    notes: tuple[str, ...]
    """Notes about the file for the user."""

    @property
    def coloured(self) -> bool:
        """Whether it shows the map in colours, not its grey levels."""

    def draw(self, frame: Frame, grayscale: Pixels, prediction: Prediction) -> object:
        """Draw a frame with its map, uint8 (H, W), for the explained class, and return it ready to be encoded.

        Several threads may draw frames at once, in any order.
        """

    def write(self, drawn: Any) -> None:  # noqa: ANN401
        """Encode a drawn frame; frames come in order."""

    def finish(self) -> None:
        """Encode the frames that are held back: no frame follows."""


def open_output(
    output: Output,
    info: ClipInfo,
    settings: ClipSettings,
    stack: ExitStack,
    *,
    blank: bool,
    written: dict[Path, FileState],
) -> Sink:
    """Open a file for one kind of result, to be closed by ``stack``.

    Args:
        output: kind and path of the result.
        info: properties of the source.
        settings: how the result is drawn and encoded.
        stack: closes the file; it appears whole then, or not at all.
        blank: whether the maps of the whole clip are blank.
        written: takes the file's state when it is whole.

    Raises:
        OutputError: the file cannot be written.
    """
    artifact = ARTIFACTS[output.kind].for_clips(settings, blank=blank)
    if output.container == "gif":
        size = settings.gif_size(info.size)
        gif = GifWriter(
            output.path,
            artifact.size(size),
            loop=None if info.loop is None else min(info.loop, MAX_LOOPS),  # other formats allow more
            palette=artifact.palette,
            keep_partial=settings.keep_partial,
            written=written,
        )
        sink = GifSink(stack.enter_context(gif), artifact, size, settings)
        sink.notes = smaller(size, info.size)
        return sink
    video = VideoWriter(
        output.path,
        artifact.size(_even(info.size)),
        tick=info.tick,
        rate=info.rate,
        codec=settings.codec,
        quality=settings.render.quality,
        audio=info.audio if settings.audio else None,
        keep_partial=settings.keep_partial,
        written=written,
    )
    return VideoSink(stack.enter_context(video), artifact, info.size)


def smaller(size: Size, whole: Size) -> tuple[str, ...]:
    """Return the note that a GIF is smaller than its source, sizes (height, width); none where it is not."""
    if size[1] >= whole[1]:
        return ()
    return (f"the GIF is made smaller: {size[1]}×{size[0]} of {whole[1]}×{whole[0]}",)


def _even(size: Size) -> Size:
    return size[0] + size[0] % 2, size[1] + size[1] % 2


class VideoSink:
    """Writes one kind of result as a video.

    Args:
        writer: open writer of the file.
        artifact: draws the frames.
        size: (height, width) of the frames.
    """

    def __init__(self, writer: VideoWriter, artifact: ClipArtifact, size: Size) -> None:
        self._writer = writer
        self._artifact = artifact
        self._even = _even(size)
        self.notes = writer.notes
        if self._even != size:
            self.notes = (f"padded from {size[1]}×{size[0]} to even sides by repeating the edge", *writer.notes)

    @property
    def coloured(self) -> bool:
        """Whether the artifact shows the map in colours."""
        return self._artifact.coloured

    def draw(self, frame: Frame, grayscale: Pixels, prediction: Prediction) -> tuple[Planes, Fraction, Fraction]:
        """Return the planes of a frame with its map, uint8 (H, W), its time and its duration."""
        height, width = self._even
        if grayscale.shape != (height, width):
            grayscale = np.pad(grayscale, [(0, height - len(grayscale)), (0, width - grayscale.shape[1])], "edge")
        return self._artifact.planes(frame, grayscale, prediction), frame.time, frame.duration

    def write(self, drawn: tuple[Planes, Fraction, Fraction]) -> None:
        """Encode a drawn frame."""
        self._writer.write(*drawn)

    def finish(self) -> None:
        """Encode the frames that are held back."""
        self._writer.flush()


class _GifFrame(NamedTuple):
    """A frame of a GIF: uint8 indices (H, W), RGB (H, W, 3) or None for no change, shown from ``time`` to ``end``."""

    pixels: Pixels | None
    time: Fraction
    end: Fraction


class GifSink:
    """Writes one kind of result as a GIF: exactly where the artifact has a palette, otherwise quantised.

    Args:
        writer: open writer of the file, with the artifact's palette.
        artifact: draws the frames.
        size: (height, width) of one frame in the GIF, before source and overlay are put side by side.
        settings: the frame rate.
    """

    def __init__(self, writer: GifWriter, artifact: ClipArtifact, size: Size, settings: ClipSettings) -> None:
        self._writer = writer
        self._artifact = artifact
        self._size = size
        self._step = 1 / settings.gif_fps if settings.gif_fps else None
        self.notes: tuple[str, ...] = ()

    @property
    def coloured(self) -> bool:
        """Whether the artifact shows the map in colours."""
        return self._artifact.coloured

    def draw(self, frame: Frame, grayscale: Pixels, prediction: Prediction) -> _GifFrame:
        """Return a frame with its map, uint8 (H, W), or without pixels where ``gif_fps`` leaves the frame out.

        A frame is shown from the first tick within it, so that a faster source is thinned out evenly.
        """
        end = frame.time + frame.duration
        time = frame.time if self._step is None else self._step * math.ceil(frame.time / self._step)
        if time >= end:
            return _GifFrame(None, time, end)
        return _GifFrame(self._artifact.rgb(frame, self._size, resized(grayscale, self._size), prediction), time, end)

    def write(self, drawn: _GifFrame) -> None:
        """Encode a drawn frame."""
        if drawn.pixels is None:
            self._writer.extend(drawn.end)
        elif drawn.pixels.ndim == 2:
            self._writer.write_indexed(drawn.pixels, drawn.time, drawn.end - drawn.time)
        else:
            self._writer.write(drawn.pixels, drawn.time, drawn.end - drawn.time)

    def finish(self) -> None:
        """Do nothing: the writer encodes the frame that is held back at the file's end."""
