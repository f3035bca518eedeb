"""Pictures a second of the whole pipeline, against a bare forward loop over the same preprocessed tensors.

The bare loop is what nobody can undercut without another network: batches of tensors that are ready in memory, the
network as torchvision builds it, ``inference_mode``. The pipeline reads and decodes the pictures, explains them,
renders and writes three files each.
"""

from __future__ import annotations

import argparse
import itertools
import tempfile
import time
from pathlib import Path

import torch
import torchvision
from PIL import Image

from gradcam_cli.media.image.read import read_picture
from gradcam_cli.models.preprocess import prepare
from gradcam_cli.pipeline.images.run import ImageRun
from gradcam_cli.pipeline.session import Session
from gradcam_cli.pipeline.settings import ModelSettings, RenderSettings, RunSettings
from gradcam_cli.plan.make import OutputOptions, make_plan

SAMPLES = Path(__file__).resolve().parents[2] / "sample_images"


def make_photographs(folder: Path, count: int) -> None:
    """Write ``count`` JPEGs of ImageNet's usual sizes, cut from the bundled pictures."""
    sources = [Image.open(path).convert("RGB") for path in sorted(SAMPLES.glob("*.jpg"))]
    sizes = itertools.cycle([(500, 375), (500, 333), (375, 500), (500, 375), (500, 500)])
    for position, size in zip(range(count), sizes, strict=False):
        source = sources[position % len(sources)]
        left = position % 20
        source.crop((left, 0, source.width, source.height)).resize(size).save(folder / f"{position}.jpg", quality=90)


@torch.inference_mode()
def bare_loop(net: torch.nn.Module, folder: Path, session: Session, batch_size: int) -> float:
    """Seconds for one pass over all tensors, batched by size."""
    groups: dict[tuple[int, ...], list[torch.Tensor]] = {}
    for path in sorted(folder.iterdir()):
        tensor = prepare(read_picture(path, path.name).pixels, session.preset, session.fit).tensor
        groups.setdefault(tuple(tensor.shape), []).append(tensor)
    batches = [
        torch.stack(group[start : start + batch_size])
        for group in groups.values()
        for start in range(0, len(group), batch_size)
    ]
    net(batches[0])
    started = time.perf_counter()
    for batch in batches:
        net(batch)
    return time.perf_counter() - started


def pipeline(folder: Path, out: Path, session: Session, batch_size: int, picture_format: str) -> float:
    """Seconds from the first picture read to the last file written."""
    render = RenderSettings(format=picture_format)  # type: ignore[arg-type]
    options = OutputOptions(out, render.kinds, render.format)
    plan = make_plan([str(folder)], suffixes=frozenset({".jpg"}), options=options)
    started = time.perf_counter()
    outcomes = list(ImageRun(plan.jobs, session, RunSettings(batch_size, render=render)))
    seconds = time.perf_counter() - started
    assert not [outcome.error for outcome in outcomes if outcome.error]
    return seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--network", default="squeezenet1_0")
    parser.add_argument("--photos", type=Path, help="folder of JPEGs; default: 200 made from the bundled pictures")
    parser.add_argument("--count", type=int, default=200)
    parser.add_argument("--batch-size", type=int, default=8)
    parser.add_argument("--format", default="png")
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        weights = Path(scratch) / "weights.pth"
        net = torchvision.models.get_model(options.network, weights=None).eval()
        torch.save(net.state_dict(), weights)
        folder = options.photos
        if folder is None:
            folder = Path(scratch) / "photos"
            folder.mkdir()
            make_photographs(folder, options.count)
        count = len(list(folder.iterdir()))
        session = Session(ModelSettings(model=options.network, weights=weights))
        for turn in range(options.rounds):
            bare = bare_loop(net, folder, session, options.batch_size)
            ours = pipeline(folder, Path(scratch) / f"out{turn}", session, options.batch_size, options.format)
            print(
                f"bare forward {count / bare:6.1f} pictures/s   pipeline {count / ours:6.1f} pictures/s"
                f"   ratio {bare / ours:.2f}",
                flush=True,
            )


if __name__ == "__main__":
    main()
