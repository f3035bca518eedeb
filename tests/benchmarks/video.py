"""Frames a second of ``gradcam video``, against its stages' CPU time and a per-frame loop with a peer.

Each stage is run alone, with the threads it has in the pipeline; its CPU seconds a frame are taken, and cores ÷ their
sum is what a perfect overlap would reach. The survey, which asks about some frames before the first is written, is one;
to decode what it looks at belongs to decoding. Each output, blended and encoded, is one.
What cores do together is less than the sum of what each does alone where they share caches, memory or execution units:
as many processes as there are cores, each with a clip of its own and the stages one after another, show how much.
In a clip of a few seconds some percent go to its ends, where not every core has work: the survey waits for the decoder,
and the encoder alone gives out its last frames. ``--times 4`` has it four times in a row, for how it flows in between.
The loop is what scripts do: OpenCV reads, pytorch-grad-cam explains one frame, OpenCV writes ``mp4v``.
All are run in turn, some rounds, in processes of their own, as the memory that others have left changes much. A ratio
is that of figures taken one after the other, as a machine shared with others is slow at times; medians are printed.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import statistics
import tempfile
import time
from collections import Counter
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import av
import cv2
import numpy as np
import torch

from gradcam_cli.cam.explainer import Explainer
from gradcam_cli.cli.tuning import hold_memory
from gradcam_cli.media.video.read import VideoReader
from gradcam_cli.pipeline.clips.outputs import open_output
from gradcam_cli.pipeline.clips.run import ClipRun
from gradcam_cli.pipeline.clips.sources.registry import open_source
from gradcam_cli.pipeline.clips.survey import survey
from gradcam_cli.pipeline.concurrency import sharing_cores
from gradcam_cli.pipeline.session import Session
from gradcam_cli.pipeline.settings import ClipSettings, ModelSettings
from gradcam_cli.records import Job, Output
from gradcam_cli.render.saliency import SaliencyMap
from tests.benchmarks.photographs import elsewhere, save_checkpoint

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from multiprocessing.synchronize import Barrier

    from gradcam_cli.media.video.frames.planes import VideoFrame
    from gradcam_cli.pipeline.clips.outputs import Sink
    from gradcam_cli.pipeline.clips.survey import Survey

CORES = len(os.sched_getaffinity(0))
TURNS = 3
"""Of the stages and the pipeline in a round."""
CHUNK = 64
"""Frames that a stage is given before the next one has its turn, so that long clips fit into memory."""
CLIP = Path(__file__).resolve().parents[2] / "sample_images" / "cat.mp4"


@contextmanager
def cpu(label: str, spent: Counter[str]) -> Iterator[None]:
    """Add the process's CPU seconds within the block to ``spent``."""
    started = time.process_time()
    yield
    spent[label] += time.process_time() - started


def job_for(path: Path, kinds: Sequence[str], stem: Path) -> Job:
    """Return a job that writes these results, named after ``stem``."""
    outputs = (Output(kind, kind, "mp4", "", stem.with_name(f"{stem.name}_{kind}.mp4")) for kind in kinds)
    return Job(path, path.name, stem, tuple(outputs))


def stages(
    path: Path, session: Session, settings: ClipSettings, kinds: Sequence[str], scratch: Path
) -> dict[str, float]:
    """CPU seconds a frame of each stage, run alone, on some frames after the other."""
    spent: Counter[str] = Counter()
    count = 0
    outputs = {kind: ExitStack() for kind in kinds}
    job = job_for(path, kinds, scratch / "alone")
    named = {output.key: output for output in job.outputs}
    with ExitStack() as stack:
        with cpu("decode", spent):
            clip = stack.enter_context(open_source(job, settings))
            sampled = [each for each in clip.samples() if each[1]]  # those in between are left to their own stages
        with cpu("survey", spent):
            found = survey(sampled, session, settings, recur=clip.samples_recur)
        sinks = {}
        for kind, output in outputs.items():
            with cpu(kind, spent):
                sinks[kind] = open_output(named[kind], clip.info, settings, output, blank=False)
        decoded = clip.frames()
        while True:
            with cpu("decode", spent):
                frames = list(islice(decoded, CHUNK))
            if not frames:
                break
            count += len(frames)
            later_stages(frames, session, settings, found, sinks, spent)
        for kind, output in outputs.items():
            with cpu(kind, spent):
                output.close()
    return {label: seconds / count for label, seconds in spent.items()}


def later_stages(
    frames: list[VideoFrame],
    session: Session,
    settings: ClipSettings,
    found: Survey,
    sinks: dict[str, Sink[Any]],
    spent: Counter[str],
) -> None:
    """Run what follows decoding, one stage after the other; the survey's answers are used as the pipeline does."""
    known = found.known
    with cpu("resize, normalise", spent):
        new = [session.prepare_frame(frame) for frame in frames if frame.time not in known]
    size = settings.batch_size
    with cpu("forward, CAM", spent):
        explained = [
            result
            for k in range(0, len(new), size)
            for result in session.explain_batch(new[k : k + size], found.targets)
        ]
    rest = iter(explained)
    results = [known[frame.time] if frame.time in known else next(rest) for frame in frames]
    with cpu("upsample", spent):
        maps = [
            SaliencyMap(result.maps[0].values, session.geometry(frame.size), scale=found.tracks[0].scale).bytes()
            for result, frame in zip(results, frames, strict=True)
        ]
    for kind, sink in sinks.items():
        with cpu(kind, spent):
            for frame, grayscale, result in zip(frames, maps, results, strict=True):
                sink.write(sink.draw(frame, grayscale, result.targets[0]))


def session_for(network: str, input_size: int, scratch: Path) -> Session:
    """Return the network with the weights in ``scratch``, warmed up."""
    model = ModelSettings(model=network, weights=scratch / "weights.pth", input_size=input_size, fit="stretch")
    session = Session(model)
    session.explain_one(session.prepare(np.zeros((input_size, input_size, 3), np.uint8)))
    return session


def one_of_several(
    path: Path,
    network: str,
    input_size: int,
    settings: ClipSettings,
    kinds: Sequence[str],
    scratch: Path,
    together: Barrier,
) -> None:
    """Work of one process: all stages, one after another, with one thread for the network; twice, to warm up."""
    hold_memory()
    session = session_for(network, input_size, scratch)
    with tempfile.TemporaryDirectory() as own, sharing_cores(session.explainer.concurrency):
        stages(path, session, settings, kinds, Path(own))
        together.wait()
        stages(path, session, settings, kinds, Path(own))
        together.wait()


def side_by_side(path: Path, count: int, *arguments: object) -> float:
    """Frames a second of as many processes as cores, who share nothing but the machine."""
    processes = multiprocessing.get_context("spawn")  # a forked process would have no threads for the network
    together = processes.Barrier(CORES + 1)
    children = [processes.Process(target=one_of_several, args=(path, *arguments, together)) for _ in range(CORES)]
    for child in children:
        child.start()
    together.wait(timeout=120)
    started = time.perf_counter()
    together.wait(timeout=600)
    seconds = time.perf_counter() - started
    for child in children:
        child.join()
    return CORES * count / seconds


@dataclass(frozen=True)
class Flow:
    """What the pipeline reaches.

    Attributes:
        rate: frames a second, the survey of the clip included.
        used: CPU seconds a frame.
        stolen: the share of the cores' time that a virtual machine's host gave to others meanwhile.
    """

    rate: float
    used: float
    stolen: float


def stolen() -> float:
    """Core seconds, since the start, that the host gave to others while there was work here; 0 where none tells."""
    with suppress(OSError, IndexError):
        return int(Path("/proc/stat").read_text().split()[8]) / os.sysconf("SC_CLK_TCK")
    return 0.0


def pipeline(path: Path, session: Session, settings: ClipSettings, kinds: Sequence[str], scratch: Path) -> Flow:
    """Run the real thing."""
    job = job_for(path, kinds, scratch / "clip")
    started, used, lost = time.perf_counter(), time.process_time(), stolen()
    outcome = next(iter(ClipRun([job], session, settings, lambda job, tally, count: None)))
    assert outcome.error is None
    seconds, used, lost = time.perf_counter() - started, time.process_time() - used, stolen() - lost
    frames = outcome.explanations[0].tally.frames
    return Flow(frames / seconds, used / frames, lost / (os.cpu_count() or CORES) / seconds)


def ours(
    path: Path, network: str, input_size: int, settings: ClipSettings, kinds: Sequence[str], scratch: Path
) -> list[tuple[dict[str, float], Flow]]:
    """Return what `stages` and `pipeline` find, some times in turn after one to warm up."""
    hold_memory()  # as the command does
    session = session_for(network, input_size, scratch)
    found = []
    with tempfile.TemporaryDirectory() as own:
        for _ in range(TURNS + 1):
            with sharing_cores(session.explainer.concurrency):
                spent = stages(path, session, settings, kinds, Path(own))
            found.append((spent, pipeline(path, session, settings, kinds, Path(own))))
    return found[1:]


def in_a_row(path: Path, times: int, scratch: Path) -> Path:
    """Write a video that shows ``path`` so many times, without decoding it and without its sound."""
    longer = scratch / f"in_a_row{path.suffix}"
    with av.open(str(longer), "w") as output:
        stream, end = None, 0
        for _ in range(times):
            with av.open(str(path)) as source:
                stream = stream or output.add_stream_from_template(source.streams.video[0])
                begin = end
                for packet in source.demux(video=0):
                    if packet.dts is None or packet.pts is None:  # the empty one at the end
                        continue
                    packet.pts, packet.dts, packet.stream = packet.pts + begin, packet.dts + begin, stream
                    end = max(end, packet.pts + (packet.duration or 1))
                    output.mux(packet)
    return longer


def loop(path: Path, network: str, scratch: Path) -> float:
    """Frames a second of the usual script."""
    import torchvision
    from pytorch_grad_cam import GradCAM
    from pytorch_grad_cam.utils.image import show_cam_on_image

    net = torchvision.models.get_model(network, weights=None).eval()
    net.load_state_dict(torch.load(scratch / "weights.pth"))
    weights = torchvision.models.MobileNet_V2_Weights.DEFAULT.transforms()
    mean, std = (torch.tensor(values).view(3, 1, 1) for values in (weights.mean, weights.std))
    cam = GradCAM(net, [net.get_submodule(Explainer(net).layers[0].name)])
    source = cv2.VideoCapture(str(path))
    rate, width, height = (
        source.get(key) for key in (cv2.CAP_PROP_FPS, cv2.CAP_PROP_FRAME_WIDTH, cv2.CAP_PROP_FRAME_HEIGHT)
    )
    sink = cv2.VideoWriter(str(scratch / "loop.mp4"), cv2.VideoWriter.fourcc(*"mp4v"), rate, (int(width), int(height)))
    started, count = time.perf_counter(), 0
    while True:
        there, frame = source.read()
        if not there:
            break
        picture = cv2.cvtColor(frame, cv2.COLOR_BGR2RGB)
        small = torch.from_numpy(cv2.resize(picture, (224, 224))).permute(2, 0, 1).float() / 255
        heat = cv2.resize(cam(((small - mean) / std)[None], None)[0], (picture.shape[1], picture.shape[0]))
        sink.write(cv2.cvtColor(show_cam_on_image(picture / 255.0, heat, use_rgb=True), cv2.COLOR_RGB2BGR))
        count += 1
    sink.release()
    return count / (time.perf_counter() - started)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("clip", nargs="?", type=Path, default=CLIP)
    parser.add_argument("--network", default="mobilenet_v2")
    parser.add_argument("--input-size", type=int, default=224)
    parser.add_argument("--batch-size", type=int, default=4)
    parser.add_argument("--save", default="grayscale,heatmap,overlay", help="default: what the command writes")
    parser.add_argument("--times", type=int, default=1, help="have the clip so many times in a row")
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    spent: list[dict[str, float]] = []
    rates: list[tuple[float, ...]] = []
    flows: list[Flow] = []
    with tempfile.TemporaryDirectory() as name:
        scratch = Path(name)
        elsewhere(save_checkpoint, options.network, scratch / "weights.pth")
        settings = ClipSettings(batch_size=options.batch_size)
        clip = options.clip if options.times == 1 else in_a_row(options.clip, options.times, scratch)
        with VideoReader(clip) as reader:
            count = sum(1 for _ in reader)
        how = (options.network, options.input_size, settings, options.save.split(","), scratch)
        for _ in range(options.rounds):
            found = elsewhere(ours, clip, *how)
            together = side_by_side(clip, count, *how)
            peer = elsewhere(loop, clip, options.network, scratch)
            spent += [alone for alone, _ in found]
            rates += [(CORES / sum(alone.values()), flow.rate, together, peer) for alone, flow in found]
            flows += [flow for _, flow in found]
    report(spent, flows, rates)


def report(spent: list[dict[str, float]], flows: list[Flow], rates: list[tuple[float, ...]]) -> None:
    """Print medians: of stages, and of frames a second that these allow, and pipeline, processes and loop reach."""
    for label in spent[0]:
        print(f"{label:20s} {statistics.median(each[label] for each in spent) * 1e3:6.1f} CPU ms a frame")
    total = statistics.median(sum(each.values()) for each in spent)
    used = statistics.median(flow.used for flow in flows)
    print(f"their sum            {total * 1e3:6.1f}, in the pipeline {used * 1e3:.1f}")
    limit, reached, together, peer = (statistics.median(each) for each in zip(*rates, strict=True))

    def ratio(one: int, other: int) -> float:
        return statistics.median(each[one] / each[other] for each in rates)

    given = statistics.median(1 - flow.stolen for flow in flows)
    of_given = statistics.median(rate[1] / rate[0] / (1 - flow.stolen) for rate, flow in zip(rates, flows, strict=True))
    print(f"{CORES} cores ÷ their sum  {limit:6.1f} frames/s")
    print(f"{CORES} processes apart    {together:6.1f} frames/s, {ratio(2, 0):.2f} of that")
    print(f"pipeline             {reached:6.1f} frames/s, {ratio(1, 0):.2f} and {ratio(1, 2):.2f} of those")
    print(f"                     {of_given:6.2f} of what the {given:.1%} of the cores allow that the host gave it")
    print(f"per-frame loop       {peer:6.1f} frames/s, the pipeline is {ratio(1, 3):.1f} times as fast")


if __name__ == "__main__":
    main()
