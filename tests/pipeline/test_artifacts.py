"""What every kind of result does: one suite for all that are registered."""

from __future__ import annotations

from fractions import Fraction

import cv2
import numpy as np
import pytest

from gradcam_cli.media.video.frames.scale import even
from gradcam_cli.pipeline.artifacts.registry import ARTIFACTS, CLIP_KINDS, KINDS
from gradcam_cli.pipeline.clips.sources.base import StillFrame
from gradcam_cli.pipeline.explanation import Explanation
from gradcam_cli.pipeline.render_settings import RenderSettings
from gradcam_cli.pipeline.session import Session
from gradcam_cli.pipeline.settings import ClipSettings, ModelSettings
from gradcam_cli.records import Prediction
from gradcam_cli.render.figure.triptych import panel_size
from gradcam_cli.render.planes import to_planes

CAT = Prediction(3, "cat", 0.5)


@pytest.fixture(scope="module")
def session():
    return Session(ModelSettings(model="tiny"))


@pytest.fixture
def pixels():
    return np.random.default_rng(0).integers(0, 256, (33, 47, 3), np.uint8)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("picture_format", ["png", "jpg", "webp"])
def test_a_pictures_file(kind, picture_format, session, pixels):
    prepared = session.prepare(pixels)
    result = session.explain_one(prepared)
    explanation = Explanation(
        "x.png", pixels, session, result.maps[0], prepared.geometry, result.targets[0], result.predictions[:5],
        RenderSettings(format=picture_format),
    )  # fmt: skip
    artifact = ARTIFACTS[kind]
    content = artifact.encode(explanation)
    magic = {"png": b"\x89PNG", "jpg": b"\xff\xd8\xff", "webp": b"RIFF", "npy": b"\x93NUMPY", "json": b"{"}
    assert content.startswith(magic[artifact.suffix or picture_format])
    assert artifact.encode(explanation) == content, "the same each time"


@pytest.mark.parametrize("kind", CLIP_KINDS)
@pytest.mark.parametrize(
    "chosen",
    [{}, {"side_by_side": True, "caption": True}, {"colorbar": True}, {"caption": True, "contours": (0.5,)},
     {"side_by_side": True, "caption": True, "colorbar": True}],
)  # fmt: skip
@pytest.mark.parametrize("blank", [False, True])
def test_a_clips_frame(kind, chosen, blank, pixels):
    drawer = ARTIFACTS[kind].for_clips(ClipSettings(render=RenderSettings(**chosen)), blank=blank)
    frame = StillFrame(pixels, Fraction(0), Fraction(1))
    grayscale = np.tile(np.linspace(0, 255, 47).astype(np.uint8), (33, 1))
    drawn = drawer.rgb(frame, frame.size, grayscale, CAT)
    assert drawn.dtype == np.uint8
    assert drawn.shape == (drawer.size(frame.size) if drawer.palette is not None else (*drawer.size(frame.size), 3))
    colours = drawn if drawer.palette is None else drawer.palette[drawn]
    padded = np.pad(grayscale, [(0, 1), (0, 1)], "edge")
    planes = drawer.planes(frame, padded, CAT)
    height, width = drawer.size(even(frame.size))
    assert [plane.shape for plane in planes] == [(height, width), (height // 2, width // 2), (height // 2, width // 2)]
    if not chosen:  # videos show what GIFs do
        expected = to_planes(np.pad(colours, [(0, 1), (0, 1), (0, 0)], "edge"))
        assert np.abs(planes[0].astype(int) - expected[0]).mean() < 2


@pytest.mark.parametrize("render", [{"caption": True}, {"colorbar": True}, {"side_by_side": True}], ids=str)
def test_what_is_around_an_overlay_covers_nothing(render, session, pixels):
    """A still and a clip's frame show the bare overlay, whole, and something beside or below it."""
    prepared = session.prepare(pixels)
    result = session.explain_one(prepared)
    explanation = Explanation(
        "x.png", pixels, session, result.maps[0], prepared.geometry, result.targets[0], [], RenderSettings(**render)
    )
    drawn = cv2.imdecode(np.frombuffer(ARTIFACTS["overlay"].encode(explanation), np.uint8), cv2.IMREAD_COLOR)[..., ::-1]
    left = 47 if "side_by_side" in render else 0
    np.testing.assert_array_equal(drawn[:33, left : left + 47], explanation.overlay)
    assert drawn.shape[0] > 33 or drawn.shape[1] > 47
    clip = ARTIFACTS["overlay"].for_clips(ClipSettings(render=RenderSettings(**render)), blank=False)
    frame = StillFrame(pixels, Fraction(0), Fraction(1))
    np.testing.assert_array_equal(clip.rgb(frame, frame.size, explanation.shown, result.targets[0]), drawn)


def test_a_panel_shows_source_map_and_overlay(session):
    pixels = np.random.default_rng(0).integers(0, 256, (200, 300, 3), np.uint8)
    prepared = session.prepare(pixels)
    result = session.explain_one(prepared)
    explanation = Explanation(
        "x.png", pixels, session, result.maps[0], prepared.geometry, result.targets[0], [], RenderSettings()
    )
    drawn = cv2.imdecode(np.frombuffer(ARTIFACTS["panel"].encode(explanation), np.uint8), cv2.IMREAD_COLOR)[..., ::-1]
    texts = {text.get_text() for text in explanation.figure().texts}
    assert {result.targets[0].caption, "tiny · stage3.1 · Grad-CAM"} <= texts
    for part in (pixels, explanation.heatmap, explanation.overlay):
        found = cv2.matchTemplate(drawn, part, cv2.TM_SQDIFF)
        _, _, (left, top), _ = cv2.minMaxLoc(found)
        np.testing.assert_array_equal(drawn[top : top + 200, left : left + 300], part)


def test_panels_of_extreme_pictures_stay_small():
    for size in ((1, 20_000), (16_000, 3), (1, 1), (300, 451), (4000, 6000)):
        height, width = panel_size(size)
        assert 1 <= width <= 1024
        assert 1 <= height <= 2048
    assert panel_size((300, 451)) == (300, 451)
