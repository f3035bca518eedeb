"""Extensions that other packages declare as entry points: searched when a name is not ours, loaded when used.

Groups: ``gradcam.methods`` (see `cam.methods.registry`) and ``gradcam.models`` (see `models.registry`). With
``GRADCAM_NO_PLUGINS=1`` in the environment there are none.
"""

from __future__ import annotations

import os
from dataclasses import asdict, dataclass
from importlib.metadata import EntryPoint, entry_points
from typing import TYPE_CHECKING, Literal

from gradcam_cli.errors import GradcamError, UsageError
from gradcam_cli.text import quoted, typed_line

if TYPE_CHECKING:
    from collections.abc import Callable

Group = Literal["gradcam.methods", "gradcam.models"]


@dataclass(frozen=True, slots=True)
class Plugin:
    """The origin of an extension.

    Attributes:
        group: the entry point group.
        name: name under which it is used.
        package: the distribution that declares it.
        version: version of the package.
    """

    group: str
    name: str
    package: str
    version: str

    def record(self) -> dict[str, str]:
        """Return it as plain values, ready for JSON."""
        return asdict(self)

    def load(self) -> object:
        """Import and return the object.

        Raises:
            UsageError: the package fails.
        """
        return self.guarded(_entry_point(self).load)

    def guarded(self, function: Callable[..., object], *given: object, **named: object) -> object:
        """Call a function of the package.

        Raises:
            GradcamError: raised by the function, unchanged.
            UsageError: the function raises another exception.
        """
        try:
            return function(*given, **named)
        except GradcamError:
            raise
        except Exception as error:  # foreign code may raise anything
            raise self.failure(typed_line(error)) from error

    def failure(self, reason: str) -> UsageError:
        """Return the error for an extension that cannot be used."""
        return UsageError(
            f"{quoted(self.name)} of the package {self.package} {self.version} cannot be used: {reason}",
            "update or remove that package; GRADCAM_NO_PLUGINS=1 leaves out what packages add",
        )


def plugins(group: Group) -> dict[str, Plugin]:
    """Return the extensions of a group by name, sorted by name; none of them is imported."""
    if os.environ.get("GRADCAM_NO_PLUGINS") not in (None, "", "0"):
        return {}
    found: dict[str, Plugin] = {}
    for point in sorted(entry_points(group=group), key=lambda point: point.name):
        package = point.dist.name if point.dist is not None else "unknown"
        version = point.dist.version if point.dist is not None else ""
        found.setdefault(point.name.lower(), Plugin(group, point.name, package, version))
    return found


def _entry_point(plugin: Plugin) -> EntryPoint:
    points = entry_points(group=plugin.group, name=plugin.name)
    return next(point for point in points if point.dist is None or point.dist.name == plugin.package)
