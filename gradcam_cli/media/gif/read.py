"""Reading of animations: GIF, WebP, APNG and AVIF → whole frames with their times; a still picture is one frame."""

from __future__ import annotations

import io
from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from typing import TYPE_CHECKING, BinaryIO

import cv2
import numpy as np
from PIL import Image

from gradcam_cli.errors import InputError
from gradcam_cli.files import explain_read_error, refusal
from gradcam_cli.media.gif.blocks import SIGNATURES, Canvas, DamagedGifError, GifFile
from gradcam_cli.media.image import colours, orientation, repair, sniff
from gradcam_cli.media.image import to_rgb as pixel_modes
from gradcam_cli.media.image.read import read_picture
from gradcam_cli.media.limits import ANIMATION_PIXELS, check_frames, check_pixels, let_pillow
from gradcam_cli.text import printable

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from types import TracebackType

    import numpy.typing as npt

    from gradcam_cli.records import Size

    Drawn = tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8] | None, Fraction]

DEFAULT_DURATION = Fraction(1, 10)
"""Seconds that browsers show a frame whose own duration is at most `_SHORTEST`."""

_SHORTEST = Fraction(1, 100)
_FORMATS = ("WEBP", "PNG", "AVIF")  # Pillow's animated formats, apart from GIF
_COPY = "copy or download it again"


@dataclass(slots=True)
class AnimationFrame:
    """One whole frame of an animation.

    Attributes:
        pixels: uint8 RGB (H, W, 3), as a viewer shows them; transparent pixels are white.
        alpha: uint8 (H, W), 0 where the frame is transparent; None for an opaque frame.
        time: when it appears, in seconds from the start.
        duration: how long a browser shows it, in seconds.
    """

    pixels: npt.NDArray[np.uint8]
    alpha: npt.NDArray[np.uint8] | None
    time: Fraction
    duration: Fraction


@dataclass(frozen=True, slots=True)
class AnimationInfo:
    """Properties of an animation that are known before its frames are decoded.

    Attributes:
        size: (height, width) of every frame.
        frames: number of frames, damaged ones included; None when the file is cut off.
        loop: None plays once, 0 for ever, n repeats n times after the first.
        duration: of one round in seconds, or None where it is known only after decoding.
        notes: facts that a user should know.
    """

    size: Size
    frames: int | None
    loop: int | None
    duration: Fraction | None
    notes: tuple[str, ...] = ()


class AnimationReader:
    """Reads an animation with few frames in memory; its format is determined by its content, not by its suffix.

    A context manager, and iterable: each iteration starts from the beginning. A damaged frame ends the iteration,
    because later frames build on it; ``damage`` then describes it, and the frames before it have been delivered.

    Args:
        source: a file's path or its content.
        name: the animation's name in error messages.
        max_pixels: most pixels of the canvas; None is `limits.ANIMATION_PIXELS`, for a still picture `PICTURE_PIXELS`.
        max_frames: most frames in the file; None is no limit.

    Attributes:
        info: properties known before decoding.
        damage: after an iteration, why it ended early (``frame 4 and what follows are damaged (…)``), or empty.

    Raises:
        InputError: the file does not exist, is neither an animation nor a picture, or is larger or longer than allowed.
            The iteration raises it when the first frame is damaged, or the file can no longer be read.
    """

    def __init__(
        self, source: Path | bytes, name: str, max_pixels: int | None = None, max_frames: int | None = None
    ) -> None:
        self._source = source
        self._name = printable(name)
        self._max_pixels = max_pixels
        self._most = _Most(max_pixels or ANIMATION_PIXELS, max_frames)
        let_pillow(self._most.pixels)
        self.damage = ""
        self._stream = self._open()
        try:
            self._frames: _GifFrames | _PillowFrames | _OneFrame = self._recognised()
        except OSError as error:
            self.close()
            raise self._unreadable(error) from error
        except BaseException:
            self.close()
            raise
        self.info = self._frames.info

    def __enter__(self) -> AnimationReader:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the file."""
        self._stream.close()

    def __iter__(self) -> Iterator[AnimationFrame]:
        self.damage = ""
        time, number = Fraction(0), 1
        frames = iter(self._frames)
        while True:
            try:
                pixels, alpha, duration = next(frames)
            except StopIteration:
                return
            except MemoryError as error:
                raise InputError(f"{self._name}: needs more memory than there is", "make it smaller first") from error
            except OSError as error:
                if error.errno is not None:  # a disk error, not the decoder's
                    raise self._unreadable(error) from error
                self._end_early(number, error)
                return
            except Exception as error:  # decoders raise anything on damaged files
                self._end_early(number, error)
                return
            duration = _as_shown(duration)
            yield AnimationFrame(pixels, alpha, time, duration)
            time, number = time + duration, number + 1

    def _end_early(self, number: int, error: Exception) -> None:
        """Record the damage, or refuse the file when there was no good frame before it."""
        reason = printable(str(error) or type(error).__name__)[:200]
        if number == 1:
            raise InputError(f"{self._name}: the first frame is damaged or cut off ({reason})", _COPY) from error
        self.damage = f"frame {number} and what follows are damaged or cut off ({reason})"

    def _open(self) -> BinaryIO:
        if isinstance(self._source, bytes):
            return io.BytesIO(self._source)
        refused = refusal(self._source, "an animation", "give the path of a GIF, WebP or APNG file")
        if refused:
            raise InputError(f"{self._name}: {refused[0]}", refused[1])
        try:
            return self._source.open("rb")
        except OSError as error:
            raise self._unreadable(error) from error

    def _recognised(self) -> _GifFrames | _PillowFrames | _OneFrame:
        signature = self._stream.read(6)
        self._stream.seek(0)
        if signature in SIGNATURES:
            return _GifFrames(self._stream, self._name, self._most)
        image = _animated(self._stream)
        if image is None:
            return _OneFrame(self._source, self._name, self._max_pixels)
        return _PillowFrames(image, self._stream, self._name, self._most)

    def _unreadable(self, error: OSError) -> InputError:
        what, hint = explain_read_error(error)
        return InputError(f"{self._name}: {what}", hint)


@dataclass(frozen=True, slots=True)
class _Most:
    """Size limits of an animation."""

    pixels: int
    frames: int | None

    def check_frames(self, count: int, name: str) -> None:
        check_frames(count, self.frames, name, "keep fewer of them first")


class _GifFrames:
    """The frames of a GIF file."""

    def __init__(self, stream: BinaryIO, name: str, most: _Most) -> None:
        self._most = most
        count, duration, size, damage = 0, Fraction(0), (0, 0), ""
        try:
            self._file = GifFile(stream)
            size = self._file.size
            for frame in self._file.frames():
                if not count:  # browsers enlarge the canvas for the first frame, and for no other
                    size = max(size[0], frame.top + frame.height), max(size[1], frame.left + frame.width)
                count += 1
                most.check_frames(count, name)
                duration += _as_shown(Fraction(frame.delay, 100))
        except DamagedGifError as error:
            damage = str(error)
        if not count:
            raise InputError(f"{name}: is a GIF file without a whole frame" + f" ({damage})" * bool(damage), _COPY)
        check_pixels(size[1], size[0], most.pixels, name)
        whole = not damage
        self.info = AnimationInfo(size, count if whole else None, self._file.loop, duration if whole else None)

    def __iter__(self) -> Iterator[Drawn]:
        canvas = Canvas(self.info.size)
        for frame in self._file.frames():
            if frame.height * frame.width > self._most.pixels:
                raise DamagedGifError("it is far larger than its canvas")
            canvas.draw(frame)
            yield *_split(canvas.rgba), Fraction(frame.delay, 100)


class _PillowFrames:
    """The frames of an animation that Pillow composes itself; the file's content and one frame are in memory."""

    def __init__(self, image: Image.Image, stream: BinaryIO, name: str, most: _Most) -> None:
        width, height = image.size
        check_pixels(width, height, most.pixels, name)
        self._image, self._turn = image, orientation.turn(image)
        if self._turn in orientation.ASIDE:
            width, height = height, width
        # An APNG may begin with a picture for programs that do not support animations: browsers do not show it.
        self._first = int(bool(image.info.get("default_image")))
        self._count = getattr(image, "n_frames", 1)
        most.check_frames(self._count - self._first, name)
        plays = image.info.get("loop", 0)  # these formats count rounds, not repetitions; 0 is for ever
        loop = None if plays == 1 else max(0, plays - 1)
        try:
            self._to_srgb = colours.conversion(image, stream, image.format)
        except Exception:  # the first frame is damaged: told when it is read
            self._to_srgb = colours.UNCHANGED
        self.info = AnimationInfo((height, width), self._count - self._first, loop, None, self._to_srgb.notes)

    def __iter__(self) -> Iterator[Drawn]:
        for index in range(self._first, self._count):
            self._image.seek(index)
            self._image.load()
            milliseconds = self._image.info.get("duration", 0)
            alpha = None
            frame = self._to_srgb.apply(self._image if self._turn is None else self._image.transpose(self._turn))
            if frame.has_transparency_data:
                frame = frame.convert("RGBA")
                alpha = np.asarray(frame.getchannel("A"))
                alpha = None if alpha.min() == 255 else alpha
            rgb, _ = pixel_modes.to_rgb(frame)
            yield rgb, alpha, Fraction(milliseconds / 1000).limit_denominator(65535)  # as APNG stores it


class _OneFrame:
    """A still picture of any format."""

    def __init__(self, source: Path | bytes, name: str, max_pixels: int | None) -> None:
        picture = read_picture(source, name, max_pixels)
        self._pixels = picture.pixels
        self.info = AnimationInfo(picture.size, 1, None, DEFAULT_DURATION, picture.notes)

    def __iter__(self) -> Iterator[Drawn]:
        yield self._pixels, None, DEFAULT_DURATION


def _animated(stream: BinaryIO) -> Image.Image | None:
    """Open a file with Pillow if it is an animation; return None for any other file, broken ones included."""
    try:
        head = stream.read(sniff.HEAD)
        stream.seek(0)
        image = Image.open(repair.with_known_brand(stream, head), formats=_formats())
        return image if getattr(image, "is_animated", False) else None
    except Exception:  # read_picture reports the error
        return None


@cache
def _formats() -> tuple[str, ...]:
    """Return the formats of `_FORMATS` that this Pillow can read (AVIF came late)."""
    Image.init()
    return tuple(name for name in _FORMATS if name in Image.OPEN)


def _as_shown(duration: Fraction) -> Fraction:
    """Return for how many seconds a browser shows a frame with a stored duration of ``duration`` seconds."""
    return duration if duration > _SHORTEST else DEFAULT_DURATION


def _split(rgba: npt.NDArray[np.uint8]) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8] | None]:
    """Return RGB, white where transparent, and alpha, None if opaque, as new arrays. Alpha must be 0 or 255."""
    rgb = np.asarray(cv2.cvtColor(rgba, cv2.COLOR_RGBA2RGB), np.uint8)
    alpha = np.ascontiguousarray(rgba[..., 3])
    if cv2.countNonZero(alpha) == alpha.size:
        return rgb, None
    rgb[alpha == 0] = 255
    return rgb, alpha
