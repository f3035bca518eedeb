"""How pictures are fitted to a network's input: tried out on the network, before the first picture is read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, TypeVar

from gradcam_cli.cam.layers.linear_size import side_for_linear
from gradcam_cli.cam.layers.trace import CannotRunError
from gradcam_cli.models.preprocess import adapted, plan_geometry

if TYPE_CHECKING:
    from collections.abc import Callable

    from gradcam_cli.models.load import Outline
    from gradcam_cli.models.network import Network
    from gradcam_cli.records import Fit, Preset, Size

USUAL_PICTURE = (480, 640)
"""(height, width) of the picture that a network is tried out on."""

Result = TypeVar("Result")


@dataclass(frozen=True)
class InputFit(Generic[Result]):
    """A way in which the network takes pictures.

    Attributes:
        fit: how a picture becomes its input.
        preset: its preprocessing.
        result: what the trial has returned.
        notes: for the user.
        derived: whether the size follows from the network's linear layer.
    """

    fit: Fit
    preset: Preset
    result: Result
    notes: tuple[str, ...] = ()
    derived: bool = False


def find_fit(
    network: Network | Outline, name: str, preset: Preset, fit: Fit, attempt: Callable[[Size], Result], *, given: bool
) -> InputFit[Result]:
    """Return the first way in which a network runs: as it was asked for, on the preset's square, at another size.

    Args:
        network: the network.
        name: its name in notes.
        preset: its preprocessing.
        fit: as it was asked for.
        attempt: runs the network for trial on a size (h, w).
        given: whether the user, or a file, has given the size, so that no other is looked for.

    Raises:
        CannotRunError: the network runs in none of these ways.
        GradcamError: ``attempt`` has raised it.
    """
    usual = plan_geometry(USUAL_PICTURE, preset, fit).input
    try:
        return InputFit(fit, preset, attempt(usual))
    except CannotRunError as error:
        problem = error
    square = preset.window
    if fit == "whole" and usual != square:
        try:
            result = attempt(square)
        except CannotRunError as error:
            problem = error
        else:
            note = f"{name} takes {square[1]}×{square[0]} pictures only: the whole picture is stretched to that"
            return InputFit("stretch", preset, result, (note,))
    found = None if given else side_for_linear(network.module, square, preset.channels)
    if found is None:
        raise problem
    preset = adapted(preset, side=found.side, mean=None, std=None, scale_255=False)
    note = (
        f"{name} takes pictures of one size: its linear layer reads feature maps of {found.grid}×{found.grid}, so that "
        f"{found.side}×{found.side} is assumed"
    )
    fit = "stretch" if fit == "whole" else fit
    return InputFit(fit, preset, attempt(plan_geometry(USUAL_PICTURE, preset, fit).input), (note,), derived=True)
