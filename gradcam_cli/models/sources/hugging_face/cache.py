"""The networks of transformers that are in the Hugging Face hub's cache, for a listing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from huggingface_hub import scan_cache_dir
from huggingface_hub.errors import CacheNotFound

from gradcam_cli.models.architecture import ModelEntry
from gradcam_cli.models.checkpoints.hub_files import WEIGHTS, transformers_config
from gradcam_cli.models.sources.hugging_face.folder import PREFIX

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from huggingface_hub import CachedRevisionInfo

_CLASSIFIER = "ForImageClassification"
_COMPARES = ("CLIPModel", "SiglipModel")


def entries(wanted: Callable[[str], bool]) -> list[ModelEntry]:
    """List the networks whose weights are in the cache, by name.

    Args:
        wanted: returns whether a name, without ``hf:``, is to be listed.
    """
    try:
        repositories = sorted(scan_cache_dir().repos, key=lambda each: each.repo_id)
    except CacheNotFound:
        repositories = []
    listed = []
    for each in repositories:
        found = [entry for revision in each.revisions for entry in _entry(each.repo_id, revision)]
        if each.repo_type == "model" and found and wanted(each.repo_id):
            listed.append(found[0])
    return listed


def _entry(name: str, revision: CachedRevisionInfo) -> Iterator[ModelEntry]:
    """Yield the entry of a revision, if it is that of a network that can be explained."""
    config: dict[str, Any] = transformers_config(revision.snapshot_path)
    kinds, vision = config.get("architectures"), config.get("vision_config")
    kind = str(kinds[0]) if isinstance(kinds, list) and kinds else ""
    stored = [file for file in revision.files if file.file_name.endswith(".safetensors")]
    if not stored or not (_CLASSIFIER in kind or kind in _COMPARES):
        return
    if not any((revision.snapshot_path / file).exists() for file in WEIGHTS):
        return
    side = config.get("image_size") or (vision.get("image_size") if isinstance(vision, dict) else None)
    size = sum(file.size_on_disk for file in stored) / (1 << 20)
    yield ModelEntry(PREFIX + name, size, None, None, side if isinstance(side, int) else 224, cached=True)
