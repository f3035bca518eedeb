"""From a command's options to the settings and the plan that the pipeline takes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from gradcam_cli.cam.methods.registry import methods_named
from gradcam_cli.cli.options.network import flat
from gradcam_cli.pipeline.settings import ALL_LAYERS, ModelSettings, RenderSettings
from gradcam_cli.plan.make import OutputOptions, Plan, make_plan

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


def model_settings(chosen: Mapping[str, Any]) -> ModelSettings:
    """Return what the options about the network say."""
    return ModelSettings(
        model=chosen["model"],
        arguments=tuple(chosen["arguments"]),
        weights=chosen["weights"],
        labels=chosen["labels"],
        layers=(ALL_LAYERS,) if ALL_LAYERS in chosen["layers"] else tuple(dict.fromkeys(chosen["layers"])),
        targets=flat(chosen["targets"]),
        methods=methods_named(chosen["methods"]),
        fusion=chosen["fuse"],
        fit=chosen["fit"],
        input_size=chosen["input_size"],
        reshape=chosen["reshape"],
        mean=chosen["mean"],
        std=chosen["std"],
        scale_255=chosen["scale_255"],
        activation=chosen["activation"],
        device=chosen["device"],
        precision=chosen["precision"],
        optimize=chosen["optimize"],
        budget=chosen["budget"],
        augment_smooth=chosen["augment_smooth"],
        eigen_smooth=chosen["eigen_smooth"],
    )


def render_settings(chosen: Mapping[str, Any]) -> RenderSettings:
    """Return what the options about looks and kinds of result say; what a command does not offer is the default."""
    usual = RenderSettings()
    return RenderSettings(
        kinds=chosen.get("save", usual.kinds),
        format=chosen.get("picture_format", usual.format),
        colormap=chosen["colormap"],
        alpha=chosen["alpha"],
        by_intensity=chosen["alpha_by_intensity"],
        normalize=chosen["normalize"],
        quality=chosen.get("quality", usual.quality),
    )


def plan_for(
    inputs: Sequence[str],
    chosen: Mapping[str, Any],
    model: ModelSettings,
    *,
    kinds: tuple[str, ...],
    suffixes: frozenset[str],
    picture_format: str,
    parts: tuple[str, ...] | None = None,
) -> Plan:
    """Return what the options about inputs and outputs come to.

    Args:
        inputs: as they were typed.
        chosen: the options.
        model: what parts the results have.
        kinds: of result.
        suffixes: of the files that a directory is searched for.
        picture_format: suffix of the results.
        parts: of the results' names, instead of the model's targets and layers.

    Raises:
        UsageError: the inputs or outputs cannot be as wished.
    """
    if chosen["skip_existing"] and chosen["no_overwrite"]:
        raise click.UsageError("--skip-existing and --no-overwrite exclude each other")
    options = OutputOptions(
        directory=chosen["output_dir"],
        kinds=kinds,
        format=picture_format,
        parts=model.parts if parts is None else parts,
        policy="skip" if chosen["skip_existing"] else "refuse" if chosen["no_overwrite"] else "replace",
        name_from=chosen["name_from"],
    )
    return make_plan(
        inputs, suffixes=suffixes, options=options, from_file=chosen["from_file"], recursive=chosen["recursive"]
    )
