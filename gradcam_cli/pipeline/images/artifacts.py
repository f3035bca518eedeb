"""The kinds of file that are made of a picture's explanation."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gradcam_cli.media.image.encode import encode, encode_array, with_palette
from gradcam_cli.pipeline.explanation import as_json
from gradcam_cli.render.colormap import colormap

if TYPE_CHECKING:
    from collections.abc import Callable

    from gradcam_cli.pipeline.explanation import Explanation


def _grayscale(explanation: Explanation) -> bytes:
    return explanation.encoded


def _heatmap(explanation: Explanation) -> bytes:
    settings = explanation.settings
    if explanation.geometry.sees_all:
        table = colormap(settings.colormap)
        if settings.format == "png":
            return with_palette(explanation.encoded, table)
        return encode(explanation.grayscale, settings.format, table, settings.quality)
    return encode(explanation.heatmap, settings.format, quality=settings.quality)


def _overlay(explanation: Explanation) -> bytes:
    return encode(explanation.overlay, explanation.settings.format, quality=explanation.settings.quality)


def _original(explanation: Explanation) -> bytes:
    return encode(explanation.pixels, explanation.settings.format, quality=explanation.settings.quality)


def _map(explanation: Explanation) -> bytes:
    return encode_array(explanation.map)


def _json(explanation: Explanation) -> bytes:
    return (as_json(explanation.record()) + "\n").encode()


MAKERS: dict[str, Callable[[Explanation], bytes]] = {
    "grayscale": _grayscale,
    "heatmap": _heatmap,
    "overlay": _overlay,
    "map": _map,
    "original": _original,
    "json": _json,
}
"""Kind of result → the bytes of its file."""
