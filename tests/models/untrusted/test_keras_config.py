"""Configurations of Keras networks, written anew: those of Keras 2 as well; what is not known is refused."""

from __future__ import annotations

from typing import Any

import pytest

from gradcam_cli.models.untrusted.keras.config import accepted
from gradcam_cli.models.untrusted.keras.values import KerasConfigError

KNOWN = {
    "Conv2D": {"filters", "kernel_size", "activation", "data_format", "dtype", "trainable"},
    "DepthwiseConv2D": {"kernel_size", "depth_multiplier", "dtype"},
    "BatchNormalization": {"axis", "epsilon", "dtype"},
    "Dense": {"units", "activation", "dtype"},
    "Rescaling": {"scale", "offset"},
    "Activation": {"activation"},
    "LeakyReLU": {"negative_slope"},
    "Bidirectional": {"layer", "merge_mode"},
    "LSTM": {"units", "activation"},
    "GlobalAveragePooling2D": {"keepdims"},
    "AveragePooling2D": {"pool_size", "strides", "padding"},
    **{kind: {"name", "axis"} for kind in ("Add", "Subtract", "Flatten", "Identity", "Flip", "TrueDivide")},
}
"""Class → the arguments that it takes."""
SHAPE = [None, 32, 32, 3]


def read(config: Any, *, older: bool = True) -> Any:
    return accepted(config, lambda _, kind: KNOWN.get(kind, ()), older=older)


def layer(kind: str, name: str, inbound: Any = None, **config: Any) -> dict[str, Any]:
    written = {"class_name": kind, "config": {"name": name, "trainable": True, "dtype": "float32", **config}}
    return written if inbound is None else {**written, "name": name, "inbound_nodes": inbound}


def sequential(*layers: dict[str, Any]) -> dict[str, Any]:
    return {"class_name": "Sequential", "config": {"name": "net", "layers": list(layers)}}


def graph(*layers: dict[str, Any], ends: Any = None) -> dict[str, Any]:
    first = layer("InputLayer", "in", [], batch_input_shape=SHAPE, sparse=False, ragged=False)
    ends = ends or [[layers[-1]["name"], 0, 0]]
    config = {"name": "net", "layers": [first, *layers], "input_layers": [["in", 0, 0]], "output_layers": ends}
    return {"class_name": "Functional", "config": config}


def tensor(name: str, call: int = 0, output: int = 0) -> dict[str, Any]:
    config = {"shape": [None], "dtype": "float32", "keras_history": [name, call, output]}
    return {"class_name": "__keras_tensor__", "config": config}


def layers_of(config: Any) -> list[dict[str, Any]]:
    return read(config)["config"]["layers"]


def test_a_sequence_of_keras_2():
    """The first layer has the input's shape; a module, where a layer has one, is not looked at."""
    first = {**layer("Conv2D", "conv/1", filters=4, kernel_size=[3, 3], batch_input_shape=SHAPE), "module": "evil"}
    found = layers_of(sequential(first, layer("BatchNormalization", "bn", axis=[3], epsilon=0.001, renorm=False)))
    assert [each["class_name"] for each in found] == ["InputLayer", "Conv2D", "BatchNormalization"]
    assert found[0]["config"]["batch_shape"] == SHAPE
    assert (found[1]["module"], found[1]["config"]["name"]) == ("keras.layers", "conv_1")
    assert found[2]["config"]["axis"] == 3


def test_what_inference_does_not_need_is_left_out():
    evil = {"module": "evil", "class_name": "Evil", "config": {}, "registered_name": "Evil"}
    given = layer("Conv2D", "conv", filters=4, kernel_initializer=evil, bias_regularizer=evil, kernel_constraint=evil)
    given["build_config"] = given["compile_config"] = evil
    (found,) = layers_of(sequential(given))
    assert found["config"] == {"name": "conv", "trainable": True, "dtype": "float32", "filters": 4}
    assert "evil" not in str(found).lower()


def test_number_formats_are_float32():
    policy = {"module": "keras", "class_name": "DTypePolicy", "config": {"name": "mixed_float16"}}
    (found,) = layers_of(sequential(layer("Dense", "d", units=3, dtype=policy)))
    assert found["config"]["dtype"] == "float32"


@pytest.mark.parametrize(("value", "kept"), [(1, True), (2, False)])
def test_a_key_that_is_not_known_has_to_mean_nothing(value, kept):
    config = sequential(layer("DepthwiseConv2D", "d", kernel_size=[3, 3], groups=value))
    if kept:
        assert "groups" not in layers_of(config)[0]["config"]
    else:
        with pytest.raises(KerasConfigError, match="DepthwiseConv2D has 'groups', which is not known"):
            read(config)


def test_calls_of_keras_2():
    """A nested network's first call is its second, since it has been called once in itself."""
    inner = sequential(layer("InputLayer", "inner_in", batch_input_shape=SHAPE), layer("Conv2D", "conv", filters=4))
    inner = {**inner, "name": "inner", "inbound_nodes": [[["in", 0, 0, {}]], [["in", 0, 0, {}]]]}
    inner["config"]["name"] = "inner"
    merged = layer("Add", "add", [[["inner", 1, 0, {}], ["inner", 2, 0, {}]]])
    found = layers_of(graph(inner, merged))
    assert found[1]["inbound_nodes"][0] == {"args": [tensor("in")], "kwargs": {}}
    assert found[2]["inbound_nodes"] == [{"args": [[tensor("inner", 0), tensor("inner", 1)]], "kwargs": {}}]
    assert read(graph(inner, ends=[["inner", 1, 0]]))["config"]["output_layers"] == ["inner", 0, 0]


def test_calls_of_keras_3_stay():
    call = {"args": [tensor("in"), 127.5], "kwargs": {"training": True, "mask": None}}
    divided = {**layer("TrueDivide", "a/b", [call]), "module": "keras.src.ops.numpy"}
    divided["config"] = {"name": "a/b"}
    found = layers_of(graph(divided))
    assert (found[1]["module"], found[1]["name"]) == ("keras.src.ops.numpy", "a_b")
    assert found[1]["inbound_nodes"] == [{"args": call["args"], "kwargs": {"mask": None}}], "a prediction never trains"


def operation(function: str, given: dict[str, Any], kind: str = "TFOpLambda") -> dict[str, Any]:
    return layer(kind, f"tf.{function}", [["in", 0, 0, given]], function=function)


OPERATIONS = {
    "math.truediv": ({"y": 127.5, "name": None}, "Rescaling", {"scale": 1 / 127.5, "offset": 0.0}),
    "math.subtract": ({"y": 1.0, "name": None}, "Rescaling", {"scale": 1.0, "offset": -1.0}),
    "__operators__.add": ({"y": 3.0}, "Rescaling", {"scale": 1.0, "offset": 3.0}),
    "math.multiply": ({"y": [1.0, 2.0, 3.0]}, "Rescaling", {"scale": [1.0, 2.0, 3.0], "offset": 0.0}),
    "nn.bias_add": ({"bias": [-1.5, -2.0], "data_format": "NHWC"}, "Rescaling", {"scale": 1.0, "offset": [-1.5, -2.0]}),
    "nn.relu": ({"name": None}, "Activation", {"activation": "relu"}),
    "nn.softmax": ({"axis": -1}, "Activation", {"activation": "softmax"}),
    "math.reduce_mean": ({"axis": [1, 2]}, "GlobalAveragePooling2D", {}),
}


@pytest.mark.parametrize("function", OPERATIONS)
def test_operations_of_tensorflow(function):
    given, kind, values = OPERATIONS[function]
    found = layers_of(graph(operation(function, given)))[1]
    assert found["class_name"] == kind
    assert {key: found["config"][key] for key in values} == values
    assert found["inbound_nodes"] == [{"args": [tensor("in")], "kwargs": {}}]


def test_the_order_of_colours():
    reverse = {"slice_spec": [{"class_name": "__ellipsis__"}, {"start": None, "stop": None, "step": -1}]}
    found = layers_of(graph(operation("__operators__.getitem", reverse, "SlicingOpLambda")))[1]
    assert (found["module"], found["class_name"], found["config"]["axis"]) == ("keras.src.ops.numpy", "Flip", -1)


def test_two_tensors():
    first = layer("Flatten", "flat", [[["in", 0, 0, {}]]])
    found = layers_of(graph(first, operation("math.subtract", {"y": ["flat", 0, 0]})))[2]
    assert found["class_name"] == "Subtract"
    assert found["inbound_nodes"] == [{"args": [[tensor("in"), tensor("flat")]], "kwargs": {}}]


@pytest.mark.parametrize(
    ("function", "given"),
    [("io.read_file", {"filename": "/etc/passwd"}), ("math.truediv", {"y": 0}), ("math.truediv", {"y": float("nan")}),
     ("nn.softmax", {"axis": 1}), ("math.reduce_mean", {"axis": [0]}), ("image.resize", {"size": [3, 3]})],
)  # fmt: skip
def test_operations_that_are_not_known(function, given):
    with pytest.raises(KerasConfigError, match="TensorFlow's"):
        read(graph(operation(function, given)))


REFUSED = {
    "a class of one's own": sequential({"module": "mine", "class_name": "Mine", "config": {"name": "x"}}),
    "a lambda": sequential(layer("Lambda", "x", function=["4wEAAAA", None, None])),
    "a network of one's own": {"module": "mine", "class_name": "MyModel", "config": {"layers": []}},
    "an activation of one's own": sequential(layer("Dense", "d", activation="mine")),
    "a function": sequential(layer("Dense", "d", activation={"class_name": "function", "config": "system"})),
    "a call": sequential(layer("Dense", "d", units={"class_name": "Popen", "config": {"args": "ls"}})),
    "a lambda among values": sequential(layer("Dense", "d", units={"class_name": "__lambda__", "config": {}})),
    "a class without a name": sequential(layer("Dense", "d", units={"class_name": None, "module": "mine"})),
    "uneven padding": sequential(layer("AveragePooling2D", "p", pool_size=[3, 3], strides=[2, 2], padding="same")),
    "whole numbers": sequential(layer("Dense", "d", quantization_config={"class_name": "Int8QuantizationConfig"})),
    "no layers": {"class_name": "Sequential", "config": {"name": "net"}},
    "no names": sequential({"class_name": None, "config": {}}),
    "two of one name": graph(*(layer("Flatten", name, [[["in", 0, 0, {}]]]) for name in ("a/b", "a_b"))),
    "odd connections": graph(layer("Flatten", "a", [[[1, 2]]])),
    "text": "Sequential",
    "nothing": None,
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_refused(name):
    with pytest.raises(KerasConfigError):
        read(REFUSED[name])


def test_depth():
    config: Any = layer("Dense", "d")
    for _ in range(3000):
        config = sequential(config)
    with pytest.raises(KerasConfigError, match="nested too deeply"):
        read(config)


def test_layers_within_layers():
    inner = layer("LSTM", "lstm", units=3, activation="tanh")
    (found,) = layers_of(sequential(layer("Bidirectional", "both", layer=inner, merge_mode="concat")))
    assert found["config"]["layer"]["module"] == "keras.layers"
    evil = {"module": "mine", "class_name": "Mine", "config": {"name": "x"}}
    with pytest.raises(KerasConfigError, match="not built in"):
        read(sequential(layer("Bidirectional", "both", layer=evil)))


def test_augmentation_does_nothing():
    (found,) = layers_of(sequential(layer("RandomRotation", "turn", factor=0.2, fill_mode="reflect")))
    assert (found["class_name"], found["config"]["name"]) == ("Identity", "turn")


def test_functions_that_have_changed():
    config = sequential(layer("Dense", "d", activation="hard_sigmoid"))
    assert read(config, older=False)["config"]["layers"][0]["config"]["activation"] == "hard_sigmoid"
    with pytest.raises(KerasConfigError, match="'hard_sigmoid' of Keras 2"):
        read(config)


@pytest.mark.parametrize(("size", "steps"), [([3, 3], [1, 1]), ([2, 2], None), ([2, 2], [2, 2])])
def test_even_padding(size, steps):
    config = sequential(layer("AveragePooling2D", "p", pool_size=size, strides=steps, padding="same"))
    assert read(config)["config"]["layers"][0]["config"]["padding"] == "same"
