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

USUAL_PICTURES = ((480, 640), (480, 960), (480, 1920))
"""(height, width) of the pictures that a network is tried out on: the first whose input is not square, if one is."""

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
    """Return the first way in which a network runs: as it was requested, on the preset's square, at another size.

    Args:
        network: the network.
        name: its name in notes.
        preset: its preprocessing.
        fit: as it was requested.
        attempt: runs the network for trial on a size (h, w).
        given: whether the user, or a file, has given the size, so that no other is looked for.

    Raises:
        CannotRunError: the network runs in none of these ways.
        GradcamError: ``attempt`` has raised it.
    """
    usual, square = plan_geometry(USUAL_PICTURES[0], preset, fit).input, preset.window
    try:
        result = attempt(usual)
        wide = _usual(preset, fit)
        if wide != usual:  # whether it takes that, too; the layer is one that has a grid on the smaller input
            attempt(wide)
        return InputFit(fit, preset, result)
    except CannotRunError as error:
        problem = error
        usual = _usual(preset, fit)
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
    return InputFit(fit, preset, attempt(_usual(preset, fit)), (note,), derived=True)


def _usual(preset: Preset, fit: Fit) -> Size:
    """Return an input that tells networks of one size from others, where the fit leaves the aspect free."""
    inputs = [plan_geometry(picture, preset, fit).input for picture in USUAL_PICTURES]
    return next((each for each in inputs if each[0] != each[1]), inputs[0])
