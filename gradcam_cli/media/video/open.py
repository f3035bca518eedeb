"""Safe opening of video files: only known containers, no other files, and errors explained."""

from __future__ import annotations

import re
from contextlib import contextmanager
from typing import TYPE_CHECKING

import av

from gradcam_cli.errors import InputError
from gradcam_cli.files import explain_read_error, refusal
from gradcam_cli.media.image.sniff import HEAD
from gradcam_cli.media.limits import check_pixels
from gradcam_cli.text import printable

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from av.audio.stream import AudioStream
    from av.container import InputContainer
    from av.video.stream import VideoStream

# Left out on purpose: playlists and scripts, which name other files or hosts (hls, concat, dash, sdp, …), and formats
# that take any file for raw samples.
_CONTAINERS = (
    "mov,matroska,webm,avi,mpegts,mpeg,mpegvideo,flv,live_flv,asf,ogg,mxf,nut,ivf,rm,dv,gxf,wtv,y4m,yuv4mpegpipe,h264,"
    "hevc,av1,obu,m4v,vc1,swf,nsv,bink,smk,roq,amv,3dostr,vob"
)
_OPTIONS = {"format_whitelist": _CONTAINERS, "protocol_whitelist": "file"}

_AGAIN = "copy or download it again"

# For files in no known container. The first pattern that matches the beginning decides.
_KINDS: tuple[tuple[bytes, str, str], ...] = (
    (rb"\Z", "is empty", _AGAIN),
    (rb"version https://git-lfs", "is a Git LFS pointer, not the video itself", "fetch the video with 'git lfs pull'"),
    (rb"GIF8|\x89PNG(?:(?!IDAT).)*?acTL|RIFF....WEBP", "is a picture, not a video", "use gradcam gif or gradcam image"),
    (rb"\xff\xd8\xff|\x89PNG|BM|II[*+]\0|MM\0[*+]", "is a picture, not a video", "use gradcam image"),
    (
        rb"\s*(?:#EXTM3U|ffconcat|v=0\s|<\?xml.*?<MPD|\[playlist\])",
        "is a list of other files or addresses, which is never followed",
        "give the video itself",
    ),
    (
        rb"\s*(?i:<!doctype html|<html|<head|<body)",
        "is a web page, not a video",
        "open it in a browser to see why the download failed",
    ),
    (
        rb"....(?:ftyp|moov|mdat|wide|free)|\x1a\x45\xdf\xa3|RIFF....AVI ",
        "is a video that is damaged, or cut off before its index",
        _AGAIN,
    ),
)


@contextmanager
def opened(path: Path, name: str) -> Iterator[InputContainer]:
    """Open a video or sound file; its format is determined by its content, not by its suffix.

    The path is never taken for an address or a pattern, and the file's content never makes FFmpeg open another file.

    Raises:
        InputError: the file does not exist, is not a regular file, or is in no known container.
    """
    refused = refusal(path, "a video", "give a video's path")
    if refused:
        raise InputError(f"{name}: {refused[0]}", refused[1])
    try:
        # Not options=: with it PyAV before 18 writes past its memory where streams appear late (damaged TS files).
        container = av.open(f"file:{path}", "r", container_options=_OPTIONS, metadata_errors="replace")
    except MemoryError as error:
        raise InputError(f"{name}: needs more memory than there is", "make it smaller first") from error
    except (av.error.FFmpegError, ValueError) as error:  # ValueError: a name in the file that cannot be decoded
        raise _explained(path, name) from error
    with container:
        yield container


def _explained(path: Path, name: str) -> InputError:
    """Return the error for a file that cannot be opened: the system's reason, or the kind of its first bytes."""
    try:
        with path.open("rb") as stream:
            head = stream.read(HEAD)
    except OSError as error:
        what, hint = explain_read_error(error)
        return InputError(f"{name}: {what}", hint)
    for pattern, what, hint in _KINDS:
        if re.match(pattern, head, re.DOTALL):
            return InputError(f"{name}: {what}", hint)
    return InputError(f"{name}: is not a video of a known kind", "give an MP4, MOV, MKV, WebM, AVI or TS file")


def video_stream(container: InputContainer, name: str, max_pixels: int) -> VideoStream:
    """Return the file's main video stream: FFmpeg's choice of the best one, album covers excepted.

    Raises:
        InputError: there is none, it has no decoder, or its frames are too large.
    """
    found = [s for s in container.streams.video if not s.disposition & av.stream.Disposition.attached_pic]
    if not found:
        what = "holds sound but no video" if container.streams.audio else "holds no video"
        raise InputError(f"{name}: {what}", "give a file with a video in it")
    best = container.streams.best("video")
    stream = next((s for s in found if best is not None and s.index == best.index), found[0])
    if stream.codec_context is None:
        raise InputError(f"{name}: no decoder is known for its video", "convert it to H.264 first")
    check_size(stream.codec_context.width, stream.codec_context.height, max_pixels, name)
    return stream


def audio_stream(container: InputContainer) -> AudioStream | None:
    """Return the audio stream that belongs to the video, or None."""
    best = container.streams.best("audio")
    return next((s for s in container.streams.audio if best is not None and s.index == best.index), None)


def check_size(width: int, height: int, max_pixels: int, name: str) -> None:
    """Refuse frames of more than ``max_pixels``.

    Raises:
        InputError: they are too large.
    """
    check_pixels(width, height, max_pixels, name, f"its frames of {width}×{height} have")


def reason(error: Exception) -> str:
    """Return an error's reason as short printable text for a message."""
    return printable(getattr(error, "strerror", None) or str(error) or type(error).__name__)[:200]
