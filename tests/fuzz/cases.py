"""A case: files, and a command over them; made from a seed and a number, the same ones every time."""

from __future__ import annotations

from dataclasses import dataclass, field
from random import Random
from typing import TYPE_CHECKING

from tests.fuzz import samples
from tests.fuzz.mutate import mutated
from tests.fuzz.options import WANTED, arguments_for

if TYPE_CHECKING:
    from collections.abc import Callable

NAMES = (
    "a", "-dash", "a b", "é", "猫", "a'b", 'a"b', "a\nb", "\x1b[31mred", "[bold]", "a*b", "a?b", "[a]", "%s", "{}",
    "$HOME", "a.b.c", "\udce9", "\u202egpj", "CON", "a" * 200, "..a", "~", "a;b", "a\\b",
)  # fmt: skip
SUFFIXES = (".png", ".jpg", ".gif", ".mp4", ".webm", ".txt", ".pth", "", ".PNG", ".json")


@dataclass
class Case:
    """What is run.

    Attributes:
        arguments: of the command line.
        files: name → content, in the directory that the command runs in.
        stdin: what is on standard input.
    """

    arguments: list[str]
    files: dict[str, bytes] = field(default_factory=dict)
    stdin: bytes = b""


def make_case(kind: str, seed: int, number: int) -> Case:
    """Return a case of a kind, ``KINDS`` has them."""
    return KINDS[kind](Random(f"{seed}/{kind}/{number}"))


def _damaged(kind: str, rng: Random) -> tuple[str, bytes]:
    """Return the suffix and content of a damaged sample; now and then of another kind than its suffix says."""
    found = samples.of(kind)
    suffix, data = rng.choice(found)
    other = rng.choice(samples.of(rng.choice(SAMPLE_KINDS)) if rng.random() < 0.2 else found)[1]
    return rng.choice(SUFFIXES) if rng.random() < 0.1 else suffix, mutated(data, rng, other)


def _name(suffix: str, rng: Random) -> str:
    return (rng.choice(NAMES) if rng.random() < 0.15 else "a") + suffix


def _media(command: str, kind: str, *usual: str) -> Callable[[Random], Case]:
    def case(rng: Random) -> Case:
        suffix, data = _damaged(kind, rng)
        name = _name(suffix, rng)
        options = ["-m", "tiny", "--input-size", "32", *usual]
        if rng.random() < 0.3:
            options.append("--json")
        if rng.random() < 0.2:
            options += arguments_for(command, rng, 2)
        if command == "image" and rng.random() < 0.1:
            return Case([command, *options, "-"], stdin=data)
        return Case([command, *options, "--", name], {name: data})

    return case


def _weights(rng: Random) -> Case:
    suffix, data = rng.choice(samples.of("weights"))
    content = samples.pickle_of(data)
    if content is not None and rng.random() < 0.5:  # what is in the archive, which mostly survives no blind damage
        data = samples.repacked(data, mutated(content, rng, rng.choice(samples.of("weights"))[1]))
    else:
        data = mutated(data, rng, rng.choice(samples.of("weights"))[1])
    name = _name(suffix, rng)
    model = "tiny" if rng.random() < 0.1 else "net.py:build"
    arguments = ["image", "-m", model, "--input-size", "32", "--save", "heatmap", f"--weights={name}", "a.png"]
    return Case(arguments, {name: data, "net.py": samples.NETWORK.encode(), "a.png": samples.of("pictures")[0][1]})


def _labels(rng: Random) -> Case:
    suffix, data = _damaged("labels", rng)
    name = _name(suffix, rng)
    if name == "a.png":
        name = "b.png"
    model = ["-m", "net.py:build", f"--labels={name}", "--save", "overlay", "--input-size", "32"]
    target = [f"--target={rng.choice(('top', 'cat', 'dog', '2', 'cat vs dog'))}"]
    command = rng.choice(("image", "image", "gif")) if rng.random() < 0.9 else "compare"
    if command == "compare":
        model = model[:3]
    arguments = [command, *model, *target, "a.png"]
    return Case(arguments, {name: data, "net.py": samples.NETWORK.encode(), "a.png": samples.of("pictures")[0][1]})


def _options(rng: Random) -> Case:
    command = rng.choice(("image", "image", "video", "gif", "compare", "layers", "models", "methods"))
    files = {
        "a.png": samples.of("pictures")[0][1],
        "a.gif": samples.of("gifs")[0][1],
        "a.mp4": samples.of("videos")[0][1],
        "net.pth": samples.of("weights")[0][1],
        "labels.txt": samples.of("labels")[0][1],
        "net.py": samples.NETWORK.encode(),
        "list.txt": rng.choice((b"a.png\n", b"a.png\0", b"\xff\n\n-\n", b"a.gif\na.mp4\n", b"", b"#\n", b"no/such\n")),
        "sub/a.png": samples.of("pictures")[1][1],
    }
    names = {
        "video": ("a.mp4", "a.mp4", "a.gif", "sub"), "gif": ("a.gif", "a.gif", "a.png"),
        "layers": ("tiny", "net.py:build", "nosuch"), "models": ("tiny", "*"), "methods": ("",),
    }.get(command, ("a.png", "a.png", "sub", ".", "*.png", "-"))  # fmt: skip
    inputs = [name for name in (rng.choice(names),) if name]
    if rng.random() < 0.15:
        inputs.append(rng.choice((*names, *WANTED["output_dir"], *NAMES)) or "a")
    most = 3 if rng.random() < 0.7 else 8
    small = [] if command in {"models", "methods"} else ["--input-size", "32"]
    return Case(
        [command, *small, *arguments_for(command, rng, most), *inputs], files, stdin=samples.of("pictures")[0][1]
    )


KINDS: dict[str, Callable[[Random], Case]] = {
    "pictures": _media("image", "pictures", "--save", "overlay"),
    "gifs": _media("gif", "gifs", "--save", "overlay"),
    "videos": _media("video", "videos", "--save", "overlay", "--max-size", "48", "--end", "0.5"),
    "weights": _weights,
    "labels": _labels,
    "options": _options,
}
SAMPLE_KINDS = tuple(kind for kind in KINDS if kind != "options")
