"""Connections between the layers of a Keras network, and TensorFlow's operations among them, as Keras 3 has them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from gradcam_cli.models.untrusted.keras.known import ACTIVATIONS, NETWORKS
from gradcam_cli.models.untrusted.keras.values import (
    Config,
    KerasConfigError,
    layer_name,
    mapping,
    number,
    plain,
    sequence,
    shown,
    word,
)

if TYPE_CHECKING:
    from collections.abc import Mapping


class Nodes:
    """Writes the calls of a network's layers as Keras 3 does.

    Keras 2 counts the calls of a nested network from 1, as that has been called once in itself; Keras 3 only where a
    nested graph gives the outputs.

    Args:
        kinds: name of each layer → its class.
        older: whether Keras 2 has written them.
    """

    def __init__(self, kinds: Mapping[str, str], *, older: bool) -> None:
        self._kinds = kinds
        self._older = older

    def call(self, node: object) -> Config:
        """Return the arguments of one call."""
        if isinstance(node, dict):
            return {"args": self._given(node.get("args", [])), "kwargs": self._named(node.get("kwargs", {}))}
        several = sequence(node, "the connections")
        sources = (
            [several]
            if several and isinstance(several[0], str)
            else [sequence(each, "a connection") for each in several]
        )
        if not all(len(each) in (3, 4) for each in sources):
            raise KerasConfigError("it has a connection that is not known")
        tensors = [self._tensor(*each[:3]) for each in sources]
        kwargs = sources[-1][3] if sources and len(sources[-1]) == 4 else {}
        return {"args": [tensors[0] if len(tensors) == 1 else tensors], "kwargs": self._named(kwargs)}

    def ends(self, value: object) -> object:
        """Return the places of inputs or outputs; a single one stands alone."""
        if isinstance(value, list) and len(value) == 3 and isinstance(value[0], str):
            name, call = layer_name(value[0]), number(value[1])
            return [name, call - (self._older and self._kinds.get(name) == "Sequential"), number(value[2])]
        if isinstance(value, dict):
            return {word(key): self.ends(each) for key, each in value.items()}
        found = [self.ends(each) for each in sequence(value, "inputs and outputs")]
        return found[0] if len(found) == 1 else found

    def _named(self, kwargs: object) -> Config:
        """Return arguments that have names, without those of training, which a prediction does not heed."""
        given = mapping(kwargs, "the arguments").items()
        return {word(key): self._given(value) for key, value in given if key not in ("name", "training")}

    def _given(self, value: Any) -> Any:  # noqa: ANN401
        if isinstance(value, dict) and value.get("class_name") == "__keras_tensor__":
            history = mapping(value.get("config"), "a connection").get("keras_history")
            name, call, output = sequence(history, "a connection")
            return self._tensor(name, call, output)
        if isinstance(value, list):
            if self._older and len(value) == 3 and isinstance(value[0], str) and layer_name(value[0]) in self._kinds:
                return self._tensor(*value)
            return [self._given(each) for each in value]
        if isinstance(value, dict) and "class_name" not in value:
            return {word(key): self._given(each) for key, each in value.items()}
        return plain(value)

    def _tensor(self, name: object, call: object, output: object) -> Config:
        plain_name, index = layer_name(name), number(call)
        if self._older and self._kinds.get(plain_name) in NETWORKS:
            index = max(0, index - 1)
        history = [plain_name, index, number(output)]
        config = {"shape": [None], "dtype": "float32", "keras_history": history}
        return {"class_name": "__keras_tensor__", "config": config}


_SCALED: Final = {
    "truediv": lambda number: {"scale": 1 / number},
    "divide": lambda number: {"scale": 1 / number},
    "multiply": lambda number: {"scale": number},
    "mul": lambda number: {"scale": number},
    "add": lambda number: {"offset": number},
    "bias_add": lambda number: {"offset": number},
    "subtract": lambda number: {"offset": -number},
    "sub": lambda number: {"offset": -number},
}
"""TensorFlow's operations with a constant → the same by a Rescaling layer."""
_MERGED: Final = {"add": "Add", "multiply": "Multiply", "mul": "Multiply", "subtract": "Subtract", "sub": "Subtract"}
_REVERSED: Final = [{"class_name": "__ellipsis__"}, {"start": None, "stop": None, "step": -1}]


def without_tensorflow(spec: Config, calls: list[Any]) -> tuple[Config, list[Any]]:
    """Return a layer, and its calls, that do what an operation of TensorFlow within a network of Keras 2 does."""
    kind = spec.get("class_name")
    if kind not in ("TFOpLambda", "SlicingOpLambda"):
        return spec, calls
    config = mapping(spec.get("config"), "an operation")
    function, name = str(config.get("function")), config.get("name")
    node = sequence(calls[0] if calls else None, "the connections")
    if len(calls) != 1 or len(node) != 4 or not isinstance(node[0], str) or node[0].startswith("_"):
        raise KerasConfigError(f"it calls TensorFlow's {shown(function)} in a way that is not known")
    given = {key: value for key, value in mapping(node[3], "the arguments").items() if value is not None}
    made = _as_layer(function.rpartition(".")[2], {k: v for k, v in given.items() if k not in ("name", "data_format")})
    if made is None:
        raise KerasConfigError(f"it calls TensorFlow's {shown(function)}, which has no layer in Keras 3 that is known")
    kind, values, others = made
    module = "keras.src.ops.numpy" if kind == "Flip" else "keras.layers"
    sources = [[*node[:3], {}], *others]
    return {"module": module, "class_name": kind, "config": {"name": name, **values}}, [sources]


def _as_layer(function: str, given: Config) -> tuple[str, Config, list[list[Any]]] | None:
    """Return the class, the values and the further inputs of the layer that does the same, or None."""
    value = next(iter(given.values()), None)
    if function in _SCALED and len(given) == 1:
        if isinstance(value, list) and len(value) == 3 and isinstance(value[0], str):
            return (_MERGED[function], {}, [value]) if function in _MERGED else None
        numbers = value if isinstance(value, list) else [value]
        if not all(isinstance(each, (int, float)) and each == each and each for each in numbers):
            return None
        each = [_SCALED[function](number) for number in numbers]
        joined = {key: [one[key] for one in each] if isinstance(value, list) else each[0][key] for key in each[0]}
        return "Rescaling", {"scale": 1.0, "offset": 0.0, **joined}, []
    if function in ACTIVATIONS and given.get("axis", -1) == -1 and not set(given) - {"axis"}:
        return "Activation", {"activation": function}, []
    if function == "reduce_mean" and given.get("axis") == [1, 2]:
        return "GlobalAveragePooling2D", {"keepdims": bool(given.get("keepdims"))}, []
    if function == "getitem" and given == {"slice_spec": _REVERSED}:
        return "Flip", {"axis": -1}, []
    return None
