"""Small disks in memory, for who may mount them."""

from __future__ import annotations

import subprocess
import tempfile
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

ENOUGH = "64m"


@contextmanager
def disk(place: Path, options: str) -> Iterator[None]:
    """Mount a disk at a folder, made where missing; the folder is empty again afterwards."""
    place.mkdir(exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "none", str(place)], check=True, capture_output=True)
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(place)], check=True)


def change(place: Path, options: str) -> bool:
    """Change how a disk is mounted; False when that cannot be, since files on it are open."""
    command = ["mount", "-o", f"remount,{options}", str(place)]
    return subprocess.run(command, check=False, capture_output=True).returncode == 0


def may_mount() -> bool:
    """Whether this process may mount disks."""
    with tempfile.TemporaryDirectory() as folder:
        try:
            done = subprocess.run(
                ["mount", "-t", "tmpfs", "-o", "size=64k", "none", folder], check=False, capture_output=True
            )
        except FileNotFoundError:
            return False
        if done.returncode == 0:
            subprocess.run(["umount", folder], check=True)
        return done.returncode == 0
