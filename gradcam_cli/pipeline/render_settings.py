"""How maps are shown: kinds of result, colours, scaling."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from inspect import signature
from typing import TYPE_CHECKING, Any, Literal

from gradcam_cli.errors import UsageError
from gradcam_cli.records import NO_RESULT, PICTURE_QUALITY, UPSAMPLINGS, Unseen, Upsampling
from gradcam_cli.render.colormap import check_colormap
from gradcam_cli.render.scale import check_normalization

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

PictureFormat = Literal["png", "jpg", "webp"]

FORMATS: tuple[PictureFormat, ...] = ("png", "jpg", "webp")


@dataclass(frozen=True, slots=True)
class RenderSettings:
    """How a map is shown.

    Attributes:
        kinds: kinds of result, keys of ``pipeline.artifacts.registry.ARTIFACTS``.
        format: file format of results that are pictures.
        colormap: one of ``render.colormap.COLORMAPS``.
        alpha: the heatmap's weight in the overlay, in [0, 1].
        by_intensity: whether that weight is multiplied by the map.
        contours: levels of the map, in (0, 1), whose lines are drawn in the overlay instead of the heatmap.
        normalize: how the map is scaled to [0, 1], see `render.scale`.
        upsample: interpolation of the map where it is shown in colours; its grey levels and values are bilinear.
        unseen: how what the network did not see is marked.
        quality: quality of JPEG, WebP and videos, 1 to 100.
        caption: whether class and probability are written below overlays.
        colorbar: whether a colour bar stands beside overlays.
        side_by_side: whether an overlay is shown beside its source instead of alone.
    """

    kinds: tuple[str, ...] = field(default=("grayscale", "heatmap", "overlay"), metadata=NO_RESULT)
    format: PictureFormat = "png"
    colormap: str = "turbo"
    alpha: float = 0.7
    by_intensity: bool = True
    contours: tuple[float, ...] = ()
    normalize: str = "auto"
    upsample: Upsampling = "bilinear"
    unseen: Unseen = "light"
    quality: int = PICTURE_QUALITY
    caption: bool = False
    colorbar: bool = False
    side_by_side: bool = False

    def __post_init__(self) -> None:
        check_normalization(self.normalize)
        if self.upsample not in UPSAMPLINGS:
            raise UsageError(f"there is no interpolation {self.upsample!r}", f"choose one of {', '.join(UPSAMPLINGS)}")
        if not 0 <= self.alpha <= 1:  # NaN fails here too
            raise UsageError(f"an alpha of {self.alpha} is not possible", "give a number from 0 to 1")
        if not all(0 < level < 1 for level in self.contours):
            raise UsageError(
                f"contours at {', '.join(f'{level:g}' for level in self.contours)} are not possible",
                "give levels between 0 and 1, as 0.5 or 0.25,0.5,0.75",
            )


LOOKS: Mapping[str, RenderSettings] = {
    "clear": RenderSettings(),
    "classic": RenderSettings(colormap="jet", alpha=0.5, by_intensity=False, normalize="minmax", unseen="dark"),
}
"""Names of looks. ``classic`` is that of version 0.1."""


def look_of(options: Mapping[str, Any]) -> RenderSettings:
    """Return the settings for options by the names of `looking`'s arguments; others are passed over.

    Raises:
        UsageError: as `looking`.
    """
    return looking(**{name: options[name] for name in signature(looking).parameters if name in options})


def looking(
    look: str = "clear",
    *,
    colormap: str | None = None,
    alpha: float | None = None,
    alpha_by_intensity: bool = False,
    contours: Sequence[float] = (),
    normalize: str | None = None,
    upsample: Upsampling = "bilinear",
    caption: bool = False,
    colorbar: bool = False,
    side_by_side: bool = False,
) -> RenderSettings:
    """Return the settings of a look, with what is given instead of its own.

    Args:
        look: one of `LOOKS`.
        colormap: name of a colormap.
        alpha: the heatmap's weight in the overlay, in [0, 1].
        alpha_by_intensity: whether that weight is multiplied by the map, in every look.
        contours: levels of lines that are drawn instead of the heatmap.
        normalize: how the map is scaled to [0, 1].
        upsample: interpolation of what is shown.
        caption: whether class and probability are written below overlays.
        colorbar: whether a colour bar stands beside overlays.
        side_by_side: whether an overlay is shown beside its source.

    Raises:
        UsageError: there is no such look or colormap, or a value is not possible.
    """
    if look not in LOOKS:
        raise UsageError(f"there is no look {look!r}", f"choose one of {', '.join(LOOKS)}")
    own = LOOKS[look]
    return replace(
        own,
        colormap=own.colormap if colormap is None else check_colormap(colormap),
        alpha=own.alpha if alpha is None else alpha,
        by_intensity=own.by_intensity or alpha_by_intensity,
        contours=tuple(contours),
        normalize=own.normalize if normalize is None else check_normalization(normalize),
        upsample=upsample,
        caption=caption,
        colorbar=colorbar,
        side_by_side=side_by_side,
    )
