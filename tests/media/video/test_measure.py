"""A header is a claim: lengths come from the packets, whatever a file states."""

from __future__ import annotations

import io
import shutil
import subprocess
from fractions import Fraction

import av
import numpy as np
import pytest

from gradcam_cli.errors import InputError
from gradcam_cli.media.video.read import VideoReader
from gradcam_cli.pipeline.clips.sources.video import VideoSource
from gradcam_cli.pipeline.settings import ClipSettings

FRAMES = 48
RATE = 12


class Pipe(io.RawIOBase):
    """A sink that cannot go back, so that no length is written into the header afterwards."""

    def __init__(self) -> None:
        self.content = bytearray()

    def writable(self):
        return True

    def seekable(self):
        return False

    def write(self, data):
        self.content += data
        return len(data)


def encoded(kind, codec="libx264", *, piped=False, options=None):
    """Return the bytes of a clip whose frames get lighter, four seconds long."""
    target = Pipe() if piped else io.BytesIO()
    with av.open(target, "w", format=kind, options=options or {}) as container:
        stream = container.add_stream(codec, RATE, options={"g": "12"})
        stream.width, stream.height, stream.pix_fmt = 96, 64, "yuv420p"
        noise = np.random.default_rng(0).integers(0, 30, (64, 96, 3), np.uint8)
        for number in range(FRAMES):
            frame = av.VideoFrame.from_ndarray(noise + np.uint8(4 * number), format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return bytes(target.content) if piped else target.getvalue()


KINDS = {
    "whole mp4": ("mp4", "libx264", {}),
    "mkv from a pipe": ("matroska", "libx264", {"piped": True}),
    "webm from a pipe": ("webm", "libvpx-vp9", {"piped": True}),
    "fragmented mp4": ("mp4", "libx264", {"options": {"movflags": "frag_keyframe+empty_moov"}}),
    "ts": ("mpegts", "libx264", {}),
    "ivf": ("ivf", "libvpx-vp9", {}),
    "avi from a pipe": ("avi", "mpeg4", {"piped": True}),
}


def read(path, **options):
    """Return (info, brightness of each frame, brightness of the samples, complete notes)."""
    with VideoReader(path, **options) as reader:
        samples = [float(frame.rgb().mean()) for frame, is_sample in reader.sample(12) if is_sample]
        frames = [float(frame.rgb().mean()) for frame in reader]
        return reader.info, frames, samples


@pytest.mark.parametrize("kind", KINDS)
def test_the_length_is_that_of_the_packets(tmp_path, kind):
    container, codec, more = KINDS[kind]
    path = tmp_path / "clip"
    path.write_bytes(encoded(container, codec, **more))
    info, frames, samples = read(path)
    assert (info.frames, len(frames)) == (FRAMES, FRAMES)
    assert abs(info.duration - Fraction(FRAMES, RATE)) < Fraction(1, 20)
    assert not info.is_cut_off
    assert info.notes == ()
    assert len(samples) == 12
    assert samples[0] < np.quantile(frames, 0.1)
    assert samples[-1] > np.quantile(frames, 0.9), "not only from the beginning"


def test_a_raw_stream_is_measured_by_its_number_of_packets(tmp_path):
    path = tmp_path / "clip.h264"
    path.write_bytes(encoded("h264"))
    info, frames, samples = read(path)
    assert (info.frames, len(frames), len(samples)) == (FRAMES, FRAMES, 12)
    assert samples[-1] > np.quantile(frames, 0.9)


def test_a_number_of_frames_that_cannot_be_is_not_believed(tmp_path):
    """A header of IVF that was written to a pipe; the clip was refused for its 4 thousand million frames."""
    data = bytearray(encoded("ivf", "libvpx-vp9"))
    data[24:28] = b"\xff\xff\xff\xff"
    path = tmp_path / "clip.ivf"
    path.write_bytes(data)
    info, frames, _ = read(path, max_frames=1000)
    assert (info.frames, len(frames)) == (FRAMES, FRAMES)
    assert not info.is_cut_off


@pytest.mark.parametrize("kind", ["faststart mp4", "mkv"])
def test_a_file_that_is_cut_off_says_so(tmp_path, kind):
    path = tmp_path / "clip"
    path.write_bytes(encoded("matroska" if kind == "mkv" else "mp4"))
    if kind != "mkv":  # its index first, by the writer that needs a file to do so
        with (
            av.open(str(path)) as source,
            av.open(str(path) + ".mp4", "w", options={"movflags": "+faststart"}) as target,
        ):
            stream = target.add_stream_from_template(source.streams.video[0])
            for packet in source.demux(video=0):
                if packet.dts is not None:
                    packet.stream = stream
                    target.mux(packet)
        path = tmp_path / "clip.mp4"
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) * 6 // 10])
    info, frames, _ = read(path)
    assert info.is_cut_off
    seconds = len(frames) / RATE
    assert 1 < seconds < 3.4
    (note,) = info.notes
    readable, stated = map(float, note.removeprefix("cut off: ").removesuffix(" s").split(" of "))
    assert abs(readable - seconds) < 0.2
    assert abs(stated - FRAMES / RATE) < 0.06
    assert abs(info.duration - Fraction(len(frames), RATE)) < Fraction(1, 5)


@pytest.mark.parametrize(("start", "end", "cut"), [(None, 1, False), (0.5, 1, False), (1, None, True), (None, 4, True)])
def test_a_part_is_cut_off_only_where_it_ends_too_early(tmp_path, start, end, cut):
    whole = encoded("matroska")
    path = tmp_path / "clip"
    path.write_bytes(whole[: len(whole) * 6 // 10])
    info, frames, _ = read(path, start=start and Fraction(start), end=end and Fraction(end))
    assert info.is_cut_off == cut
    if not cut:
        assert len(frames) == round((end - (start or 0)) * RATE)


def test_sound_that_is_longer_than_the_picture_is_no_cut(tmp_path):
    path = tmp_path / "clip.mkv"
    with av.open(str(path), "w") as container:
        video = container.add_stream("libx264", RATE)
        video.width, video.height, video.pix_fmt = 96, 64, "yuv420p"
        sound = container.add_stream("aac", 44_100, layout="mono")
        for _ in range(RATE):
            container.mux(video.encode(av.VideoFrame.from_ndarray(np.zeros((64, 96, 3), np.uint8), format="rgb24")))
        container.mux(video.encode(None))
        silence = av.AudioFrame.from_ndarray(np.zeros((1, 44_100 * 3), np.float32), format="fltp", layout="mono")
        silence.sample_rate = 44_100
        container.mux(sound.encode(silence))
        container.mux(sound.encode(None))
    info, frames, _ = read(path)
    assert (len(frames), info.is_cut_off) == (RATE, False)
    assert abs(info.duration - 1) < Fraction(1, 20)


@pytest.mark.parametrize("kind", KINDS)
def test_ffprobe_counts_the_same(tmp_path, kind):
    if shutil.which("ffprobe") is None:
        pytest.skip("there is no ffprobe here")
    container, codec, more = KINDS[kind]
    path = tmp_path / "clip"
    path.write_bytes(encoded(container, codec, **more))
    counted = ("-count_packets", "-select_streams", "v:0", "-show_entries", "stream=nb_read_packets", "-of", "csv=p=0")
    command = ["ffprobe", "-v", "error", *counted]
    done = subprocess.run([*command, str(path)], capture_output=True, text=True, check=True)
    with VideoReader(path) as reader:
        assert reader.info.frames == int(done.stdout.strip().strip(",").splitlines()[0])


@pytest.mark.parametrize("kind", ["mp4", "mpegts"])
def test_damage_that_the_decoder_hides_is_counted(tmp_path, kind):
    """Frames that are made up of others, and packets of which a part is lost: without a word they pass for whole."""
    whole = encoded(kind)
    path = tmp_path / "clip"
    path.write_bytes(whole)
    with VideoSource(path, "clip", ClipSettings()) as source:
        assert len(list(source.frames())) == FRAMES
        assert source.complete
        assert source.notes == ()
    random, data = np.random.default_rng(5), bytearray(whole)
    begin = data.index(b"mdat") + 1500 if kind == "mp4" else 188 * 12
    if kind == "mp4":
        for place in random.integers(begin, begin + 6000, 12):
            data[place] ^= 0xFF
    else:
        del data[begin : begin + 4 * 188]
    path.write_bytes(data)
    with VideoSource(path, "clip", ClipSettings()) as source:
        assert list(source.frames())
        assert not source.complete
        assert any("damaged in" in note and "wrong or missing" in note for note in source.notes)


@pytest.mark.parametrize("kind", ["matroska", "mp4", "mpegts"])
def test_a_clip_that_begins_late_is_whole(tmp_path, kind):
    path = tmp_path / "clip"
    with av.open(io.BytesIO(encoded("mp4"))) as source, av.open(str(path), "w", format=kind) as target:
        stream = target.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(video=0):
            if packet.size:
                late = round(10 / packet.time_base)
                packet.pts, packet.dts, packet.stream = packet.pts + late, packet.dts + late, stream
                target.mux(packet)
    with VideoReader(path) as reader:
        assert not reader.info.is_cut_off
        assert float(reader.info.duration) == pytest.approx(FRAMES / RATE, abs=0.1)
        assert len(list(reader)) == FRAMES
    with pytest.raises(InputError, match=r"it lasts (4\.0|3\.9)"):
        VideoReader(path, start=Fraction(11), end=Fraction(12))
