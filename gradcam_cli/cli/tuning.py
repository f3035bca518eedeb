"""How the command's process uses memory: only makes it faster, and is no part of the library."""

from __future__ import annotations

import contextlib
import gc


def hold_memory() -> None:
    """Have glibc keep freed memory for the next batch or frame, up to a gigabyte, and for whichever thread wants it.

    Otherwise it goes back to the system and is faulted in anew: a tenth to a fifth of a small network's time. Blocks
    of more than 32 MiB still go back at once. To be called before there are threads: afterwards each keeps its own.
    """
    import ctypes

    trim_threshold, mmap_threshold, arena_max = -1, -3, -8  # mallopt's numbers
    with contextlib.suppress(AttributeError, OSError, TypeError):  # there is no glibc here
        libc = ctypes.CDLL(None)
        libc.mallopt(trim_threshold, 1 << 30)
        libc.mallopt(mmap_threshold, 32 << 20)
        libc.mallopt(arena_max, 1)


def collect_from_now() -> None:
    """Let garbage be collected again, which `main` has stopped, but of what is there look at nothing.

    It is imported modules, which stay: to look through them while they come in is a tenth of a short command's time.
    """
    if not gc.isenabled():
        gc.freeze()
        gc.enable()
