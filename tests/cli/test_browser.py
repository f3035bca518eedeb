"""What ``gradcam video`` writes, played to its end by a real browser."""

from __future__ import annotations

import json
import shutil
import subprocess
import threading
from fractions import Fraction
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image

from gradcam_cli.cli.main import run
from gradcam_cli.media.video.write import VideoWriter

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.slow

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
PAGE = """<!doctype html><video muted autoplay src="{name}"></video><script>
const video = document.querySelector("video");
const tell = what => fetch("/told", {{method: "POST", body: JSON.stringify({{
  what, width: video.videoWidth, height: video.videoHeight, duration: video.duration, at: video.currentTime}})}});
video.onended = () => tell("ended");
video.onerror = () => tell("error: " + video.error.message);
</script>"""

HEADLESS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-sync",
    "--disable-background-networking", "--disable-component-update",
)  # fmt: skip
SELECTION = """<!doctype html><object type="image/svg+xml" data="gradcam_output/picture_compare.svg"></object><script>
onload = () => {
  const page = document.querySelector("object").contentDocument;
  const words = [...page.querySelectorAll("text")].find(each => each.textContent.trim() === "Grad-CAM");
  page.fonts.ready.then(() => {
    const selection = page.getSelection();
    selection.removeAllRanges();
    const range = page.createRange();
    range.selectNodeContents(words);
    selection.addRange(range);
    const fonts = [...page.fonts].map(each => `${each.family} ${each.weight} ${each.status}`);
    document.body.append(`selected: ${selection}; ${fonts}`);
  });
};
</script>"""


@pytest.fixture(scope="module")
def written(tmp_path_factory) -> Path:
    """Explain a clip of 43×64 pixels, odd on purpose, at an uneven rate: 1.2 seconds."""
    folder = tmp_path_factory.mktemp("browser")
    rng = np.random.default_rng(0)
    picture = np.kron(rng.integers(0, 256, (11, 16, 3), np.uint8), np.ones((4, 4, 1), np.uint8))[:43]
    with VideoWriter(folder / "clip.mp4", (43, 64), tick=Fraction(1, 25), rate=Fraction(25)) as writer:
        for time, duration in ((0, 2), (2, 1), (3, 5), (8, 2), (10, 20)):
            writer.write_rgb(np.roll(picture, time, axis=1), Fraction(time, 25), Fraction(duration, 25))
    for codec in ("h264", "vp9"):
        arguments = ["video", str(folder / "clip.mp4"), "-m", "tiny", "-q", "-o", str(folder / codec)]
        assert run([*arguments, "--codec", codec]) == 0
    return folder


class _Server(SimpleHTTPRequestHandler):
    told: list[dict[str, object]]
    heard: threading.Event

    def do_POST(self) -> None:
        self.told.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
        self.send_response(204)
        self.end_headers()
        self.heard.set()

    def log_message(self, *args: object) -> None:
        """Say nothing."""


@pytest.mark.skipif(BROWSER is None, reason="there is no Chromium here")
@pytest.mark.parametrize("name", ["h264/clip_overlay.mp4", "h264/clip_grayscale.mp4", "vp9/clip_heatmap.mp4"])
def test_plays_to_the_end(written, tmp_path, name):
    (written / "page.html").write_text(PAGE.format(name=name))
    told: list[dict[str, object]] = []
    heard = threading.Event()
    handler = type("Handler", (_Server,), {"told": told, "heard": heard})
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(handler, directory=str(written)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    browser = subprocess.Popen(
        [str(BROWSER), *HEADLESS, f"--user-data-dir={tmp_path}", "--autoplay-policy=no-user-gesture-required",
         f"http://127.0.0.1:{server.server_port}/page.html"],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        assert heard.wait(60), "the browser said nothing"
    finally:
        browser.kill()
        browser.wait()
        server.shutdown()
        server.server_close()
    (said,) = told
    assert said["what"] == "ended"
    assert (said["width"], said["height"]) == (64, 44)
    assert said["duration"] == pytest.approx(1.2, abs=0.021)
    assert said["at"] == pytest.approx(1.2, abs=0.021)


@pytest.mark.skipif(BROWSER is None, reason="there is no Chromium here")
def test_words_of_a_figure_can_be_selected(tmp_path, monkeypatch, photo):
    monkeypatch.chdir(tmp_path)
    Image.fromarray(photo).save("picture.png")
    methods = ("--method", "gradcam", "--method", "layercam")
    assert run(["compare", "picture.png", "-m", "tiny", *methods, "--width", "120", "--format", "svg", "-q"]) == 0
    (tmp_path / "page.html").write_text(SELECTION)
    done = subprocess.run(
        [str(BROWSER), *HEADLESS, f"--user-data-dir={tmp_path / 'user'}", "--allow-file-access-from-files",
         "--virtual-time-budget=5000", "--dump-dom", (tmp_path / "page.html").as_uri()],
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert "selected: Grad-CAM;" in done.stdout
    assert "DejaVu Sans bold loaded" in done.stdout.replace('"', "")  # the font in the file
