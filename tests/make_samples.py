"""Makes ``sample_images/cat.mp4`` and ``cat.gif`` as ``gradcam demo`` does.

python -m tests.make_samples
"""

from __future__ import annotations

from gradcam_cli.media.samples.cat import write_animation, write_video
from tests.conftest import SAMPLES

if __name__ == "__main__":
    write_video(SAMPLES / "cat.mp4")
    write_animation(SAMPLES / "cat.gif")
