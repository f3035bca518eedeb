"""Reading of pictures, for the network and for the results, which may be smaller than the file's picture."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from gradcam_cli.media.image.read import read_picture, resized
from gradcam_cli.records import Picture, fitted

if TYPE_CHECKING:
    from pathlib import Path

    from gradcam_cli.models.preprocess import Prepared
    from gradcam_cli.pipeline.session import Session
    from gradcam_cli.records import Size


def read_picture_for(
    session: Session, source: Path | bytes, name: str, max_pixels: int | None, max_size: int | None
) -> Picture:
    """Read a picture; with ``max_size``, no larger than ``prepare_picture`` needs it, where its decoder allows that.

    Args:
        session: the network that will explain it.
        source: a file's path or its content.
        name: its name in error messages.
        max_pixels: most pixels that its file may have.
        max_size: longest side of the results, or None for that of the picture.

    Raises:
        InputError: it cannot be read as a picture.
    """

    def enough(whole: Size) -> Size:
        (height, width), (least_height, least_width) = fitted(whole, max_size), session.geometry(whole).resized
        return max(height, least_height), max(width, least_width)

    return read_picture(source, name, max_pixels, None if max_size is None else enough)


def prepare_picture(
    session: Session, picture: Picture, max_size: int | None, *, enlarged: bool = False
) -> tuple[Picture, Prepared]:
    """Prepare a picture for the network, then bring it to the size of the results.

    Args:
        session: the network.
        picture: as read.
        max_size: longest side of the results, or None for that of the picture.
        enlarged: whether smaller pictures get this side, too.

    Returns:
        The picture in the size of the results, and the network's input; its ``geometry.source`` is that size.
    """
    size = fitted(picture.whole, max_size, enlarged=enlarged)
    prepared = session.prepare(picture.pixels, picture.whole)
    shown = Picture(resized(picture.pixels, size), picture.notes, picture.whole)
    return shown, replace(prepared, geometry=prepared.geometry.for_source(size))
