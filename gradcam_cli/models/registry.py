"""The table of model sources: from a model's name to the module that describes it; reading it needs no torch.

A source is a module or package of ``models.sources`` with the interface `architecture.ModelSource` and one line in
``SOURCES``. Other packages add sources by entry points of the group ``gradcam.models``: an entry point called ``zoo``
serves the names ``zoo:NAME``.
"""

from __future__ import annotations

import os
from fnmatch import fnmatchcase
from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Final, cast

from gradcam_cli.errors import UsageError
from gradcam_cli.files import expanded
from gradcam_cli.models.spelling import close_to
from gradcam_cli.plugins import plugins
from gradcam_cli.text import quoted

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from gradcam_cli.models.architecture import Architecture, ModelEntry, ModelSource
    from gradcam_cli.plugins import Plugin

GROUP: Final = "gradcam.models"

AUTO = "auto"
TINY = "tiny"

AUTO_MODEL = "mobilenet_v2"
AUTO_WEIGHTS = "https://download.pytorch.org/models/mobilenet_v2-7ebf99e0.pth"
AUTO_DIGEST = "7ebf99e0"
"""torchvision's default weights of ``AUTO_MODEL``, written out so that offline use need not import torchvision."""

SOURCES = (
    "tiny",
    "torchvision",
    "timm",
    "hugging_face",
)
"""Modules of ``models.sources``; the first that a name matches describes it."""

FALLBACK = "user_code"
"""The source of every other name that may be one of code; other packages' sources come before it."""


class PluginSource:
    """A source of another package: an object with ``architecture(name, **arguments)``, optionally with ``entries``.

    ``name`` has no prefix. The result is an `Architecture`; the entries are `ModelEntry` records.

    Args:
        plugin: its origin.
    """

    LIBRARY = ""
    TAKES_ARGUMENTS = True
    TAKES_TEXTS = False

    def __init__(self, plugin: Plugin) -> None:
        self.plugin = plugin
        self.PREFIX = f"{plugin.name.lower()}:"

    def names(self) -> tuple[str, ...]:
        """Return an empty tuple: the package would have to be imported."""
        return ()

    def matches(self, spec: str) -> bool:
        """Whether a name begins with the prefix."""
        return spec.lower().startswith(self.PREFIX)

    def check(self, spec: str) -> str:
        """Return the name; the package is not imported."""
        return spec

    def architecture(self, spec: str, **arguments: object) -> Architecture:
        """Describe a network.

        Raises:
            UsageError: the package fails.
        """
        return cast("Architecture", self._called("architecture", spec[len(self.PREFIX) :], **arguments))

    def entries(self, wanted: Callable[[str], bool]) -> list[ModelEntry]:
        """List the networks that the package lists.

        Raises:
            UsageError: the package fails.
        """
        if not hasattr(self.plugin.load(), "entries"):
            return []
        return cast("list[ModelEntry]", self._called("entries", wanted))

    def _called(self, function: str, *given: object, **arguments: object) -> object:
        called = getattr(self.plugin.load(), function, None)
        if called is None:
            raise self.plugin.failure(f"it has no function {function}")
        return self.plugin.guarded(called, *given, **arguments)


def sources() -> list[ModelSource]:
    """Return all sources, those of other packages before user code and without those whose name is taken."""
    own = [_imported(name) for name in SOURCES]
    others = [PluginSource(plugin) for plugin in plugins(GROUP).values()]
    free = [each for each in others if not any(source.matches(each.PREFIX) for source in own)]
    return [*own, *free, _imported(FALLBACK)]


def _imported(name: str) -> ModelSource:
    return cast("ModelSource", import_module(f"{__package__}.sources.{name}"))


def source_of(name: str) -> ModelSource | None:
    """Return the source that describes the model called ``name``, or None; ours before those of other packages."""
    own = next((source for source in map(_imported, SOURCES) if source.matches(name)), None)
    return own or next((source for source in sources() if source.matches(name)), None)


def check_name(spec: str) -> str:
    """Return the model's name in its listed spelling; upper case is accepted.

    No model library is imported: of ``timm:NAME``, only the presence of timm is checked, of ``FILE.py:FUNCTION`` and
    ``package.module:CLASS`` only what is known without running them.

    Raises:
        UsageError: no such model; the hint has similar names.
    """
    name = expanded(spec.strip())
    if name.lower() == AUTO:
        return AUTO
    source = source_of(name)
    if source is not None:
        return source.check(name)
    if os.path.isfile(name):
        raise UsageError(
            f"model {quoted(spec)} is a file", "give it with {weights}, unless it is code: FILE.py:FUNCTION"
        )
    if os.path.isdir(name):
        raise UsageError(f"model {quoted(spec)} is a directory", "give it with {weights}")
    known = [AUTO, *(each for source in sources() for each in source.names())]
    hint = close_to(name, known) or "give auto, tiny or one that 'gradcam models' lists, such as resnet50"
    raise UsageError(f"unknown model {quoted(spec)}", hint)


def check_arguments(spec: str, arguments: Iterable[object]) -> None:
    """Check that arguments are given only to models that take them.

    Raises:
        UsageError: the model takes none.
    """
    if not list(arguments):
        return
    source = None if spec.lower() == AUTO else source_of(spec)
    if source is None or not source.TAKES_ARGUMENTS:
        raise UsageError(
            f"model {quoted(spec)} takes no arguments", "give them to code of your own: {model} FILE.py:FUNCTION"
        )


def check_texts(spec: str, texts: Sequence[str]) -> None:
    """Check that texts are given only to models that compare pictures with them.

    Raises:
        UsageError: the model does not.
    """
    source = source_of(spec)
    if texts and (source is None or not source.TAKES_TEXTS):
        raise UsageError(
            f"model {quoted(spec)} does not compare pictures with texts",
            "leave {text} out, or give CLIP or SigLIP: {model} hf:FOLDER",
        )


def describe(name: str, arguments: Mapping[str, object] | None = None, texts: Sequence[str] = ()) -> Architecture:
    """Return the description of the model called ``name``, which `check_name` has accepted.

    Args:
        name: of the model.
        arguments: for the user's own code.
        texts: the classes of a network that compares pictures with texts.

    Raises:
        UsageError: no such model, or arguments or texts for a model that takes none.
        ModelError: its code fails.
    """
    check_arguments(name, arguments or ())
    check_texts(name, texts)
    source = source_of(name)
    assert source is not None
    return source.architecture(name, **(arguments or {}), **({"texts": texts} if texts else {}))


def plugin_of(name: str) -> Plugin | None:
    """Return the package whose source describes the model called ``name``, or None where the source is ours."""
    source = source_of(name)
    return source.plugin if isinstance(source, PluginSource) else None


def is_user_code(name: str) -> bool:
    """Whether the model called ``name`` is made by code of the user's own."""
    return source_of(name) is _imported(FALLBACK)


def find_models(pattern: str = "") -> list[ModelEntry]:
    """List networks.

    Args:
        pattern: glob, or a part of the names; with a source's prefix in front (``timm:``), only that source is
            searched; its networks are too many to be listed otherwise.

    Raises:
        UsageError: a library is needed and not installed, or nothing matches.
    """
    rest = pattern.strip().lower()
    prefixed = next((source for source in sources() if source.PREFIX and rest.startswith(source.PREFIX)), None)
    searched = [source for source in sources() if not source.PREFIX]
    prefix = ""
    if prefixed is not None:
        searched, prefix = [prefixed], prefixed.PREFIX
        rest = rest.removeprefix(prefix)
    seen: list[str] = []
    glob = rest if set(rest) & set("*?[") else f"*{rest}*"

    def wanted(name: str) -> bool:
        seen.append(name)
        return fnmatchcase(name.lower(), glob)

    found = [entry for source in searched for entry in source.entries(wanted)]
    if not found and prefixed is not None and not seen:
        hint = f"give the name of one, as in {{model}} {prefix}NAME"
        raise UsageError(f"none of the networks {quoted(prefix)} is on this machine", getattr(prefixed, "HINT", hint))
    if not found:
        bases = list(dict.fromkeys(name.partition(".")[0] for name in seen))  # timm's end in the weights' tag
        close = close_to(rest.strip("*?"), bases, prefix)
        if not prefix and ":" in rest:
            prefixes = ", ".join(source.PREFIX for source in sources() if source.PREFIX)
            raise UsageError(
                f"there are no models {quoted(pattern.partition(':')[0] + ':')}", f"the prefixes are: {prefixes}"
            )
        raise UsageError(
            f"no model matches {quoted(pattern)}", close or "give a part of a name, or a glob such as 'resnet*'"
        )
    return found


def prefixes() -> list[str]:
    """Return the prefixes of sources that are listed on their own, where their library is installed."""
    found = (source for source in sources() if source.PREFIX)
    return [source.PREFIX for source in found if not source.LIBRARY or find_spec(source.LIBRARY) is not None]
