"""Reads the tensors of a checkpoint without ever running code from the file."""

from __future__ import annotations

import io
import json
import pickle
import re
import warnings
import zipfile
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from gradcam_cli.errors import ModelError
from gradcam_cli.models.checkpoints.metadata import CheckpointMetadata, find_metadata, from_metadata
from gradcam_cli.models.files import require_regular, unreadable
from gradcam_cli.models.untrusted.pickle_cost import CallError, Checked, CostlyError, check_pickle
from gradcam_cli.models.untrusted.safe_globals import Placeholder, placeholders, safe_globals
from gradcam_cli.text import printable, quoted

if TYPE_CHECKING:
    from pathlib import Path

RESAVE = "save only the tensors where it was made: torch.save(model.state_dict(), FILE)"
AGAIN = "copy or download it again"

WRAPPERS = (
    "state_dict",
    "model_state_dict",
    "model_state",
    "model",
    "network",
    "net",
    "module",
    "weights",
    "params",
    "state_dict_ema",
    "model_ema",
    "ema",
)
"""Keys under which training scripts store the state dict, in order of preference."""

_MAX_LAYERS = 20
"""Of dictionaries around the state dict; one can hold itself."""

_ZIP = (b"PK\x03\x04", b"PK\x05\x06")
_PICKLE = b"\x80"
_COMPRESSED = (b"\x1f\x8b", b"BZh", b"\xfd7zXZ", b"\x28\xb5\x2f\xfd", b"7z\xbc\xaf", b"Rar!")
_TAR = slice(257, 262)
_REFUSED_CLASS = re.compile(r"GLOBAL (\S+)")
_REFUSED_ITEMS = "append/extend lists"
"""Words of torch's unpickler for a subclass of list, of which it takes no items."""


@dataclass(frozen=True)
class Checkpoint:
    """The content of a file.

    Attributes:
        tensors: by name, on the CPU.
        metadata: the file's other information.
    """

    tensors: dict[str, Tensor]
    metadata: CheckpointMetadata


def read_checkpoint(path: Path) -> Checkpoint:
    """Return the tensors of a ``.pth``, ``.pt``, ``.ckpt`` or ``.safetensors`` file, and its metadata.

    The kind is determined by the content, not by the suffix. Zip checkpoints are mapped into memory, not copied, so the
    file must not be rewritten in place while its tensors are in use. Wrappers around the state dict are removed;
    prefixes of the names are kept.

    Raises:
        ModelError: the file cannot be read, is damaged, contains objects other than tensors, or no state dict.
    """
    require_regular(path, "weights")
    try:
        with open(path, "rb") as file:
            head = file.read(512)
    except OSError as error:
        raise unreadable(path, "weights", error) from error
    content, metadata = _read(path, head)
    layers = _unwrapped(content)
    return Checkpoint(_tensors(path, layers[-1]), metadata or find_metadata(*layers))


def read_state_dict(path: Path) -> dict[str, Tensor]:
    """Return only the tensors from ``read_checkpoint``, with the same errors."""
    return read_checkpoint(path).tensors


def _error(path: Path, problem: str, hint: str) -> ModelError:
    return ModelError(f"weights {quoted(path)}: {problem}", hint)


def _read(path: Path, head: bytes) -> tuple[object, CheckpointMetadata | None]:
    """Read the file's content with the reader that its first bytes require; return it and any separate metadata."""
    if head.startswith(_ZIP):
        _check_archive(path)
        return _read_torch(path, mmap=True), None
    if not head:
        raise _error(path, "the file is empty", AGAIN)
    if _is_safetensors(head):  # before pickles, as the low byte of the header's length can look like one
        return _read_safetensors(path)
    if head.startswith(_PICKLE) and head[_TAR] != b"ustar":
        return _read_torch(path, mmap=False), None
    if head.startswith(b"version https://git-lfs"):
        raise _error(path, "a Git LFS pointer, not the file itself", "fetch the file with: git lfs pull")
    if head.startswith(_COMPRESSED) or head[_TAR] == b"ustar":
        raise _error(path, "an archive, not a checkpoint", "unpack it, and give the checkpoint that is in it")
    if head.lstrip().startswith(b"<"):
        raise _error(path, "a web page, not a checkpoint", "download the file itself, not the page about it")
    if path.suffix.lower() == ".safetensors":
        raise _error(path, "not a safetensors file", AGAIN)
    raise _error(path, "not a PyTorch or safetensors checkpoint", "give a .pth, .pt, .ckpt or .safetensors file")


def _is_safetensors(head: bytes) -> bool:
    """Return whether a length that a file can have (eight bytes, little endian) is followed by a JSON object."""
    return head[8:9] == b"{" and int.from_bytes(head[:8], "little") < 1 << 40


def _check_archive(path: Path) -> None:
    """Refuse zip files that torch.load would reject, or would read in an undesirable way."""
    try:
        with zipfile.ZipFile(path) as archive:
            entries = archive.infolist()
    except (OSError, ValueError, zipfile.BadZipFile, NotImplementedError) as error:
        raise _error(path, "the file is damaged or incomplete", AGAIN) from error
    names = {entry.filename.rpartition("/")[2] for entry in entries}
    if "constants.pkl" in names:
        raise _error(path, "a TorchScript program, which gives no access to its layers", RESAVE)
    # torch.save stores, never compresses: anything else is no checkpoint, and could expand to any size.
    if "data.pkl" not in names or any(entry.compress_type != zipfile.ZIP_STORED for entry in entries):
        raise _error(path, "a zip file, but not one that torch.save writes", "give a checkpoint file, unpacked")
    if members_overlap(entries, path):
        raise _error(path, "a zip file whose members overlap, so that it unfolds to more than it holds", AGAIN)


def members_overlap(entries: list[zipfile.ZipInfo], path: Path) -> bool:
    """Return whether a zip file's uncompressed members are larger in total than the file."""
    return sum(entry.file_size for entry in entries) > path.stat().st_size


_LEGACY_PICKLES = 5
"""Before version 1.6 torch wrote five pickles: a number, a version, a system, the content, the storages' names."""


def _check_pickles(path: Path, *, zipped: bool) -> list[Checked]:
    """Check the pickles in a file, and refuse those whose cost is out of all proportion to their size."""
    checked: list[Checked] = []
    try:
        with open(path, "rb") as file:
            if zipped:  # by torch's own reader, so that the checked bytes are the ones loaded
                return [check_pickle(io.BytesIO(torch._C.PyTorchFileReader(file).get_record("data.pkl")))]
            while len(checked) < _LEGACY_PICKLES and (not checked or checked[-1].whole):
                checked.append(check_pickle(file))
    except CallError as error:
        raise _forbidden(path, str(error)) from error
    except CostlyError as error:
        raise _error(path, f"its pickle unfolds to far more than it holds ({error})", RESAVE) from error
    except (RuntimeError, OSError, ValueError) as error:  # torch's reader may be sent to a place that cannot be
        raise _error(path, "the file is damaged or incomplete", AGAIN) from error
    return checked


def _forbidden(path: Path, name: str) -> ModelError:
    return _error(path, f"holds a pickled {printable(name[:80])}, which could run code; only tensors are read", RESAVE)


def _read_torch(path: Path, *, mmap: bool) -> object:
    allowed = [*safe_globals(), *placeholders(_check_pickles(path, zipped=mmap))]
    with torch.serialization.safe_globals(allowed), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            if _is_utf8(path):
                return torch.load(path, map_location="cpu", weights_only=True, mmap=mmap)
            with open(path, "rb") as file:
                return torch.load(file, map_location="cpu", weights_only=True)
        except pickle.UnpicklingError as error:
            refused = _REFUSED_CLASS.search(str(error))
            if refused is None and _REFUSED_ITEMS in str(error):
                raise _error(path, "holds a list of a class of its own, whose items cannot be read", RESAVE) from error
            if refused is None:
                raise _error(path, "the file is damaged or not a checkpoint", AGAIN) from error
            raise _forbidden(path, refused[1]) from error
        except Exception as error:  # a damaged file makes the unpickler fail in any way
            raise _error(path, "the file is damaged or incomplete", AGAIN) from error


def _is_utf8(path: Path) -> bool:
    """Return whether the readers of torch and safetensors, which take only UTF-8, can open a file by its name."""
    try:
        str(path).encode()
    except UnicodeEncodeError:
        return False
    return True


def _read_safetensors(path: Path) -> tuple[object, CheckpointMetadata]:
    from safetensors import safe_open
    from safetensors.torch import load, load_file

    try:
        if not _is_utf8(path):
            data = path.read_bytes()
            header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
            return load(data), from_metadata(header.get("__metadata__", {}))
        with safe_open(path, "pt") as file:
            metadata = file.metadata() or {}
        return load_file(path), from_metadata(metadata)
    except Exception as error:  # the reader's own type is not public in every version, and KeyError means a new dtype
        raise _error(path, "not a whole safetensors file", AGAIN) from error


def _unwrapped(content: object) -> list[object]:
    """Return the dictionaries that training scripts put around the state dict, outermost first, then the state dict."""
    layers = [content]
    while isinstance(content, dict):
        inner = next((content[key] for key in WRAPPERS if isinstance(content.get(key), dict) and content[key]), None)
        if inner is None or any(inner is layer for layer in layers) or len(layers) == _MAX_LAYERS:
            break
        content = inner
        layers.append(content)
    return layers


def _tensors(path: Path, content: object) -> dict[str, Tensor]:
    objects = [content, *(content.get(key) for key in WRAPPERS)] if isinstance(content, dict) else [content]
    if pickled := next((each for each in objects if isinstance(each, Placeholder)), None):
        raise _forbidden(path, pickled.path)
    if not isinstance(content, dict):
        raise _error(path, f"holds a {type(content).__name__}, not a state dict", RESAVE)
    tensors = {key: value for key, value in content.items() if isinstance(key, str) and isinstance(value, Tensor)}
    # An entry that is no tensor is bookkeeping (an epoch, …) unless it is named like a parameter.
    wrong = [key for key in content if key not in tensors and (not tensors or (isinstance(key, str) and "." in key))]
    wrong += [key for key, tensor in tensors.items() if not is_plain(tensor)]
    if wrong:
        found = ", ".join(f"{quoted(key)} ({_kind(content[key])})" for key in wrong[:3])
        raise _error(path, f"holds no state dict, but {found}{', …' if len(wrong) > 3 else ''}", RESAVE)
    if not tensors:
        raise _error(path, "holds no tensors", RESAVE)
    # In files from before version 1.6, a tensor that is larger than its data makes torch enlarge the data.
    held = {tensor.untyped_storage().data_ptr(): tensor.untyped_storage().nbytes() for tensor in tensors.values()}
    if sum(held.values()) > path.stat().st_size:
        raise _error(path, "its tensors are larger than their data", AGAIN)
    return tensors


def is_plain(tensor: Tensor) -> bool:
    """Return whether a tensor is ordinary, and no larger than its data in the file (``expand`` can state any size)."""
    if tensor.layout != torch.strided or tensor.device.type != "cpu" or tensor.is_quantized:
        return False
    return tensor.numel() * tensor.element_size() <= tensor.untyped_storage().nbytes()


def _kind(value: Any) -> str:  # noqa: ANN401
    return "sparse, quantised, expanded or empty tensor" if isinstance(value, Tensor) else type(value).__name__
