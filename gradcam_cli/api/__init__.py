"""The Python API: the commands as functions."""

from __future__ import annotations

from gradcam_cli.api.clips import explain_gif, explain_video
from gradcam_cli.api.figures import compare
from gradcam_cli.api.pictures import explain, explain_many

__all__ = ["compare", "explain", "explain_gif", "explain_many", "explain_video"]
