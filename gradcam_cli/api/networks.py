"""The network that a call is about: a name, a loaded network, or a module of the user's, which is left as it is."""

from __future__ import annotations

import copy
import os
import sys
import warnings
import weakref
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, cast

from torch import nn

from gradcam_cli.cam.execution.replica import throwaway
from gradcam_cli.cam.function_modes import recording
from gradcam_cli.cam.predictions import check_named
from gradcam_cli.errors import UsageError
from gradcam_cli.models.labels import miscounted
from gradcam_cli.models.load import load_model
from gradcam_cli.models.network import Network, state_of
from gradcam_cli.models.sources.user_code.maker import network_of, unwrapped
from gradcam_cli.pipeline.session import Session

if TYPE_CHECKING:
    from gradcam_cli.pipeline.settings import ModelSettings

Model = str | Network | nn.Module
Labels = str | os.PathLike[str] | Sequence[str]

_INSIDE = "gradcam_cli.", "contextlib", "torch."
"""Beginnings of the names of modules that are between the caller of the package and what warns."""

_known: dict[int, tuple[int, Network]] = {}
"""Identity of a module → its state, and the network that stands for it. An entry goes with its module."""


def ready(model: Model, names: tuple[str, ...] | None, settings: ModelSettings) -> Session:
    """Return the network made ready.

    Args:
        model: as `explain` takes it.
        names: of the classes, or None where a file or the network has them.
        settings: the other choices; ``model`` is the network's name.

    Raises:
        GradcamError: the network cannot be used so.
    """
    if isinstance(model, str):
        if names is None:
            return Session(settings, warn=warn)
        network = load_model(model, weights=settings.weights, device=settings.device)
    else:
        network = replace(_of_module(model)) if isinstance(model, nn.Module) else model  # labels change the former
    if names is not None:
        network = replace(network, labels=names)
    # The network of a module needs no state: another one is made when the module changes.
    session = _session(settings, network, (names, network.state if network is model else 0))
    if names is not None and session.network.labels != names:
        raise miscounted(names, session.network.sides)
    return session


def check_model(model: object, **late: object) -> Model:
    """Return the model that a call is about.

    Args:
        model: as the caller gave it.
        **late: ``weights``, ``labels`` and ``device``, which can only be chosen while a network is loaded; None where
            not given. A module may have labels.

    Raises:
        UsageError: it is no network, or one that is loaded, and something is to be chosen.
    """
    if isinstance(model, str):
        return model
    if not isinstance(model, (Network, nn.Module)):
        raise UsageError(*_no_model(model))
    is_module = isinstance(model, nn.Module)
    given = [name for name, value in late.items() if value is not None and not (is_module and name == "labels")]
    if given:
        hint = "load_state_dict and to(device) change the module" if is_module else "give them to load_model instead"
        raise UsageError(f"the network is loaded: {', '.join(given)} cannot be changed any more", hint)
    return model


def _no_model(given: object) -> tuple[str, str]:
    """Return what an object is that is no network, and what to do."""
    if isinstance(given, type) and issubclass(given, nn.Module):
        return f"the model is the class {given.__name__}, not a network", f"make one: {given.__name__}()"
    if isinstance(given, os.PathLike):
        return "the model is a path, not a network", "give a checkpoint as {weights}"
    if isinstance(given, Mapping):
        return "the model is a mapping, as checkpoints are, not a network", "load it into a module: load_state_dict"
    return (
        f"the model is of type {type(given).__name__}, not a network",
        "give a name, a network that load_model has returned, or a torch.nn.Module",
    )


def name_of(model: Model) -> str:
    """Return a network's name; that of a module is its class's."""
    if isinstance(model, str):
        return model
    return model.name if isinstance(model, Network) else type(unwrapped(model)).__name__


def layer_name(layer: object, model: Model) -> str:
    """Return the dotted name of the target layer, given by its name or as a module of the network.

    Raises:
        UsageError: it is neither.
    """
    if isinstance(layer, str):
        return layer
    if not isinstance(layer, nn.Module):
        raise UsageError(f"the layer is of type {type(layer).__name__}", "give its dotted name, or the module itself")
    if isinstance(model, str):
        raise UsageError(
            "a layer that is a module needs the network that it is a part of",
            "give that as {model}, or the layer's dotted name",
        )
    network = unwrapped(model if isinstance(model, nn.Module) else model.module)
    name: str | None = next((name for name, each in network.named_modules() if each is layer), None)
    if name is None:
        raise UsageError(
            f"the layer, a {type(layer).__name__}, is not a module of this network",
            "give one of model.modules(), or its dotted name",
        )
    if not name:
        raise UsageError("the layer is the whole network", "give one of its modules, or 'auto'")
    return name


@recording()
def _of_module(module: nn.Module) -> Network:
    """Return the network that stands for a module: a copy with the same parameters, made once.

    The copy can be kept, and be put into evaluation mode, without keeping or changing the module. A module that cannot
    be copied is used itself, and not kept.
    """
    module = unwrapped(module)
    state, (before, network) = state_of(module), _known.get(id(module), (None, None))
    if network is None or before != state:
        copied = throwaway(module)
        if copied is None:  # it contains what cannot be copied
            return network_of(module)
        network = network_of(copied)
        if before is None:
            weakref.finalize(module, _known.pop, id(module), None).atexit = False
        _known[id(module)] = state, network
    return network


def _session(settings: ModelSettings, network: Network, state: object) -> Session:
    """Return a session with a loaded network, copied from the last one unless the network has changed since.

    Tracing, copying and folding a network takes as long as explaining a picture or two.
    """
    key = replace(settings, targets=()), state
    known, session = network.cache.get("session", (None, None))
    if known != key:
        session = Session(settings, network, warn=warn)
        network.cache["session"] = key, session
    same = copy.copy(cast("Session", session))
    same.settings = replace(settings, layers=same.settings.layers)
    check_named(settings.targets, same.network.labels)
    return same


def warn(text: str) -> None:
    """Warn the caller of the package, whatever called this in it."""
    frame, level = sys._getframe(1), 2
    while frame.f_back is not None and frame.f_globals.get("__name__", "").startswith(_INSIDE):
        frame, level = frame.f_back, level + 1
    warnings.warn(text, stacklevel=level)
