"""Videos of other primaries, HDR, and with alpha: what a player shows is read, and said."""

from __future__ import annotations

import shutil
import subprocess
from fractions import Fraction
from typing import TYPE_CHECKING

import av
import numpy as np
import pytest

from gradcam_cli.media.video import decode
from gradcam_cli.media.video.frames import planes as video_planes
from gradcam_cli.media.video.frames.turn import Turn
from gradcam_cli.media.video.read import VideoReader
from tests.media.clips import Clip, make, patch_colours, patches
from tests.media.colour import oracle

if TYPE_CHECKING:
    from pathlib import Path

COLOURS = np.array(
    [
        [200, 70, 60],
        [90, 190, 80],
        [70, 90, 200],
        [240, 240, 240],
        [40, 40, 40],
        [200, 120, 40],
        [60, 160, 220],
        [128] * 3,
    ]
)
LIGHT = oracle.light(COLOURS / 255)
OF_2020, OF_P3 = LIGHT @ oracle.between("sRGB", "2020").T, LIGHT @ oracle.between("sRGB", "P3").T

SPACES = {
    "P3": ((12, 13), "bt709", 1, oracle.coded(OF_P3)),
    "2020": ((9, 14), "bt2020", 9, oracle.coded(OF_2020)),
    "PQ": ((9, 16), "bt2020", 9, oracle.pq(203 * OF_2020)),
    "HLG": ((9, 18), "bt2020", 9, oracle.hlg(203 * OF_2020)),
}


def clip_in(path: Path, name: str, form: str, codec: str = "ffv1", values: np.ndarray | None = None) -> Path:
    """Write a clip of `COLOURS` as a space has them."""
    (primaries, transfer), matrix, tag, own = SPACES[name]
    frame = patches(matrix, form, full=False, tag=tag, colours=255 * (own if values is None else values))
    return make(
        path, Clip(frames=[frame] * 12, size=(32, 128), form=form, codec=codec, trc=transfer, primaries=primaries)
    )


@pytest.mark.parametrize("form", ["yuv444p", "yuv444p10le"])
@pytest.mark.parametrize("name", SPACES)
def test_colours_are_those_of_bt709(tmp_path, name, form):
    path = clip_in(tmp_path / "a.mkv", name, form)
    with VideoReader(path) as reader:
        frames, notes = list(reader), reader.info.notes
    assert np.abs(patch_colours(frames[-1].rgb()) - COLOURS).max() <= (6 if "10" in form else 15)
    assert any("BT.709" in note for note in notes)
    assert any("203 nits" in note for note in notes) == (name in ("PQ", "HLG"))
    assert not any("highlights" in note for note in notes)


@pytest.mark.parametrize("name", ["P3", "2020", "PQ"])  # of HLG it shows the scene's light, without a display's curve
def test_zimg_sees_the_same(tmp_path, name):
    if shutil.which("ffmpeg") is None or "zscale" not in _filters():
        pytest.skip("there is no ffmpeg with zimg here")
    path = clip_in(tmp_path / "a.mkv", name, "yuv444p10le")
    # To light and other primaries, and then to sRGB; no tone mapping, as nothing is brighter than 203 nits.
    steps = "zscale=t=linear:npl=203,format=gbrpf32le,zscale=p=bt709,zscale=t=iec61966-2-1:m=gbr:r=full,format=gbrp"
    raw = ("-frames:v", "1", "-pix_fmt", "rgb24", "-f", "rawvideo", "-")
    command = ["ffmpeg", "-v", "error", "-i", str(path), "-vf", steps, *raw]
    theirs = np.frombuffer(subprocess.run(command, capture_output=True, check=True).stdout, np.uint8)
    with VideoReader(path) as reader:
        mine = next(reader).rgb()
    difference = np.abs(patch_colours(mine) - patch_colours(theirs.reshape(mine.shape)))
    if name == "2020":  # zimg reads its transfer function as a camera's, players as a display's: darker by some levels
        assert np.median(difference) <= 12
    else:
        assert difference.max() <= 6


def _filters() -> str:
    return subprocess.run(["ffmpeg", "-v", "error", "-filters"], capture_output=True, text=True, check=True).stdout


@pytest.mark.parametrize("name", ["PQ", "HLG"])
def test_highlights_are_compressed_in_all_frames_alike(tmp_path, name):
    """The brightest part of the clip decides, not that of each frame."""
    bright = {"PQ": oracle.pq, "HLG": oracle.hlg}[name](900 * OF_2020)
    own = SPACES[name][3]
    frames = [
        patches("bt2020", "yuv444p10le", full=False, tag=9, colours=255 * (bright if 6 <= k < 9 else own))
        for k in range(12)
    ]
    more = {"trc": SPACES[name][0][1], "primaries": 9, "options": {"g": "1"}}
    clip = Clip(frames=frames, size=(32, 128), form="yuv444p10le", codec="ffv1", **more)
    with VideoReader(make(tmp_path / "a.mkv", clip)) as reader:
        found, notes = [patch_colours(frame.rgb()) for frame in reader], reader.info.notes
    assert any("highlights" in note for note in notes)
    assert np.abs(found[0] - found[11]).max() <= 1
    assert found[7].max() >= 250
    assert 200 < found[0].max() < 240, "paper white is darker than highlights"
    assert (found[7].mean(-1) >= found[0].mean(-1)).all()


def test_the_usual_colours_take_the_usual_way(tmp_path):
    with VideoReader(make(tmp_path / "a.mp4")) as reader:
        next(reader)
        assert reader._converter._treatment is None
        assert reader.info.notes == ()


def see_through(form: str) -> av.VideoFrame:
    """Return red, of which the left half is hidden, and the right one half transparent."""
    pixels = np.zeros((48, 64, 4), np.uint8)
    pixels[..., 0] = 255
    pixels[:, 32:, 3] = 128
    return av.VideoFrame.from_ndarray(pixels, "rgba").reformat(
        format=form, dst_colorspace="ITU709", dst_color_range="MPEG"
    )


@pytest.mark.parametrize(
    ("name", "codec", "form", "options"),
    [
        ("a.webm", "libvpx-vp9", "yuva420p", {"crf": "4"}),
        ("b.webm", "libvpx", "yuva420p", {"auto-alt-ref": "0", "crf": "4", "b": "4M"}),
        ("c.mov", "png", "rgba", {}),
        ("d.mov", "qtrle", "argb", {}),
        ("e.mov", "prores_ks", "yuva444p10le", {"profile": "4444"}),
        ("f.mkv", "ffv1", "bgra", {}),
    ],
)
def test_transparency_is_put_on_white(tmp_path, name, codec, form, options):
    frame = see_through(form)
    frame.colorspace = 1
    clip = Clip(frames=[frame] * 12, form=form, codec=codec, options=options, tick=Fraction(1, 12))
    with VideoReader(make(tmp_path / name, clip)) as reader:
        frames, notes = list(reader), reader.info.notes
    assert len(frames) == 12
    for each in (frames[0], frames[-1]):
        pixels = each.rgb()
        assert pixels[8:-8, 4:24].min() >= 250
        assert np.abs(pixels[8:-8, 40:60].astype(int) - [255, 127, 127]).max() <= 16
    assert any("white" in note for note in notes)
    with VideoReader(tmp_path / name, start=Fraction(1, 2)) as reader:  # a seek, with a decoder of its own
        assert next(reader).rgb()[8:-8, 4:24].min() >= 250


def test_the_fourth_byte_of_plain_avi_is_no_alpha(tmp_path):
    clip = Clip(frames=[see_through("bgra")] * 4, times=[Fraction(k, 12) for k in range(4)], form="bgra",
                codec="rawvideo", tick=Fraction(1, 12))  # fmt: skip
    with VideoReader(make(tmp_path / "a.avi", clip)) as reader:
        assert next(reader).rgb()[20, 10] == pytest.approx([255, 0, 0], abs=3)
        assert reader.info.notes == ()


def test_alpha_that_no_decoder_reads_is_said(tmp_path, monkeypatch):
    frame = see_through("yuva420p")
    clip = Clip(frames=[frame] * 12, form="yuva420p", codec="libvpx-vp9", tick=Fraction(1, 12))
    path = make(tmp_path / "a.webm", clip)
    monkeypatch.setattr(decode, "_ALPHA_DECODERS", {"vp9": "no such decoder"})
    with VideoReader(path) as reader:
        assert any("what is hidden is shown" in note for note in reader.info.notes)


def test_shapes_hold_for_treated_frames(tmp_path):
    """Odd sides, turned and made smaller."""
    frame = patches("bt2020", "yuv444p10le", full=False, tag=9, height=41, colours=255 * SPACES["PQ"][3])
    clip = Clip(frames=[frame] * 12, size=(41, 128), form="yuv444p10le", codec="ffv1", trc=16, primaries=9)
    path = make(tmp_path / "a.mkv", clip)
    with VideoReader(path, max_size=65) as reader:
        first = next(reader)
        assert first.size == reader.info.size == (21, 65)
        assert [plane.shape for plane in first.planes] == [(22, 66), (11, 33), (11, 33)]
        turned = video_planes.Converter(
            video_planes.Shape(reader._shape.coded, Turn(transposed=True)), reader._converter._treatment
        )
        assert [plane.shape for plane in turned.planes(reader._first.what)] == [(66, 22), (33, 11), (33, 11)]


def test_only_the_wanted_part_tells_how_bright_it_is(tmp_path):
    bright, own = oracle.pq(900 * OF_2020), SPACES["PQ"][3]
    frames = [
        patches("bt2020", "yuv444p10le", full=False, tag=9, colours=255 * (bright if k >= 24 else own))
        for k in range(36)
    ]
    more = {"trc": 16, "primaries": 9, "options": {"g": "1"}, "times": [Fraction(k, 12) for k in range(36)]}
    path = make(tmp_path / "a.mkv", Clip(frames=frames, size=(32, 128), form="yuv444p10le", codec="ffv1", **more))
    for part, is_bright in (({"end": Fraction(3, 2)}, False), ({"start": Fraction(5, 2)}, True), ({}, True)):
        with VideoReader(path, **part) as reader:
            assert any("highlights" in note for note in reader.info.notes) == is_bright


def test_the_decoder_of_alpha_learns_the_matrix_from_the_usual_one(tmp_path):
    clip = Clip(frames=[see_through("yuva420p")] * 12, form="yuva420p", codec="libvpx",
                options={"auto-alt-ref": "0", "b": "4M"}, tick=Fraction(1, 12))  # fmt: skip
    path = make(tmp_path / "a.webm", clip)
    with av.open(str(path)) as container:
        usual = next(container.decode(video=0)).colorspace
    with VideoReader(path) as reader:
        assert reader._first.what.colorspace == usual
