"""Memory settings of the command's process: they only make it faster, and are no part of the library."""

from __future__ import annotations

import contextlib
import gc


def hold_memory() -> None:
    """Make glibc keep freed memory, up to a gigabyte, for the next batch or frame, and for any thread.

    Otherwise it goes back to the system and is faulted in again: a tenth to a fifth of a small network's time. Blocks
    of more than 32 MiB still go back at once. Call this before threads start: afterwards each keeps its own memory.
    """
    import ctypes

    trim_threshold, mmap_threshold, arena_max = -1, -3, -8  # mallopt's numbers
    with contextlib.suppress(AttributeError, OSError, TypeError):  # there is no glibc here
        libc = ctypes.CDLL(None)
        libc.mallopt(trim_threshold, 1 << 30)
        libc.mallopt(mmap_threshold, 32 << 20)
        libc.mallopt(arena_max, 1)


def collect_from_now() -> None:
    """Enable garbage collection, which `main` has disabled, but exclude the objects that exist by now.

    They are imported modules, which stay; scanning them during the imports takes a tenth of a short command's time.
    """
    if not gc.isenabled():
        gc.freeze()
        gc.enable()
