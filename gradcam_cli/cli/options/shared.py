"""Options that commands share, except the network's, in the sections of ``--help``.

Each option that takes one value can also be set in the environment: ``--output-dir`` by ``GRADCAM_OUTPUT_DIR``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from gradcam_cli.cli.options.output import place
from gradcam_cli.cli.options.types import (
    Checked,
    Finite,
    Function,
    Several,
    count,
    exact,
    exact_side,
    levels,
    longest_side,
    named,
    option,
    option_group,
    rate,
)
from gradcam_cli.files import expanded
from gradcam_cli.pipeline.artifacts.registry import CLIP_KINDS, KINDS
from gradcam_cli.pipeline.images.sweep_settings import SWEEPS
from gradcam_cli.pipeline.render_settings import FORMATS, LOOKS
from gradcam_cli.pipeline.settings import AXES
from gradcam_cli.plan.name_template import FIELDS, USUAL, parse_template
from gradcam_cli.records import CODECS, FIGURE_FORMATS, PICTURE_QUALITY, UPSAMPLINGS, VIDEO_QUALITY
from gradcam_cli.render.colormap import check_colormap
from gradcam_cli.render.scale import check_normalization

if TYPE_CHECKING:
    from collections.abc import Callable


input_options = option_group(
    "Inputs",
    option(
        "--from-file", type=Checked("LIST", expanded), metavar="LIST",
        help="Take inputs from a file, one path a line; - reads the list from stdin.",
    ),
    option("-r", "--recursive", is_flag=True, help="Search the subfolders of directories."),
    option(
        "--max-pixels", type=Checked("N", count), metavar="N",
        help="Refuse larger pictures and frames undecoded; 200M is 200 million. "
        "Default: 178M, for videos 67M, for animations 33M.",
    ),
)  # fmt: skip

output_options = option_group(
    "Outputs",
    option(
        "-o", "--output-dir", type=Checked("PLACE", place), metavar="PLACE", default="gradcam_output",
        show_default=True,
        help="Directory of the results, created when missing; of one result its file, as out.png, or - for stdout.",
    ),
    option(
        "--name-from", type=click.Choice(("stem", "path")), default="stem", show_default=True,
        help="Name files by the input's name, or by its whole path.",
    ),
    option(
        "--name-template", type=Checked("TEMPLATE", parse_template), metavar="TEMPLATE", default=USUAL,
        show_default=True, help=f"Names of the files, of the fields {', '.join(FIELDS)}; a / makes folders.",
    ),
    option(
        "--skip-existing", is_flag=True,
        help="Skip inputs whose files all exist, made with the same settings: resumes a run.",
    ),
    option("--no-overwrite", is_flag=True, help="Stop before anything is done if a file exists."),
    option("--no-records", is_flag=True, help="Leave out the records, which 'gradcam records' lists."),
)  # fmt: skip

image_options = option_group(
    "Outputs",
    option(
        "--save", type=Several(KINDS), default="grayscale,heatmap,overlay", show_default=True,
        help=f"What to write: {', '.join(KINDS)}. 'map' is float32 .npy.",
    ),
    option(
        "--format", "picture_format", type=click.Choice(FORMATS), default="png", show_default=True,
        help="Format of the pictures.",
    ),
    option(
        "--quality", type=click.IntRange(1, 100), metavar="1…100", default=PICTURE_QUALITY, show_default=True,
        help="Quality of jpg and webp.",
    ),
    longest_side("the results; larger pictures are reduced"),
    exact_side(),
)  # fmt: skip

moving_options = option_group(
    "Outputs",
    option(
        "--save", type=Several(CLIP_KINDS), default="grayscale,heatmap,overlay", show_default=True,
        help=f"What to write: {', '.join(CLIP_KINDS)}.",
    ),
    exact_side(),
    option("--keep-partial", is_flag=True, help="When stopped, keep what is done, playable, as NAME.partial.mp4."),
    option("--gif-fps", type=Checked("N", rate), metavar="N", help="Most frames per second of GIFs."),
    option("--gif-width", type=click.IntRange(1, 65_535), metavar="PIXELS", help="Greatest width of GIFs."),
)  # fmt: skip

video_options = option_group(
    "Outputs",
    option("--gif", is_flag=True, help="Write the overlay as a GIF too."),
    option(
        "--codec", type=click.Choice(CODECS), default="h264", show_default=True,
        help="H.264 plays everywhere; the others are smaller and slower.",
    ),
    option(
        "--quality", type=click.IntRange(1, 100), metavar="1…100", default=VIDEO_QUALITY, show_default=True,
        help=f"Quality of videos; {VIDEO_QUALITY} is hard to distinguish from the source.",
    ),
    option("--no-audio", is_flag=True, help="Leave the sound out."),
)  # fmt: skip

sweep_options = option_group(
    "Animate a still",
    option("--sweep", type=click.Choice(SWEEPS), help="Animate a still picture: its maps one after another."),
    option(
        "--count", type=click.IntRange(1), metavar="N", help="Channels (default 64) or classes (5) to show, at most."
    ),
)

part_options = option_group(
    "Which frames",
    option("--start", type=Checked("SECONDS", exact), metavar="SECONDS", help="Leave out earlier frames."),
    option("--end", type=Checked("SECONDS", exact), metavar="SECONDS", help="Leave out frames from there on."),
    option(
        "--fps", type=Checked("N", rate), metavar="N",
        help="Take frames at this rate; default: the source's own times.",
    ),
    longest_side("the frames"),
)  # fmt: skip

steady_options = option_group(
    "Which frames",
    option("--stride", type=click.IntRange(1), metavar="N", default=1, show_default=True, help="Keep every Nth frame."),
    option("--per-frame-target", is_flag=True, help="Explain each frame's own class instead of the clip's."),
    option(
        "--normalize-over", type=click.Choice(("clip", "frame")), default="clip", show_default=True,
        help="Share one scale over the clip, which does not flicker, or scale each frame.",
    ),
    option(
        "--smooth", type=Finite(0), metavar="SECONDS", default=0.0, show_default=True,
        help="Smooth maps over time with this time constant, whatever the frame rate.",
    ),
)  # fmt: skip

overlay_options = option_group(
    "Appearance",
    option("--caption", is_flag=True, help="Write class and probability below the overlay."),
    option("--colorbar", is_flag=True, help="Put a colour bar beside the overlay."),
    option("--side-by-side", is_flag=True, help="Put the source beside the overlay."),
)

render_options = option_group(
    "Appearance",
    option(
        "--look", type=click.Choice(tuple(LOOKS)), default="clear", show_default=True,
        help="clear: turbo, weighed by the heat, so that cold regions stay as they are; classic: jet at 0.5 all over.",
    ),
    option(
        "--colormap", type=Checked("NAME", check_colormap),
        help="turbo (default), jet, viridis, inferno, magma, hot or any other of OpenCV's.",
    ),
    option(
        "--alpha", type=Finite(0, 1), metavar="0…1", help="The heatmap's weight in the overlay; default: 0.7."
    ),
    option("--alpha-by-intensity", is_flag=True, help="Weigh each pixel by its heat in the classic look, too."),
    option(
        "--contours", type=Checked("LEVELS", levels), metavar="LEVELS", default=(),
        help="Draw lines at these levels, as 0.5 or 0.3,0.6, on the untouched picture instead of the heatmap.",
    ),
    option(
        "--normalize", type=Checked("WAY", check_normalization), metavar="WAY",
        help="How the map is scaled to 0…1: minmax, max, none, or up to a percentile, as p99. "
        "Default: minmax; for maps of pixels, as gradient's, p99.",
    ),
    option(
        "--upsample", type=click.Choice(UPSAMPLINGS), default="bilinear", show_default=True,
        help="Interpolation of heatmaps and overlays: bicubic is smoother. Grey levels and values stay bilinear.",
    ),
)  # fmt: skip


compare_options = option_group(
    "Figure",
    option(
        "--rows", type=click.Choice(AXES),
        help="What differs from row to row; default: the shorter of two. inputs: all pictures in one figure.",
    ),
    option("--columns", type=click.Choice(AXES[1:]), help="What differs from column to column; default: the longer."),
    option("--title", metavar="TEXT", help="Title of the figure; default: what all maps share. '' is none."),
    option(
        "--name", "names", type=Checked("THING=TEXT", named), metavar="THING=TEXT", multiple=True,
        help="Name of a method, layer, class, network or picture in the figure: gradcam='Grad-CAM (ours)'; "
        "repeat for several.",
    ),
    option("--times", is_flag=True, help="Write under each map how long it takes: median of three, after a warm-up."),
    option(
        "--format", "formats", type=Several(FIGURE_FORMATS), default="png,pdf", show_default=True,
        help="Formats of the figure: png, pdf, svg. Type stays type in pdf and svg.",
    ),
    option(
        "--width", type=Finite(40, 400), metavar="MM", default=178, show_default=True,
        help="Width of the figure in millimetres, at 300 dpi; 178 is two columns of a journal.",
    ),
    option(
        "--no-metadata", is_flag=True,
        help="Leave out of the files how the figure was made: network, hash of the weights, layers, methods, version.",
    ),
)  # fmt: skip


def batch_options(usual: int, what: str) -> Callable[[Function], Function]:
    """Return the option for the batch size, ``usual`` by default; ``what`` names the items in a batch."""
    return option_group(
        "Running",
        option(
            "--batch-size", type=click.IntRange(1, 4096), metavar="N", default=usual, show_default=True,
            help=f"{what} in one forward pass, at most.",
        ),
    )  # fmt: skip


run_options = option_group(
    "Running",
    option("--fail-fast", is_flag=True, help="Stop at the first input that fails."),
    option("--json", "as_json", is_flag=True, help="One JSON object a line on stdout instead of paths."),
    option("-q", "--quiet", is_flag=True, help="Print nothing but errors and results."),
    option("-v", "--verbose", is_flag=True, help="Explain choices: which layer, and why."),
)
