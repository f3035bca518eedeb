"""From a command's options to the settings and the plan that the pipeline takes."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal

import click

from gradcam_cli.cam.methods.registry import methods_named
from gradcam_cli.cli.options.network import flat
from gradcam_cli.pipeline.artifacts.registry import SUFFIXES
from gradcam_cli.pipeline.render_settings import RenderSettings, look_of
from gradcam_cli.pipeline.settings import ALL_LAYERS, ModelSettings
from gradcam_cli.plan.make import OutputOptions, Plan, make_plan

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from gradcam_cli.pipeline.result_settings import ResultSettings


def model_settings(options: Mapping[str, Any]) -> ModelSettings:
    """Return the settings of the options for the network."""
    return ModelSettings(
        model=options["model"],
        arguments=tuple(options["arguments"]),
        texts=tuple(options["texts"]),
        weights=options["weights"],
        labels=options["labels"],
        layers=(ALL_LAYERS,) if ALL_LAYERS in options["layers"] else tuple(dict.fromkeys(options["layers"])),
        targets=flat(options["targets"]),
        methods=methods_named(options["methods"]),
        fusion=options["fuse"],
        fit=options["fit"],
        input_size=options["input_size"],
        reshape=options["reshape"],
        mean=options["mean"],
        std=options["std"],
        scale_255=options["scale_255"],
        output=options["output"],
        activation=options["activation"],
        device=options["device"],
        precision=options["precision"],
        optimize=not options["no_optimize"],
        budget=options["budget"],
        augment_smooth=options["augment_smooth"],
        eigen_smooth=options["eigen_smooth"],
    )


def render_settings(options: Mapping[str, Any]) -> RenderSettings:
    """Return the settings of the options for appearance and kinds of result; missing options have defaults."""
    shown = look_of(options)
    return replace(
        shown,
        kinds=options.get("save", shown.kinds),
        format=options.get("picture_format", shown.format),
        quality=options.get("quality", shown.quality),
    )


def plan_for(
    inputs: Sequence[str],
    options: Mapping[str, Any],
    results: ResultSettings,
    *,
    kinds: tuple[str, ...],
    suffixes: frozenset[str],
    second: frozenset[str] = frozenset(),
    picture_format: str,
    expected: Literal["picture", "clip", "animation"] | None = None,
    joined: bool = False,
) -> Plan:
    """Return the plan for the options of inputs and outputs.

    Args:
        inputs: as they were typed.
        options: the options, as `output.for_one_file` returns them.
        results: what the results depend on; their parts are in the names.
        kinds: kinds of result.
        suffixes: suffixes of the files that directories are searched for.
        second: those of them whose files are taken only from a directory without others.
        picture_format: suffix of the results.
        expected: what the inputs are to be; None takes any.
        joined: whether all inputs share the results of the first.

    Raises:
        UsageError: the inputs or outputs are not possible.
    """
    if options["skip_existing"] and options["no_overwrite"]:
        raise click.UsageError("--skip-existing and --no-overwrite exclude each other")
    one_file = options["one_file"]
    outputs = OutputOptions(
        directory=options["output_dir"].path,
        kinds=kinds,
        format=picture_format,
        containers=SUFFIXES,
        parts=results.parts,
        policy="skip" if options["skip_existing"] else "refuse" if options["no_overwrite"] else "replace",
        name_from=options["name_from"],
        template=options["name_template"],
        hash_of=results.hashes() if one_file is None else None,
        records=not options["no_records"] and one_file is None,
        joined=joined,
        file=one_file,
    )
    return make_plan(
        inputs, suffixes=suffixes, second=second, options=outputs, from_file=options["from_file"],
        recursive=options["recursive"], expected=expected,
    )  # fmt: skip
