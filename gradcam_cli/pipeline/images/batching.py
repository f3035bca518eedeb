"""Batches of pictures of one input size; only the order of the inputs decides which pictures share one."""

from __future__ import annotations

import sys
from collections import deque
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

if TYPE_CHECKING:
    from gradcam_cli.records import Size


class _Gathered(Protocol):
    @property
    def nbytes(self) -> int:
        """Bytes of the decoded picture."""

    @property
    def input_size(self) -> Size:
        """(height, width) of the network's input."""


Item = TypeVar("Item", bound=_Gathered)


class Batches(Generic[Item]):
    """Collects pictures until there are enough of one input size; every input has to be added, in order.

    Args:
        batch_size: most pictures in a batch.
        window: number of inputs, from the first waiting picture on, after which its batch is due.
        max_bytes: bytes of their decoded pictures, after which its batch is due too.
    """

    def __init__(self, batch_size: int, window: int, max_bytes: int) -> None:
        self.due: deque[list[tuple[int, Item]]] = deque()
        """Batches that are ready to be explained."""
        self._groups: dict[Size, list[tuple[int, Item]]] = {}  # input size → waiting pictures, longest wait first
        self._since: deque[tuple[int, int]] = deque()  # position and bytes of each input since the first waiting one
        self._batch_size, self._window, self._max_bytes = batch_size, window, max_bytes

    def add(self, position: int, item: Item | None) -> None:
        """Add the next input, None for one that could not be read."""
        self._since.append((position, 0 if item is None else item.nbytes))
        if item is not None:
            size = item.input_size
            self._groups.setdefault(size, []).append((position, item))
            if len(self._groups[size]) == self._batch_size:
                self._make_due(size)
        self._forget()
        while self._groups and (
            len(self._since) >= self._window or sum(each for _, each in self._since) >= self._max_bytes
        ):
            self._make_due(self._first())
            self._forget()

    def flush(self) -> None:
        """Make all waiting pictures due: there are no more inputs."""
        while self._groups:
            self._make_due(self._first())
        self._forget()

    def clear(self) -> None:
        """Drop all pictures."""
        self.due.clear()
        self._groups.clear()

    def _first(self) -> Size:
        """Return the input size of the picture that has waited longest."""
        return min(self._groups, key=lambda size: self._groups[size][0][0])

    def _make_due(self, size: Size) -> None:
        self.due.append(self._groups.pop(size))

    def _forget(self) -> None:
        waiting = self._groups[self._first()][0][0] if self._groups else sys.maxsize
        while self._since and self._since[0][0] < waiting:
            self._since.popleft()
