"""Results for other programs: the map as numbers, the picture as it was read, the record."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gradcam_cli.media.image.encode import encode, encode_array
from gradcam_cli.pipeline.json_record import as_json

if TYPE_CHECKING:
    from gradcam_cli.pipeline.explanation import Explanation


def saliency(explanation: Explanation) -> bytes:
    """Return the map over the whole picture, float32 (H, W), as ``.npy``."""
    return encode_array(explanation.map)


def original(explanation: Explanation) -> bytes:
    """Return the picture in the size of the results."""
    return encode(explanation.pixels, explanation.settings.format, quality=explanation.settings.quality)


def record(explanation: Explanation) -> bytes:
    """Return the explanation's record, one line of JSON."""
    return (as_json(explanation.record()) + "\n").encode()
