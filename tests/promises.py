"""What a user is promised of any run, looked at from outside: what it says, and whether its files are whole."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import av
import numpy as np
from PIL import Image

if TYPE_CHECKING:
    from collections.abc import Collection
    from pathlib import Path

CODES = {0, 1, 2, 3}
"""With which a run ends that nobody has interrupted."""

_FAULTS = ("Traceback (most recent", "fault of gradcam")
_STILLS = {".png", ".jpg", ".webp", ".gif"}


def told_wrong(code: int, err: str, codes: Collection[int] = CODES) -> list[str]:
    """Return what is wrong with an exit code, which is to be one of ``codes``, and with what stderr says."""
    lines = err.splitlines()
    found = [line for line in lines if any(fault in line for fault in _FAULTS)]
    if code not in codes:
        found.append(f"exit code {code}")
    errors = [k for k, line in enumerate(lines) if line.startswith("error: ")]
    found += [f"no hint: {lines[k]}" for k in errors if not "".join(lines[k + 1 : k + 2]).startswith("  hint: ")]
    if code and not errors:
        found.append(f"exit code {code} without a word")
    if not code and errors:
        found.append(f"exit code 0 in spite of {lines[errors[0]]}")
    return found


def told_json(text: str) -> tuple[list[str], list[str]]:
    """Return the files that the objects on stdout name, and what is wrong with them."""
    told, wrong = [], []
    for line in text.split("\n")[:-1]:
        try:
            record = json.loads(line, parse_constant=_refuse)
            told += record.get("files", {}).values()
            if ("error" in record) == ("files" in record):
                wrong.append(f"neither files nor error: {line}")
        except ValueError as error:  # noqa: PERF203
            wrong.append(f"not JSON ({error}): {line}")
    return told, wrong


def told_paths(text: str, made: set[Path], folder: Path) -> tuple[list[str], list[str]]:
    """Return those of the files there that stdout names, and what else is on it; names may hold line feeds."""
    told, rest = [], f"\n{text}"
    for name in sorted((str(path.relative_to(folder)) for path in made), key=len, reverse=True):
        if f"\n{name}\n" in rest:
            rest = rest.replace(f"\n{name}\n", "\n", 1)
            told.append(name)
    return told, [f"told but not there: {rest.strip()}"] if rest.strip("\n") else []


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is no JSON")


def unreadable(path: Path) -> str:
    """Return why a result cannot be decoded to its end, or nothing."""
    try:
        if path.suffix in _STILLS:
            with Image.open(path) as image:
                for k in range(getattr(image, "n_frames", 1)):
                    image.seek(k)
                    image.load()
        elif path.suffix == ".npy":
            np.load(path)
        elif path.suffix == ".json":
            json.loads(path.read_bytes(), parse_constant=_refuse)
        elif path.suffix == ".mp4":
            with av.open(f"file:{path}") as container:
                assert sum(1 for _ in container.decode(video=0)), "no frame"
        else:
            assert path.suffix == ".pdf", "unknown"
            assert path.read_bytes().rstrip().endswith(b"%%EOF"), "cut off"
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return ""
