"""The table of media of moving pictures: by suffix for directory searches, by content for reading.

To add one, write a class with the interface `base.Source` in a file of this folder, and one line here.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pkgutil import resolve_name
from typing import TYPE_CHECKING, cast

from gradcam_cli.errors import InputError
from gradcam_cli.media.image import sniff

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from gradcam_cli.pipeline.clips.sources.base import Source
    from gradcam_cli.pipeline.settings import ClipSettings
    from gradcam_cli.records import Job


@dataclass(frozen=True, slots=True)
class Medium:
    """A medium of moving pictures.

    Attributes:
        source: ``module:class`` of this folder: (path, name, settings) → `Source`.
        content: regular expression of the start of its files.
        command: command that searches directories for it: ``video`` or ``gif``.
        suffixes: suffixes of its files, lower-case, with the dot.
    """

    source: str
    content: bytes
    command: str
    suffixes: frozenset[str]

    def open(self, path: Path, name: str, settings: ClipSettings) -> Source:
        """Open a file.

        Raises:
            InputError: it cannot be read.
        """
        maker = cast("Callable[[Path, str, ClipSettings], Source]", resolve_name(f"{__package__}.{self.source}"))
        return maker(path, name, settings)


MEDIA: dict[str, Medium] = {
    "animation": Medium(
        "animation:AnimationSource",
        rb"GIF8|\x89PNG(?:(?!IDAT).)*?acTL|RIFF....WEBP|....ftyp(?:.{4}){0,12}?avis",
        "gif",
        frozenset({".gif", ".webp", ".apng", ".avif"}),
    ),
    "video": Medium(
        "video:VideoSource",
        rb"....(?:ftyp(?!avi[fs]|he[iv]|mi[fm]1)|moov|mdat|wide)|\x1a\x45\xdf\xa3|RIFF....AVI |\x00\x00\x01[\xb3\xba]"
        rb"|FLV\x01|OggS|0&\xb2u\x8ef\xcf\x11|\x47.{187}\x47|.{4}\x47.{191}\x47",
        "video",
        frozenset({".mp4", ".m4v", ".mov", ".qt", ".mkv", ".webm", ".avi", ".divx", ".mpg", ".mpeg", ".m1v", ".m2v",
                   ".vob", ".ts", ".mts", ".m2ts", ".3gp", ".3g2", ".ogv", ".ogm", ".flv", ".f4v", ".wmv", ".asf",
                   ".dv", ".mxf", ".gxf", ".nut", ".ivf", ".y4m", ".rm", ".rmvb", ".h264", ".264", ".hevc", ".h265",
                   ".265"}),
    ),
}  # fmt: skip
"""Name → medium; the first whose content matches reads a file."""


def suffixes_for(command: str) -> frozenset[str]:
    """Return the suffixes of files that a command takes from directories and patterns."""
    return frozenset().union(*(medium.suffixes for medium in MEDIA.values() if medium.command == command))


def open_source(job: Job, settings: ClipSettings) -> Source:
    """Open a job's input; its content decides how it is read, not its suffix.

    Unknown content is opened as the command's usual medium, whose reader reports what is wrong.

    Raises:
        InputError: it cannot be read.
    """
    if job.input is None:
        raise InputError("a clip cannot be read from standard input", "save it in a file and give its path")
    usual = MEDIA["animation" if all(output.container == "gif" for output in job.outputs) else "video"]
    return _recognised(job.input, usual).open(job.input, job.name, settings)


def _recognised(path: Path, usual: Medium) -> Medium:
    if not path.is_file():  # opening a pipe would wait for its other end
        return usual
    try:
        with open(path, "rb") as file:
            head = file.read(sniff.HEAD)
    except OSError:
        return usual
    return next((medium for medium in MEDIA.values() if re.match(medium.content, head, re.DOTALL)), usual)
