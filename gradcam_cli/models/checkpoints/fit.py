"""Loads a checkpoint's tensors into a network: names, number of classes, dtype. Anything that does not fit raises."""

from __future__ import annotations

from collections import Counter, OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from gradcam_cli.errors import ModelError
from gradcam_cli.models.architecture import Fitted
from gradcam_cli.models.input_channels import RGB, first_convolution, with_one_channel
from gradcam_cli.text import printable, quoted

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from gradcam_cli.models.architecture import Architecture, Recipe

SHOWN_KEYS = 3
_OPTIONAL = ".num_batches_tracked"
"""A training counter that evaluation never reads, and that some exporters leave out."""

_RANDOM_FILLS = {"normal_", "uniform_", "kaiming_uniform_"}
"""Methods and functions of ``nn.init`` that take milliseconds even on meta tensors, which have no values to fill."""


class _MetaInit(TorchFunctionMode):
    """Builds parameters without memory: ``torch.empty`` returns meta tensors, and these are not filled at random.

    Constructors make parameters with ``torch.empty`` and compute buffers (running statistics, position indices) with
    other functions, so that buffers are correct.
    """

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Iterable[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:  # noqa: ANN401
        extra = dict(kwargs or {})
        target = args[0] if args else extra.get("tensor")
        if func.__name__ in _RANDOM_FILLS and isinstance(target, Tensor) and target.is_meta:
            return target
        if func is torch.empty:
            extra["device"] = "meta"
        return func(*args, **extra)


def on_meta(build: Callable[[], nn.Module]) -> nn.Module:
    """Build a network whose parameters have shapes and no values, in milliseconds.

    A network whose constructor computes with its parameters is built with values instead.
    """
    try:
        with _MetaInit():
            return build()
    except (RuntimeError, NotImplementedError):
        return build()


@dataclass
class _FitPlan:
    """A network without weights, the checkpoint's tensors by its names, and all mismatches between them."""

    recipe: Recipe
    num_classes: int
    build: Callable[[], nn.Module]
    module: nn.Module
    tensors: dict[str, Tensor]
    foreign: list[str]
    missing: list[str]
    unexpected: list[str]
    misshapen: list[str]

    @property
    def fits(self) -> bool:
        return not (self.missing or self.unexpected or self.misshapen)


def fit(architecture: Architecture, recipes: Sequence[Recipe], tensors: Mapping[str, Tensor], path: Path) -> Fitted:
    """Return the network with the checkpoint's tensors in it.

    Prefixes that wrappers put before names (``module.``, ``model.``, ``_orig_mod.``) are removed; the network is built
    for as many classes as the checkpoint's head has, and for one channel where its first convolution reads one; half
    and double precision become float32. Where recipes need different networks, the first one that fits is used.

    Args:
        architecture: the network to build.
        recipes: the recipes to try, at least one, the likeliest first.
        tensors: the checkpoint, as read.
        path: its file, for messages.

    Raises:
        ModelError: names or shapes do not match; the message lists the first few of them.
    """
    first = None
    for plan in _plans(architecture, recipes, tensors):
        if plan.fits:
            return _filled(plan, path)
        first = first or plan
    assert first is not None
    raise _mismatch(architecture, first, path)


def fits(architecture: Architecture, tensors: Mapping[str, Tensor]) -> bool:
    """Return whether ``fit`` would accept the tensors for one of the architecture's recipes; no weights are loaded."""
    return any(plan.fits for plan in _plans(architecture, architecture.recipes, tensors))


def _plans(architecture: Architecture, recipes: Sequence[Recipe], tensors: Mapping[str, Tensor]) -> Iterator[_FitPlan]:
    """Yield a plan for each recipe in turn, but only the first of those that build the same network."""
    tried: list[Mapping[str, Any]] = []
    for recipe in recipes:
        if recipe.options not in tried:
            tried.append(recipe.options)
            yield _plan(architecture, recipe, tensors)


def without_wrappers(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Remove torch.compile's marker from names: it wraps whole networks or blocks, so it can be anywhere in a name."""
    return {key.replace("_orig_mod.", ""): tensor for key, tensor in tensors.items()}


def _plan(architecture: Architecture, recipe: Recipe, tensors: Mapping[str, Tensor]) -> _FitPlan:
    plan = _plan_for(architecture, recipe, tensors, architecture.num_classes)
    classes, one_channel = _classes_of_head(architecture, plan), _takes_one_channel(plan)
    if classes is None and not one_channel:
        return plan
    return _plan_for(architecture, recipe, tensors, classes or architecture.num_classes, one_channel=one_channel)


def _plan_for(
    architecture: Architecture,
    recipe: Recipe,
    tensors: Mapping[str, Tensor],
    num_classes: int,
    *,
    one_channel: bool = False,
) -> _FitPlan:
    def build() -> nn.Module:
        module = architecture.build(num_classes=num_classes, **recipe.options)
        return with_one_channel(module) if one_channel else module

    module = on_meta(build) if architecture.on_meta else build()
    own = module.state_dict()
    matched, foreign = _own_names(tensors, own, architecture.own_key)
    return _FitPlan(
        recipe=recipe,
        num_classes=num_classes,
        build=build,
        module=module,
        tensors={key: tensor for key, tensor in matched.items() if key in own},
        foreign=foreign,
        missing=[key for key in own if key not in matched and not key.endswith(_OPTIONAL)],
        unexpected=[key for key in matched if key not in own],
        misshapen=[key for key, tensor in matched.items() if key in own and tensor.shape != own[key].shape],
    )


def _classes_of_head(architecture: Architecture, plan: _FitPlan) -> int | None:
    """Return the checkpoint's number of classes where it differs from the default.

    A head is a tensor whose first dimension is the default number of classes in the network and another number in
    the checkpoint, while the rest of its shape is equal.
    """
    own = plan.module.state_dict()
    found = set()
    for key in plan.misshapen:
        mine, theirs = own[key].shape, plan.tensors[key].shape
        if mine and theirs and mine[0] == architecture.num_classes and mine[1:] == theirs[1:] and theirs[0] > 0:
            found.add(int(theirs[0]))
    return found.pop() if len(found) == 1 else None


def _takes_one_channel(plan: _FitPlan) -> bool:
    """Return whether the checkpoint's first convolution reads one channel where the network's reads three."""
    first = first_convolution(plan.module)
    theirs = None if first is None else plan.tensors.get(f"{first[0]}.weight")
    if first is None or theirs is None or first[1].in_channels != RGB:
        return False
    return theirs.shape == (first[1].out_channels, 1, *first[1].kernel_size)


def _own_names(
    tensors: Mapping[str, Tensor], own: Mapping[str, Tensor], own_key: Callable[[str], str | None]
) -> tuple[dict[str, Tensor], list[str]]:
    """Return the tensors by the network's names, and the names that belong to something else.

    Other modules in a checkpoint (the weights of a loss) have top-level names that the network does not have.
    """
    tensors = without_wrappers(tensors)
    prefix = _common_prefix(tensors, own)
    tops = {key.partition(".")[0] for key in own}
    matched, foreign = {}, []
    for full, tensor in tensors.items():
        key = own_key(full[len(prefix) :]) if full.startswith(prefix) else full
        if key is None:
            continue
        if full.startswith(prefix) and key.partition(".")[0] in tops:
            matched[key] = tensor
        else:
            foreign.append(full)
    return _plain_head(matched, own), foreign


def _plain_head(matched: dict[str, Tensor], own: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Rename a head that is one linear layer within a Sequential, ``fc.1.weight``, to the network's, ``fc.weight``.

    Dropout beside it has no tensors, and does nothing here. Of two linear layers it is not known what is between them.
    """
    places: dict[str, set[str]] = {}
    for key in matched:
        head, _, number = key.rpartition(".")[0].rpartition(".")
        if number.isdecimal() and f"{head}.weight" in own and key not in own:
            places.setdefault(head, set()).add(number)
    heads = {f"{head}.{min(numbers)}.": f"{head}." for head, numbers in places.items() if len(numbers) == 1}
    renamed = {}
    for key, tensor in matched.items():
        start = next((start for start in heads if key.startswith(start)), None)
        renamed[key if start is None else heads[start] + key[len(start) :]] = tensor
    return renamed


def _common_prefix(keys: Iterable[str], own: Mapping[str, Tensor]) -> str:
    """Return the prefix whose removal makes most of the names the network's."""
    counts: Counter[str] = Counter({"": 0})
    for key in keys:
        parts = key.split(".", 4)
        for depth in range(len(parts)):
            prefix = "".join(f"{part}." for part in parts[:depth])
            if key[len(prefix) :] in own:
                counts[prefix] += 1
    return max(counts, key=lambda prefix: (counts[prefix], -len(prefix)))


def _filled(plan: _FitPlan, path: Path) -> Fitted:
    own = plan.module.state_dict()
    metadata = getattr(own, "_metadata", None)
    state: OrderedDict[str, Tensor] = OrderedDict()
    for key, tensor in plan.tensors.items():
        if tensor.is_complex() or (own[key].is_floating_point() and not tensor.is_floating_point()):
            problem = f"{quoted(key)} holds {tensor.dtype} numbers".replace("torch.", "")
            raise ModelError(f"weights {quoted(path)}: {problem}", "give floating-point weights")
        state[key] = tensor.to(own[key].dtype).contiguous()
    # The names are the current ones, even if another version of the network wrote them.
    state._metadata = metadata  # type: ignore[attr-defined]
    module = plan.module
    module.load_state_dict(state, strict=False, assign=True)
    if any(tensor.is_meta for tensor in (*module.parameters(), *module.buffers())):
        # A buffer that no checkpoint contains was made with torch.empty: only an ordinary build makes it correct.
        module = plan.build()
        module.load_state_dict(state, strict=False, assign=True)
    module.eval().requires_grad_(False)
    return Fitted(module, plan.recipe, plan.num_classes, _notes(plan.foreign))


def _notes(foreign: Sequence[str]) -> tuple[str, ...]:
    if not foreign:
        return ()
    return (f"ignored in the checkpoint, being no part of the network: {few(foreign)}",)


def _mismatch(architecture: Architecture, plan: _FitPlan, path: Path) -> ModelError:
    own = plan.module.state_dict()
    if not plan.tensors:
        problem = f"it has {few(plan.unexpected + plan.foreign)}; the network has {few(list(own))}"
    else:
        shapes = [
            f"{key} {tuple(plan.tensors[key].shape)} where the network has {tuple(own[key].shape)}"
            for key in plan.misshapen
        ]
        kinds = (("missing", plan.missing), ("unexpected", plan.unexpected), ("other shape:", shapes))
        problem = "; ".join(f"{kind} {few(keys)}" for kind, keys in kinds if keys)
    return ModelError(
        f"weights {quoted(path)} do not fit {architecture.name}: {problem}",
        "name the model they were made for with {model}",
    )


def few(keys: Sequence[str]) -> str:
    """Return the first keys, printable, and the number of further ones."""
    text = ", ".join(printable(key if len(key) <= 120 else f"{key[:120]}…") for key in keys[:SHOWN_KEYS])
    return f"{text} and {len(keys) - SHOWN_KEYS} more" if len(keys) > SHOWN_KEYS else text
