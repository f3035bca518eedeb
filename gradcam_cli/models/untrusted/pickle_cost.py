"""Cost of loading a checkpoint's pickle, computed from its opcodes before any object is built.

A pickle can refer to its earlier objects. Some hundred bytes can thus describe a tuple that contains another one twice,
and so on, thirty levels deep: hashing or printing it takes as long as if all copies existed. This module follows the
opcodes as torch's unpickler does, but keeps only the written-out size of each value.
"""

from __future__ import annotations

from _compat_pickle import IMPORT_MAPPING, NAME_MAPPING
from contextlib import suppress
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from typing import BinaryIO

_FREE = 200_000
_PER_BYTE = 4
"""Limits on values that are copied or hashed: a number for any pickle, and a further number per byte."""
_KEY = 500
"""Most values in a tuple that is a key of a dict."""
_UNEVEN = 10_000
"""Most values in all keys whose hashes a file can make equal, so that all keys are compared with one another."""
_CHUNK = 8
"""Characters of a string that count as one value."""

_CALLED = {
    "argparse.Namespace", "collections.Counter", "collections.OrderedDict", "builtins.complex", "builtins.set",
    "torch.Size", "torch.device", "torch.nn.parameter.Parameter", "torch.serialization._get_layout",
    "collections.defaultdict", "collections.deque", "numpy.dtype",
}  # fmt: skip
"""Names that may be called with any arguments, besides those that begin with one of `_CALLED_IN`."""
_CALLED_IN = ("torch._utils._rebuild_", "numpy.core.multiarray.", "numpy._core.multiarray.", "pathlib.")
_REAL = ("torch.", "collections.", "_codecs.", "copyreg.")
REAL_BUILTINS = {
    f"builtins.{name}"
    for name in ("bool", "bytearray", "complex", "dict", "float", "int", "list", "set", "str", "tuple")
}
"""The unpickler may call the real functions of these. All other names have placeholders, which ignore arguments."""
_HOSTILE = (
    "builtins.__import__", "builtins.breakpoint", "builtins.compile", "builtins.eval", "builtins.exec",
    "builtins.getattr", "builtins.open", "builtins.setattr", "code.", "ctypes.", "importlib.", "marshal.", "nt.", "os.",
    "posix.", "pty.", "runpy.", "shutil.", "socket.", "subprocess.", "sys.", "webbrowser.",
)  # fmt: skip
"""Placeholders would make calls of these inert. Exploits have them, training scripts do not: the file is refused."""
_MAX_NAMES = 1000
"""Most names in a pickle, since each may need a placeholder."""
_KEYED = {"collections.Counter", "collections.OrderedDict", "builtins.set"}
"""These use their arguments as keys."""
_INDIRECT = "torch._tensor._rebuild_from_type_v2"
"""This calls its first argument."""
_HASHED = {"builtins.complex", "torch.Size"}
"""These make hashable objects, which can be keys, from numbers in the file."""
_BYTES = {"_codecs.encode": {"latin1", "latin-1"}, "builtins.bytearray": {"latin1", "latin-1"}}
"""Allowed only with a text and its encoding; a number would be a size, and other encodings can take any time."""


class CostlyError(ValueError):
    """A small pickle that would expand to a large object."""


class CallError(ValueError):
    """A pickle with a forbidden call; the argument is the name called."""


class _Value(NamedTuple):
    """Properties of an immutable value.

    For a container, which grows, size and uneven are kept in a list, and for an object the name of its class, too.

    Attributes:
        size: number of values when written out.
        uneven: number of those whose hashes the file can choose.
        first: the name of a function; for a tuple that of its first item.
        last: a short text; for a tuple that of its last item.
        items: length of a tuple; -1 for other values.
    """

    size: int
    uneven: int
    first: str = ""
    last: str = ""
    items: int = -1


_Cell = list[Any]
_ATOM = _Value(1, 0)
_ODD = _Value(1, 1)
_NOTHING = _Value(1, 0, items=0)

_PLAIN = {ord("N"): 0, 0x88: 0, 0x89: 0, ord("J"): 4, ord("K"): 1, ord("M"): 2}
"""Opcodes of a single number or None → bytes of their argument."""
_TUPLES = {0x85: 1, 0x86: 2, 0x87: 3}


class Checked(NamedTuple):
    """The result of a check.

    Attributes:
        whole: whether the pickle's end was reached.
        names: dotted names of the classes and functions in it.
        mappings: those of them whose objects get items by key.
        sequences: those of them whose objects get items one after the other.
    """

    whole: bool
    names: set[str]
    mappings: set[str]
    sequences: set[str]


def check_pickle(file: BinaryIO) -> Checked:
    """Read one pickle, up to its end or to the point where torch's unpickler fails.

    Raises:
        CostlyError: it would take more time or memory than a multiple of its own size.
        CallError: it calls something that is not known to be cheap.
    """
    costs, whole = _Costs(file), False
    with suppress(IndexError, KeyError, UnicodeDecodeError, EOFError):  # the unpickler fails there too
        whole = costs.follow()
    return Checked(whole, costs.names, costs.mappings, costs.sequences)


class _Costs:
    """Follows a pickle's opcodes and limits their cost."""

    def __init__(self, file: BinaryIO) -> None:
        self._file, self._start = file, file.tell()
        self._spent, self._uneven = 0, _UNEVEN
        self._stack: list[Any] = []
        self._outer: list[list[Any]] = []
        self._memo: dict[int, Any] = {}
        self.names: set[str] = set()
        self.mappings: set[str] = set()
        self.sequences: set[str] = set()

    def follow(self) -> bool:
        """Follow the opcodes; return True at the end, False at an opcode that stops the unpickler."""
        read, memo = self._file.read, self._memo
        while code := read(1):
            op = code[0]
            if op in _PLAIN:
                read(_PLAIN[op])
                self._stack.append(_ATOM)
            elif op == 0x71 or op == 0x72:  # BINPUT, LONG_BINPUT
                memo[_number(read(1 if op == 0x71 else 4))] = self._stack[-1]
            elif op == 0x68 or op == 0x6A:  # BINGET, LONG_BINGET
                self._stack.append(memo[_number(read(1 if op == 0x68 else 4))])
            elif op == 0x58 or op == 0x55:  # BINUNICODE, SHORT_BINSTRING
                self._stack.append(_text(read(_number(read(4 if op == 0x58 else 1)))))
            elif op in _TUPLES:
                self._stack[-_TUPLES[op] :] = [_tuple(self._stack[-_TUPLES[op] :])]
            elif op == 0x2E:  # STOP
                return True
            elif not (self._contained(op) or self._made(op)):
                return False
        return False

    def _contained(self, op: int) -> bool:
        """Follow an opcode that makes or fills containers; return False for another."""
        if op == 0x28:  # MARK
            self._outer.append(self._stack)
            self._stack = []
        elif op == 0x74:  # TUPLE
            items = self._marked()
            self._stack.append(_tuple(items))
        elif op == 0x29:  # EMPTY_TUPLE
            self._stack.append(_NOTHING)
        elif op in (0x5D, 0x7D, 0x8F):  # EMPTY_LIST, EMPTY_DICT, EMPTY_SET
            self._stack.append([1, 0])
        elif op == 0x61:  # APPEND
            self._append([self._stack.pop()])
        elif op == 0x65:  # APPENDS
            self._append(self._marked())
        elif op == 0x73:  # SETITEM
            value, key = self._stack.pop(), self._stack.pop()
            self._set([key, value])
        elif op == 0x75:  # SETITEMS
            self._set(self._marked())
        else:
            return False
        return True

    def _made(self, op: int) -> bool:
        """Follow an opcode that makes objects or is not in `_PLAIN`; return False for another."""
        if op == 0x63:  # GLOBAL
            name = _global(self._file)
            self.names.add(name)
            if len(self.names) > _MAX_NAMES:
                raise CostlyError("too many names of classes and functions")
            self._stack.append(_Value(1, 0, name))
        elif op in (0x52, 0x81):  # REDUCE, NEWOBJ
            given, name = self._stack.pop(), _name(self._stack[-1])
            self._call(name, given)
            made = [1 + given[0], given[0] if name in _HASHED else 0, name]
            self._stack[-1] = _Value(made[0], 0, "", "bytes") if name == "_codecs.encode" else made
        elif op == 0x62:  # BUILD
            state = self._stack.pop()
            self._spend(state[0])
            if isinstance(state, list) or state.items == 2:
                self._hash(state)
        elif op == 0x51:  # BINPERSID
            self._spend(self._stack.pop()[0])
            self._stack.append(_ATOM)
        elif op == 0x47:  # BINFLOAT
            self._file.read(8)
            self._stack.append(_ODD)
        elif op == 0x8A:  # LONG1
            length = _number(self._file.read(1))
            self._file.read(length)
            self._stack.append(_ODD if length > 7 else _ATOM)
        elif op == 0x80:  # PROTO
            self._file.read(1)
        else:
            return False
        return True

    def _marked(self) -> list[Any]:
        items, self._stack = self._stack, self._outer.pop()
        return items

    def _fill(self, items: list[Any], hashed: list[Any] | None = None) -> None:
        """Add items to the container on the stack; ``hashed`` are those that can be hashed later, if not all."""
        cell = self._stack[-1]
        if isinstance(cell, list):
            cell[0] += sum([item[0] for item in items])
            cell[1] += sum([item[1] for item in (items if hashed is None else hashed)])

    def _append(self, items: list[Any]) -> None:
        self.sequences |= self._class_of_top()
        self._fill(items)

    def _class_of_top(self) -> set[str]:
        """Return the name of the class or function that has made the object on the stack, if one has."""
        return set(self._stack[-1][2:]) if isinstance(self._stack[-1], list) else set()

    def _set(self, pairs: list[Any]) -> None:
        self.mappings |= self._class_of_top()
        for key in pairs[::2]:
            self._hash(key)
            if isinstance(key, _Value) and key.items > 0 and key.size > _KEY:
                raise CostlyError("a key that is a large tuple")
        self._fill(pairs, pairs[::2])

    def _hash(self, value: _Value | _Cell) -> None:
        self._spend(value[0])
        self._uneven -= value[1]
        if self._uneven < 0:
            raise CostlyError("too many keys that are no strings")

    def _call(self, name: str, given: _Value | _Cell) -> None:
        if not _may_call(name, given if isinstance(given, _Value) else _ATOM):
            raise CallError(name or "call of what is no function")
        self._spend(given[0])
        if name in _KEYED:
            self._hash(given)

    def _spend(self, values: int) -> None:
        self._spent += values
        if self._spent > _FREE and self._spent > _FREE + _PER_BYTE * (self._file.tell() - self._start):
            raise CostlyError("the same values over and over")


def _number(data: bytes) -> int:
    if not data:
        raise EOFError
    return int.from_bytes(data, "little")


def _name(value: _Value | _Cell) -> str:
    return value.first if isinstance(value, _Value) and value.items < 0 else ""


def _may_call(name: str, given: _Value) -> bool:
    if name in _CALLED or name.startswith(_CALLED_IN):
        return True
    if name == _INDIRECT:
        return given.first.startswith("torch._utils._rebuild_")
    if name == "builtins.bytearray" and given.items == 1:
        return given.last == "bytes"
    if name in _BYTES and given.items == 2:
        return given.last in _BYTES[name]
    if name == "" or name.startswith(_HOSTILE):
        return False
    return given.items == 0 or not (name.startswith(_REAL) or name in REAL_BUILTINS)


def _text(data: bytes) -> _Value:
    if len(data) < _CHUNK:
        return _Value(1, 0, "", data.decode("utf-8", "replace"))
    return _Value(1 + len(data) // _CHUNK, 0)


def _tuple(items: list[Any]) -> _Value:
    """Return a tuple's properties: the hash of one with a single item is the item's, mixed; others may have any."""
    if not items:
        return _NOTHING
    size, first, last = 1, items[0], items[-1]
    for item in items:
        size += item[0]
    return _Value(
        size,
        1 + first[1] if len(items) == 1 else size,
        _name(first),
        last.last if isinstance(last, _Value) and last.items < 0 else "",
        len(items),
    )


def _global(file: BinaryIO) -> str:
    """Read a name, and translate names of Python 2 as torch's unpickler does."""
    module, name = (file.readline()[:-1].decode() for _ in range(2))
    module, name = NAME_MAPPING.get((module, name), (IMPORT_MAPPING.get(module, module), name))
    return f"{module}.{name}"
