"""The Hugging Face hub's cache, and downloads into it; its client is imported here only, and need not be installed."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from huggingface_hub import get_hf_file_metadata, hf_hub_download, hf_hub_url, snapshot_download, try_to_load_from_cache
from huggingface_hub.utils import EntryNotFoundError

from gradcam_cli.errors import ModelError
from gradcam_cli.models.download import TIMEOUT
from gradcam_cli.text import first_line, quoted

if TYPE_CHECKING:
    from collections.abc import Iterable

GIVE_WEIGHTS = "give {weights} FILE with a checkpoint you have, or use {model} tiny (bundled)"
_ERROR_NUMBER = re.compile(r"^\[Errno -?\d+\] ")


def cached(name: str, files: Iterable[str]) -> Path | None:
    """Return the first of the files that is in the cache, or None.

    Args:
        name: ``owner/repository``, with ``@revision`` behind it where that is not the newest.
        files: names in the repository, in the order in which they are looked for.
    """
    repository, _, revision = name.partition("@")
    for file in files:
        found = try_to_load_from_cache(repository, file, revision=revision or None)
        if isinstance(found, str):
            return Path(found)
    return None


def download(name: str, files: Iterable[str], patterns: list[str] | None = None) -> Path:
    """Download the first of the files that the repository has, into the cache, and return its path.

    The hub's client retries for half a minute, so it is used only after a short request was answered.

    Args:
        name: ``owner/repository`` or ``owner/repository@revision``.
        files: names in the repository, in the order in which they are looked for.
        patterns: globs of what else is downloaded.

    Raises:
        ModelError: it has none of them, or the hub cannot be reached.
    """
    repository, _, revision = name.partition("@")
    try:
        for file in files:
            try:
                get_hf_file_metadata(hf_hub_url(repository, file, revision=revision or None), timeout=TIMEOUT)
            except EntryNotFoundError:
                continue
            if patterns is not None:
                return Path(snapshot_download(repository, revision=revision or None, allow_patterns=patterns), file)
            return Path(hf_hub_download(repository, file, revision=revision or None))
    except Exception as error:  # what the client raises depends on its version
        reason = _ERROR_NUMBER.sub("", first_line(error))
        raise ModelError(
            f"cannot download {quoted(repository)} from the Hugging Face hub: {reason}", GIVE_WEIGHTS
        ) from error
    reason = "it has no weights file that is known"
    raise ModelError(f"cannot download {quoted(repository)} from the Hugging Face hub: {reason}", GIVE_WEIGHTS)
