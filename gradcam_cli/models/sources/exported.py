"""Networks from torch.export archives (.pt2): a graph with its weights, in its original tree of modules."""

from __future__ import annotations

import logging
import warnings
import zipfile
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from gradcam_cli.errors import ModelError
from gradcam_cli.models.checkpoints.read import is_plain, members_overlap
from gradcam_cli.models.network import Network, Weights
from gradcam_cli.models.untrusted.export_archive import RefusedError, is_archive, sanitized
from gradcam_cli.records import Preset
from gradcam_cli.text import printable, quoted

if TYPE_CHECKING:
    import io
    from pathlib import Path

    from torch import nn

RESAVE = "where it was made, save the weights instead: torch.save(model.state_dict(), FILE)"


Shape = tuple["int | None", "int | None", "int | None", "int | None"]
"""(N, C, H, W), None where it is free."""


class _ShapeCheck:
    """Hook that rejects inputs of another shape, which an exported graph does not always check itself."""

    def __init__(self, shape: Shape) -> None:
        self._shape = shape

    def __call__(self, _: nn.Module, args: tuple[Any, ...]) -> None:
        given = args[0].shape
        if any(wanted not in (None, side) for wanted, side in zip(self._shape, given, strict=True)):
            sides = ("×".join("any" if side is None else str(side) for side in shape) for shape in (self._shape, given))
            raise ValueError("it was exported for an input of {}, not {}".format(*sides))


def is_exported(path: Path) -> bool:
    """Whether a file is a torch.export archive, by its content; False also for unreadable files."""
    if not path.is_file():  # opening a pipe would wait for its other end
        return False
    try:
        with zipfile.ZipFile(path) as archive:
            return is_archive({name.partition("/")[2] or name for name in archive.namelist()})
    except (OSError, ValueError, zipfile.BadZipFile, NotImplementedError):
        return False


def load_exported(path: Path) -> Network:
    """Return the network of an archive, in the exported tree of modules, its size as exported.

    Of its content, only tensor operations on an allow-list are run.

    Raises:
        ModelError: it is damaged, needs other operations, or is not a classifier of square pictures.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            if members_overlap(archive.infolist(), path):
                raise RefusedError("its members overlap, so that it unfolds to more than it holds")
            plain, program = sanitized(archive)
        shape = _input(program)
        module, usual = _module(plain), Preset(channels=shape[1] or 3)
        module.register_forward_pre_hook(_ShapeCheck(shape))
        preset = usual if shape[2] is None else replace(usual, resize=shape[2], crop=shape[2])
        return Network(
            module, "exported network", _classes(program, shape[0]), preset, None, Weights(printable(path), path),
            assumed=frozenset({"mean", "std"}), one_by_one=shape[0] is not None,
        )  # fmt: skip
    except RefusedError as error:
        problem = f"a torch.export archive that is not accepted: {printable(str(error))}"
        raise ModelError(f"weights {quoted(path)}: {problem}", RESAVE) from error
    except Exception as error:  # a damaged archive makes the reader fail in any way
        raise ModelError(
            f"weights {quoted(path)}: a torch.export archive that is damaged or of another version of PyTorch", RESAVE
        ) from error


def _module(plain: io.BytesIO) -> nn.Module:
    import torch

    logger = logging.getLogger("torch.export")
    level = logger.level
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        logger.setLevel(logging.CRITICAL)  # we report its error ourselves
        try:
            module = torch.export.unflatten(torch.export.load(plain))
        finally:
            logger.setLevel(level)
    for part in module.modules():
        # The nodes' metadata of the export, fake tensors among it, cannot be copied without complaint.
        graph = getattr(part, "graph", None)
        if isinstance(graph, torch.fx.Graph):
            for node in graph.nodes:
                node.meta = {}
    if not all(is_plain(tensor) for tensor in module.state_dict().values()):
        raise RefusedError("its tensors are larger than their data")
    return module.eval().float().requires_grad_(False)


def _input(program: dict[str, Any]) -> Shape:
    """Return the input's shape: one or any number of square pictures with one or three channels."""
    graph, signature = program["graph_module"]["graph"], program["graph_module"]["signature"]
    names = [
        spec["user_input"]["arg"].get("as_tensor", {}).get("name")
        for spec in signature["input_specs"]
        if "user_input" in spec
    ]
    shape = [_side(size) for size in graph["tensor_values"][names[0]]["sizes"]] if names and names[0] else []
    if len(names) != 1 or len(shape) != 4 or shape[1] not in (1, 3):
        raise RefusedError("its input is not a batch of pictures with one or three channels")
    batch, channels, height, width = shape
    if batch not in (None, 1):
        raise RefusedError(f"it takes {batch} pictures at a time only; export it for one, or for any number")
    if height != width:
        raise RefusedError(f"it takes pictures of {width or 'any'}×{height or 'any'} only, which are not square")
    return batch, channels, height, width


def _classes(program: dict[str, Any], pictures: int | None) -> int:
    """Return the number of class scores, those of a single picture also where their only dimension is the classes."""
    graph = program["graph_module"]["graph"]
    for spec in program["graph_module"]["signature"]["output_specs"]:
        name = spec.get("user_output", {}).get("arg", {}).get("as_tensor", {}).get("name")
        shape = [_side(size) for size in graph["tensor_values"][name]["sizes"]] if name else []
        while len(shape) > 2 and 1 in shape[1:]:  # dimensions of one are too many
            del shape[shape.index(1, 1)]
        if len(shape) in (1, 2):
            return (shape[-1] or 0) if len(shape) == 2 or pictures == 1 else 1
    raise RefusedError("its output has no class scores of shape (batch, classes)")


def _side(size: dict[str, Any]) -> int | None:
    """Return a fixed dimension, or None for a free one."""
    return size.get("as_int")
