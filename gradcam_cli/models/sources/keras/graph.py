"""A Keras network as a PyTorch module, whose layers are modules of their own names.

Keras's own modules cannot serve: they do not list their layers as submodules, and a copy of one is made by way of a
file. So the layers' graph is walked here, and each layer is called as a function of weights that a PyTorch module has.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import keras
import torch
from torch import Tensor, nn

from gradcam_cli.models.untrusted.keras.known import NETWORKS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gradcam_cli.models.untrusted.keras.values import Config

_GIVEN = "InputLayer"


class _Shared:
    """Holds an object of Keras, which copies of a network have in common.

    Args:
        value: the object, called without changing it.
    """

    def __init__(self, value: Any) -> None:  # noqa: ANN401
        self.value = value

    def __deepcopy__(self, memo: object) -> _Shared:
        """Return the same."""
        return self


class KerasLayer(nn.Module):
    """One layer of Keras, with its weights.

    Args:
        layer: the layer, built.
    """

    def __init__(self, layer: Any) -> None:  # noqa: ANN401
        super().__init__()
        layer.trainable = True  # also those that were frozen: it is of what a layer calls its weights
        self._layer = _Shared(layer)
        self._trained, self._kept = len(layer.trainable_variables), len(layer.non_trainable_variables)
        for index, variable in enumerate(layer.trainable_variables):
            self.register_parameter(f"weight_{index}", nn.Parameter(variable.value.detach(), requires_grad=False))
        for index, variable in enumerate(layer.non_trainable_variables):
            self.register_buffer(f"state_{index}", variable.value.detach())

    def forward(self, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401
        """Call the layer as in a prediction."""
        trained = [getattr(self, f"weight_{index}") for index in range(self._trained)]
        kept = [getattr(self, f"state_{index}") for index in range(self._kept)]
        return self._layer.value.stateless_call(trained, kept, *args, **kwargs)[0]


def _module(layer: Any) -> nn.Module:  # noqa: ANN401
    """Return the module of a layer, of a class that is named as the layer's."""
    made: nn.Module = type(type(layer).__name__, (KerasLayer,), {})(layer)
    return made


class KerasNetwork(nn.Module):
    """A network of Keras, or one within another: its layers are submodules.

    Args:
        network: the network of Keras.
        config: its configuration, as `untrusted.keras.config` has written it.
    """

    def __init__(self, network: Any, config: Config) -> None:  # noqa: ANN401
        super().__init__()
        self._calls = _Shared(list(_in_order(config)))
        self._ends = _Shared(_ends(config))
        found = {each.name: each for each in (*network.layers, *getattr(network, "operations", ()))}
        self._names: dict[str, str] = {}
        self._operations: dict[str, _Shared] = {}
        for spec in config["config"]["layers"]:
            name, kind = spec["config"]["name"], spec["class_name"]
            if kind == _GIVEN:
                continue
            layer = found[name]
            if not isinstance(layer, keras.layers.Layer):
                self._operations[name] = _Shared(layer)
                continue
            self._names[name] = _attribute(name)
            self.add_module(self._names[name], KerasNetwork(layer, spec) if kind in NETWORKS else _module(layer))

    def forward(self, *inputs: Any, **_: Any) -> Any:  # noqa: ANN401
        """Return the outputs, a tensor or several as the network names them."""
        given, outputs = self._ends.value
        given_tensors = list(flat(inputs))
        values = {(name, 0): given_tensors[index] for index, (name, _, _) in enumerate(given)}
        for name, index, args, kwargs in self._calls.value:
            called = self._operations[name].value if name in self._operations else self.get_submodule(self._names[name])
            values[name, index] = called(*_found(args, values), **_found(kwargs, values))
        return _found(outputs, values)


class FromPicture(KerasNetwork):
    """A network of Keras for pictures as PyTorch has them, (N, C, H, W), with the height or the channels first.

    Args:
        network: the network of Keras.
        config: its configuration.
        channels_last: whether it takes (N, H, W, C).
    """

    def __init__(self, network: Any, config: Config, *, channels_last: bool) -> None:  # noqa: ANN401
        super().__init__(network, config)
        self.channels_last = channels_last

    def forward(self, *inputs: Any, **_: Any) -> Any:  # noqa: ANN401
        """Return the network's outputs for one batch of pictures."""
        (pictures,) = inputs
        with keras.device(str(pictures.device)):  # or Keras would choose
            return super().forward(pictures.permute(0, 2, 3, 1) if self.channels_last else pictures)


def _attribute(name: str) -> str:
    """Return a layer's name as a submodule's: none that modules have themselves."""
    return f"{name}_" if hasattr(nn.Module, name) or name in nn.Module().__dict__ else name


def _in_order(config: Config) -> Iterator[tuple[str, int, Any, Any]]:
    """Yield the calls of a network's layers, each after those that it needs: name, number of the call, arguments."""
    layers = [each for each in config["config"]["layers"] if each["class_name"] != _GIVEN]
    if config["class_name"] == "Sequential":
        before = ("", 0)
        for each in layers:
            name = each["config"]["name"]
            yield name, 0, [_tensor(*before)], {}
            before = name, 0
        return
    waiting = [
        (each["config"]["name"], index, call["args"], call["kwargs"])
        for each in layers
        for index, call in enumerate(each["inbound_nodes"])
    ]
    done = {(each["config"]["name"], 0) for each in config["config"]["layers"] if each["class_name"] == _GIVEN}
    while waiting:
        ready = [each for each in waiting if all(need in done for need in _needs(each[2:]))]
        if not ready:
            raise ValueError("the layers are not connected")
        yield from ready
        done |= {each[:2] for each in ready}
        waiting = [each for each in waiting if each[:2] not in done]


def _ends(config: Config) -> tuple[list[Any], Any]:
    """Return the inputs, as (name, call, output), and the outputs as tensors to be found."""
    values, layers = config["config"], config["config"]["layers"]
    if config["class_name"] == "Sequential":
        last = layers[-1]["config"]["name"]
        return [("", 0, 0)], _tensor(last, 0)
    networks = {each["config"]["name"] for each in layers if each["class_name"] == "Functional"}

    def place(value: Any) -> Any:  # noqa: ANN401
        if isinstance(value, list) and len(value) == 3 and isinstance(value[0], str):
            return _tensor(value[0], value[1] - (value[0] in networks), value[2])
        if isinstance(value, dict):
            return {key: place(each) for key, each in value.items()}
        return [place(each) for each in value]

    return [each["config"]["keras_history"] for each in _tensors(place(values["input_layers"]))], place(
        values["output_layers"]
    )


def _tensor(name: str, call: int, output: int = 0) -> Config:
    return {"class_name": "__keras_tensor__", "config": {"keras_history": [name, call, output]}}


def _tensors(value: Any) -> Iterator[Config]:  # noqa: ANN401
    """Yield the places of tensors in a structure."""
    if isinstance(value, dict) and value.get("class_name") == "__keras_tensor__":
        yield value
    elif isinstance(value, (dict, list, tuple)):
        for each in (value[key] for key in sorted(value)) if isinstance(value, dict) else value:
            yield from _tensors(each)


def _needs(value: Any) -> Iterator[tuple[str, int]]:  # noqa: ANN401
    for each in _tensors(value):
        name, call, _ = each["config"]["keras_history"]
        yield name, call


def _found(value: Any, values: dict[tuple[str, int], Any]) -> Any:  # noqa: ANN401
    """Return a structure with tensors in their places, and values as Keras reads them."""
    if isinstance(value, dict) and value.get("class_name") == "__keras_tensor__":
        name, call, output = value["config"]["keras_history"]
        return list(flat(values[name, call]))[output]
    if isinstance(value, dict) and "class_name" in value:
        return keras.saving.deserialize_keras_object(value)
    if isinstance(value, dict):
        return {key: _found(each, values) for key, each in value.items() if not (key == "mask" and each is None)}
    return [_found(each, values) for each in value] if isinstance(value, list) else value


def flat(value: Any) -> Iterator[Tensor]:  # noqa: ANN401
    """Yield the tensors of a structure in Keras's order, which is that of a dict's keys."""
    if isinstance(value, torch.Tensor):
        yield value
    elif isinstance(value, (dict, list, tuple)):
        for each in (value[key] for key in sorted(value)) if isinstance(value, dict) else value:
            yield from flat(each)
