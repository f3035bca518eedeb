"""The configuration of a Keras network, written anew: built-in layers with plain values, and nothing else.

A configuration names classes and functions that Keras would import and call. So what Keras is given is not the file's
own: each layer is looked up in a list here, which has the place of its class; its values are copied if they are plain,
and what inference does not need (initial values, regularisers, losses, number formats, layers that only training uses)
is left out. Files of Keras 2 become those of Keras 3 on the way: their words for the same things are known here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gradcam_cli.models.untrusted.keras.connections import Nodes, without_tensorflow
from gradcam_cli.models.untrusted.keras.known import (
    ACTIVATIONS,
    ALIASES,
    AUGMENTATION,
    ELSEWHERE,
    LAYERS,
    LEFT_OUT,
    NETWORKS,
    NEUTRAL,
    OPERATIONS,
    OTHER_IN_KERAS_2,
)
from gradcam_cli.models.untrusted.keras.values import (
    Config,
    KerasConfigError,
    layer_name,
    mapping,
    plain,
    sequence,
    shown,
    side,
    word,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Collection


def accepted(content: object, accepts: Callable[[str, str], Collection[str]], *, older: bool = False) -> Config:
    """Return a configuration that holds the same network, for Keras 3's ``deserialize_keras_object``.

    Args:
        content: of ``config.json`` in a ``.keras`` file, or of ``model_config`` in an HDF5 file.
        accepts: returns the names of the arguments that a class takes, by its module and name.
        older: whether Keras 2 has written it.

    Raises:
        KerasConfigError: it has layers, functions or values that are not known.
    """
    try:
        return _Writer(accepts, older=older).network(mapping(content, "the configuration"))
    except RecursionError as error:
        raise KerasConfigError("its configuration is nested too deeply") from error


class _Writer:
    """Writes layers anew.

    Args:
        accepts: see `accepted`.
        older: see there.
    """

    def __init__(self, accepts: Callable[[str, str], Collection[str]], *, older: bool) -> None:
        self._accepts = accepts
        self._older = older

    def network(self, spec: Config) -> Config:
        """Return a network, or one within another, with all its layers."""
        kind = "Functional" if spec.get("class_name") == "Model" else word(spec.get("class_name"))
        if kind not in NETWORKS:
            raise KerasConfigError(f"its network is of a class of its own, {shown(kind)}")
        config = mapping(spec.get("config"), f"the {kind} network")
        name = _name_of(spec)
        layers = [mapping(each, "a layer") for each in sequence(config.get("layers"), "the layers")]
        if kind == "Sequential":
            written: Config = {"name": name, "layers": [self._layer(each) for each in _with_input(layers, config)]}
        else:
            written = self._graph(layers, config, name)
        if isinstance(config.get("trainable"), bool):  # the order of weights in older files depends on it
            written["trainable"] = config["trainable"]
        return {"module": NETWORKS[kind], "class_name": kind, "config": written, "registered_name": None}

    def _graph(self, layers: list[Config], config: Config, name: str) -> Config:
        kinds = {_name_of(each): each.get("class_name") for each in layers}
        if len(kinds) < len(layers):
            raise KerasConfigError("two of its layers have one name")
        named = {name: "Functional" if kind == "Model" else str(kind) for name, kind in kinds.items()}
        inbound = [sequence(each.get("inbound_nodes", []), "the connections") for each in layers]
        nodes = Nodes(named, older=any(isinstance(call, list) for calls in inbound for call in calls))
        written = []
        for each, its_calls in zip(layers, inbound, strict=True):
            spec, calls = without_tensorflow(each, its_calls)
            layer = self._layer(spec)
            written.append(
                {**layer, "name": layer["config"]["name"], "inbound_nodes": [nodes.call(one) for one in calls]}
            )
        ends = {key: nodes.ends(config.get(key)) for key in ("input_layers", "output_layers")}
        return {"name": name, "layers": written, **ends}

    def _layer(self, spec: Config) -> Config:
        kind = word(spec.get("class_name"))
        config = mapping(spec.get("config"), f"layer {shown(kind)}")
        if kind in (*NETWORKS, "Model"):
            return self.network(spec)
        name, module = _name_of(spec), ELSEWHERE.get(kind, "keras.layers")
        if kind in AUGMENTATION:
            kind, config = "Identity", {}
        elif _is_operation(spec):
            module = OPERATIONS[kind]
        elif kind not in LAYERS:
            raise KerasConfigError(_unknown(kind, name))
        values = {**self._values(kind, module, config), "name": name}
        return {"module": module, "class_name": kind, "config": values, "registered_name": None}

    def _values(self, kind: str, module: str, config: Config) -> Config:
        if kind == "InputLayer":
            shape = sequence(config.get("batch_shape", config.get("batch_input_shape")), "the input's shape")
            return {"batch_shape": [side(each) for each in shape], "dtype": "float32"}
        known, values = self._accepts(module, kind), Config()
        if not known:
            raise KerasConfigError(_unknown(kind, str(config.get("name"))))
        for key, value in config.items():
            if key == "name" or key.endswith(LEFT_OUT):
                continue
            if key == "quantization_config" and value is not None:
                raise KerasConfigError("it is quantised, and has no gradients")
            if key == "alpha" and kind == "LeakyReLU":
                values["negative_slope"] = plain(value)
            elif key == "dtype":
                values[key] = "float32"
            elif key not in known:
                if value is not None and (key not in NEUTRAL or (NEUTRAL[key] and value not in NEUTRAL[key])):
                    raise KerasConfigError(f"its layer of the kind {kind} has {shown(key)}, which is not known")
            elif key.endswith("activation"):
                values[key] = self._activation(value)
            elif isinstance(value, dict) and "config" in value and not str(value.get("class_name")).startswith("__"):
                values[key] = self._layer(value)
            else:
                values[key] = plain(value)
        if kind == "AveragePooling2D" and _pads_unevenly(values):
            raise KerasConfigError(
                f"its layer of the kind {kind} pads as PyTorch does not: padding 'same' with strides"
            )
        axis = values.get("axis")
        if kind.endswith("Normalization") and isinstance(axis, list) and len(axis) == 1:
            values["axis"] = axis[0]
        return {key: value for key, value in values.items() if key != "dtype" or "dtype" in known}

    def _activation(self, value: object) -> object:
        if isinstance(value, dict) and value.get("class_name") == "function":
            value = value.get("config")
        if isinstance(value, dict):
            return self._layer(value)
        value = ALIASES.get(str(value), value)
        if self._older and value in OTHER_IN_KERAS_2:
            raise KerasConfigError(f"it has the activation {shown(value)} of Keras 2, which is another in Keras 3")
        if value is not None and value not in ACTIVATIONS:
            raise KerasConfigError(f"it has an activation of its own, {shown(value)}")
        return value


def _name_of(spec: Config) -> str:
    """Return the name by which connections call a layer."""
    inner = mapping(spec.get("config"), "a layer")
    return layer_name(spec.get("name", inner.get("name", word(spec.get("class_name")).lower())))


def _is_operation(spec: Config) -> bool:
    """Whether an entry is a single operation, such as Add, and not the layer of that name, which takes one list."""
    kind = spec["class_name"]
    if kind not in OPERATIONS or "module" in spec:
        return kind in OPERATIONS and ".ops." in str(spec["module"])
    calls = spec.get("inbound_nodes")
    call = calls[0] if isinstance(calls, list) and calls else None
    given = call.get("args") if isinstance(call, dict) else None
    return kind not in LAYERS or (isinstance(given, list) and len(given) == 2)


def _with_input(layers: list[Config], config: Config) -> list[Config]:
    """Return the layers of a sequence, an input first where its shape is known."""
    first = layers[0] if layers else {}
    inner = mapping(first.get("config", {}), "a layer")
    shape = inner.get("batch_input_shape") or config.get("build_input_shape")
    if not shape or first.get("class_name") == "InputLayer" or "layers" in inner:
        return layers
    given = {"batch_shape": shape, "name": f"{inner.get('name', 'network')}_input"}
    return [{"class_name": "InputLayer", "config": given}, *layers]


def _pads_unevenly(values: Config) -> bool:
    """Whether a pooling layer averages padded values at one border only, which Keras 2 and 3 do in different ways."""
    sizes, steps = (values.get(key) for key in ("pool_size", "strides"))
    sizes, steps = ([each, each] if isinstance(each, int) else each for each in (sizes, steps or sizes))
    if values.get("padding") != "same" or not isinstance(sizes, list) or not isinstance(steps, list):
        return False
    return any(size > 2 and step > 1 for size, step in zip(sizes, steps, strict=False))


def _unknown(kind: str, name: str) -> str:
    if kind == "Lambda":
        return f"its layer {shown(name)} is a Lambda, which holds code"
    return f"its layer {shown(name)} is of a class that is not built in or not known, {shown(kind)}"
