"""Weights of transformers' networks: all of them from the folder's safetensors, or an error."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

import torch
from huggingface_hub import constants

from gradcam_cli.errors import ModelError
from gradcam_cli.models.checkpoints.fit import few
from gradcam_cli.text import printable, quoted

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import Tensor

    from gradcam_cli.models.sources.hugging_face.folder import Folder


_WRAPPERS = ("module.", "_orig_mod.")
"""What DataParallel and torch.compile put before all names."""


def loaded(kind: Any, folder: Folder, config: Any) -> tuple[Any, tuple[str, ...]]:  # noqa: ANN401
    """Return a network with its weights, in float32, and notes; nothing is downloaded or executed.

    Args:
        kind: transformers' class for all networks of a task.
        folder: the folder.
        config: its configuration.

    Raises:
        ModelError: the weights cannot be read, or are not all there: transformers would make up the others.
    """
    try:
        with offline():
            module, found = kind.from_pretrained(
                folder.path, config=config, local_files_only=True, trust_remote_code=False, use_safetensors=True,
                dtype=torch.float32, output_loading_info=True, ignore_mismatched_sizes=True,
            )  # fmt: skip
    except Exception as error:  # transformers raises many kinds for files that are damaged or do not fit
        raise ModelError(
            f"weights {quoted(folder.weights)} cannot be used: {two_lines(error)}", "copy or save the folder again"
        ) from error
    if found["mismatched_keys"]:
        key, theirs, own = sorted(map(tuple, found["mismatched_keys"]))[0]
        raise ModelError(
            f"weights {quoted(folder.weights)} do not fit config.json: {printable(str(key))} is {tuple(theirs)} where "
            f"the network has {tuple(own)}",
            "copy or save the folder again",
        )
    lacking = sorted(map(str, found["missing_keys"]))
    if lacking:
        raise ModelError(
            f"weights {quoted(folder.weights)} lack {few(lacking)}, which would be random",
            "give a folder that a trained classifier was saved in",
        )
    unused = sorted(found["unexpected_keys"])
    notes = (f"ignored in the weights, being no part of the network: {few(unused)}",) if unused else ()
    return module.eval().requires_grad_(False), notes


def translated(kind: Any, config: Any, tensors: dict[str, Tensor]) -> dict[str, Tensor]:  # noqa: ANN401
    """Return a checkpoint's tensors by the names that its network has in this version of transformers.

    Files have the names of earlier versions. Tensors that transformers cannot place are returned as they are.

    Args:
        kind: the network's class.
        config: its configuration; the number of classes may be another.
        tensors: the checkpoint.
    """
    plain = dict(tensors)
    while plain and all(key.startswith(_WRAPPERS) for key in plain):
        plain = {key.partition(".")[2]: tensor for key, tensor in plain.items()}
    try:
        with offline():
            module, found = kind.from_pretrained(
                None, config=config, state_dict=dict(plain), output_loading_info=True, ignore_mismatched_sizes=True
            )
    except Exception:  # of tensors of any kind
        return tensors
    if found["missing_keys"]:
        return tensors
    other = {str(key) for key, *_ in found["mismatched_keys"]}
    state: dict[str, Tensor] = module.state_dict()
    if not other <= plain.keys():
        return tensors
    return {key: plain[key] if key in other else tensor for key, tensor in state.items()}


@contextlib.contextmanager
def offline() -> Iterator[None]:
    """Let the hub's client fetch nothing, whatever a configuration names."""
    before = constants.HF_HUB_OFFLINE
    constants.HF_HUB_OFFLINE = True
    try:
        yield
    finally:
        constants.HF_HUB_OFFLINE = before


def two_lines(error: BaseException) -> str:
    """Return the first two lines of an error, as its first may only announce it."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return printable(" ".join(lines[:2])[:300]) or type(error).__name__
