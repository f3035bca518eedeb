"""What is run undisturbed and disturbed: inputs, and a command over them; with what an undisturbed run makes of it."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING

from gradcam_cli.store.record import FOLDER
from tests.fuzz import samples

if TYPE_CHECKING:
    from pathlib import Path

    from tests.faults.runs import Server

INPUTS = "in"
OUTPUTS = "out"
_USUAL = ("-m", "tiny", "--input-size", "32", "-o", OUTPUTS, INPUTS)
_COMMANDS: dict[str, tuple[str, tuple[tuple[str, ...], ...]]] = {
    "image": (
        "pictures",
        (
            ("--batch-size", "3"),
            ("--recursive", "--json", "--save", "overlay,map"),
            ("--save", "grayscale,overlay,json,original", "-t", "top:2", "--format", "jpg", "--batch-size", "1"),
        ),
    ),
    "video": ("videos", ((), ("--gif", "--json"), ("--side-by-side", "--method", "gradcam", "--method", "layercam"))),
    "gif": ("gifs", ((), ("--json", "--caption"), ("--sweep", "layers"))),
}
_MOST = {"image": 12, "video": 2, "gif": 2}
"""Inputs, so that a case takes a second or two."""
COMMANDS = tuple(_COMMANDS)
WAYS = 3
"""Of running each command."""


@dataclass(frozen=True)
class Scene:
    """A command over its inputs.

    Attributes:
        command: ``image``, ``video`` or ``gif``.
        arguments: of the command line.
        inputs: name → content.
    """

    command: str
    arguments: tuple[str, ...]
    inputs: dict[str, bytes]

    def lay(self, folder: Path) -> None:
        """Write the inputs into a new folder, to run the command in."""
        for name, content in self.inputs.items():
            path = folder / INPUTS / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)

    @property
    def as_json(self) -> bool:
        """Whether stdout has records."""
        return "--json" in self.arguments


@dataclass(frozen=True)
class Expected:
    """What an undisturbed run makes: name → content, see `results`; and its seconds."""

    results: dict[str, bytes]
    seconds: float


def scene(command: str, way: int) -> Scene:
    """Return a scene; the same one every time."""
    kind, ways = _COMMANDS[command]
    more = ways[way]
    found = samples.of("pictures")[:3] if "--sweep" in more else samples.of(kind)[: _MOST[command]]
    folders = ("", "sub/", "sub/deep/") if "--recursive" in more else ("",)
    inputs = {f"{folders[k % len(folders)]}{k:02}{suffix}": data for k, (suffix, data) in enumerate(found)}
    return Scene(command, (command, *_USUAL, *more), inputs)


def undisturbed(wanted: Scene, server: Server, folder: Path) -> Expected:
    """Run a scene in a new folder and return what it makes.

    Raises:
        RuntimeError: it does not end well.
    """
    wanted.lay(folder)
    done = server.done(wanted.arguments, folder)
    if done.code:
        raise RuntimeError(f"undisturbed, {' '.join(wanted.arguments)} ends with {done.code}: {done.err}")
    made = results(folder / OUTPUTS)
    shutil.rmtree(folder)
    return Expected(made, done.seconds)


def results(folder: Path) -> dict[str, bytes]:
    """Return name → content of all results below a folder, those of JSON without the time that was taken."""
    paths = (path for path in sorted(folder.rglob("*")) if not path.is_dir() and path.parent.name != FOLDER)
    return {str(path.relative_to(folder)): _content(path) for path in paths}


def _content(path: Path) -> bytes:
    data = path.read_bytes()
    if path.suffix != ".json":
        return data
    try:
        record = json.loads(data)
    except ValueError:  # not whole: that is to be found
        return data
    record.pop("seconds")
    return json.dumps(record).encode()
