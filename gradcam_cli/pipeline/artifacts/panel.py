"""One picture that shows it all: source, heatmap, overlay, colour bar, class."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gradcam_cli.media.image.encode import encode

if TYPE_CHECKING:
    from gradcam_cli.pipeline.explanation import Explanation


def still(explanation: Explanation) -> bytes:
    """Return the content of a picture's file."""
    from gradcam_cli.render.figure.draw import pixels  # matplotlib takes half a second to import

    settings = explanation.settings
    return encode(pixels(explanation.figure()), settings.format, quality=settings.quality)
