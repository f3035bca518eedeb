"""Pictures gathered into batches of one input size, as the inputs' order alone decides."""

from __future__ import annotations

import sys
from collections import deque
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

if TYPE_CHECKING:
    from gradcam_cli.records import Size


class _Gathered(Protocol):
    @property
    def nbytes(self) -> int:
        """Of the decoded picture."""

    @property
    def input_size(self) -> Size:
        """(height, width) of what the network sees."""


Item = TypeVar("Item", bound=_Gathered)


class Batches(Generic[Item]):
    """Pictures that wait for company of their own input size; to be told of every input, in order.

    Args:
        batch_size: pictures in a batch, at most.
        window: inputs, from the first that waits on, after which it waits no longer.
        max_bytes: of decoded pictures after which it does not either.
    """

    def __init__(self, batch_size: int, window: int, max_bytes: int) -> None:
        self.due: deque[list[tuple[int, Item]]] = deque()
        """Batches to be explained."""
        self._groups: dict[Size, list[tuple[int, Item]]] = {}  # input size → who waits, longest first
        self._since: deque[tuple[int, int]] = deque()  # position and bytes of each input since the first that waits
        self._batch_size, self._window, self._max_bytes = batch_size, window, max_bytes

    def add(self, position: int, item: Item | None) -> None:
        """Take over an input, None for one that could not be read."""
        self._since.append((position, 0 if item is None else item.nbytes))
        if item is not None:
            size = item.input_size
            self._groups.setdefault(size, []).append((position, item))
            if len(self._groups[size]) == self._batch_size:
                self._call(size)
        self._forget()
        while self._groups and (
            len(self._since) >= self._window or sum(each for _, each in self._since) >= self._max_bytes
        ):
            self._call(self._first())
            self._forget()

    def flush(self) -> None:
        """Let nobody wait: there are no more inputs."""
        while self._groups:
            self._call(self._first())
        self._forget()

    def clear(self) -> None:
        """Forget everybody."""
        self.due.clear()
        self._groups.clear()

    def _first(self) -> Size:
        """Return the input size of who has waited longest."""
        return min(self._groups, key=lambda size: self._groups[size][0][0])

    def _call(self, size: Size) -> None:
        self.due.append(self._groups.pop(size))

    def _forget(self) -> None:
        waiting = self._groups[self._first()][0][0] if self._groups else sys.maxsize
        while self._since and self._since[0][0] < waiting:
            self._since.popleft()
