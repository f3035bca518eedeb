"""Keras files: scores and maps equal plain Keras; what older files have is understood; nothing in them is executed."""

from __future__ import annotations

import importlib.util
import io
import json
import os
import subprocess
import sys
import zipfile
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch

from gradcam_cli import api
from gradcam_cli.cam.explainer import Explainer
from gradcam_cli.cam.layers.select import candidates
from gradcam_cli.cam.layers.trace import trace_network
from gradcam_cli.errors import ModelError
from gradcam_cli.models.load import load_model

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.peers
if importlib.util.find_spec("keras") is None:
    pytest.skip("pip install '.[test-all]' for keras", allow_module_level=True)

from gradcam_cli.models.sources.keras.backend import imported  # noqa: E402

keras = imported()
import h5py  # noqa: E402

L = keras.layers
SIDE = 48
KINDS = ("keras", "h5")


def cat_or_dog() -> Any:
    return keras.Sequential([
        L.Input((SIDE, SIDE, 3)), L.Conv2D(6, 3, activation="relu"), L.MaxPooling2D(),
        L.Conv2D(8, 3, activation="relu"), L.MaxPooling2D(), L.Flatten(), L.Dropout(0.5),
        L.Dense(16, activation="relu"), L.Dense(1, activation="sigmoid"),
    ])  # fmt: skip


def six_scenes() -> Any:
    return keras.Sequential([
        L.Input((SIDE, SIDE, 3)), L.RandomFlip(), L.RandomRotation(0.2), L.Rescaling(1 / 255),
        L.Conv2D(6, 3, padding="same"), L.BatchNormalization(), L.Activation("relu"), L.MaxPooling2D(),
        L.DepthwiseConv2D(3), L.SeparableConv2D(8, 3, activation="swish"), L.GlobalAveragePooling2D(),
        L.Dense(6, activation="softmax"),
    ])  # fmt: skip


def branches() -> Any:
    picture = L.Input((SIDE, SIDE + 16, 3))
    x = L.Normalization(mean=[100.0, 110.0, 120.0], variance=[4000.0] * 3)(picture)
    x = L.Conv2D(8, 3, strides=2, padding="same", use_bias=False)(x)
    shared = L.Conv2D(8, 3, padding="same", activation="relu", name="shared")
    left, right = shared(x), shared(L.LeakyReLU(0.1)(x))
    gate = L.Reshape((1, 1, 8))(L.Dense(8, activation="sigmoid")(L.GlobalAveragePooling2D()(left)))
    x = L.Concatenate()([L.Multiply()([left, gate]), L.Add()([right, left])])
    return keras.Model(picture, L.Dense(4)(L.GlobalMaxPooling2D()(L.ZeroPadding2D()(x))))


def transfer() -> Any:
    inner = L.Input((SIDE, SIDE, 3))
    x = L.PReLU(shared_axes=[1, 2])(L.Conv2D(8, 3, name="inner_conv")(inner))
    base = keras.Model(inner, L.BatchNormalization(name="last")(x), name="base_1.00")
    base.trainable = False
    picture = L.Input((SIDE, SIDE, 3))
    x = base(keras.applications.mobilenet_v2.preprocess_input(picture), training=False)
    x = keras.Sequential([L.Conv2D(6, 3, activation="elu"), L.GlobalAveragePooling2D()], name="head")(x)
    return keras.Model(picture, L.Dense(3, activation="softmax")(x))


def any_size() -> Any:
    return keras.Sequential([
        L.Input((None, None, 1)), L.Conv2D(4, 3, activation="relu"), L.Conv2D(4, 3), L.GlobalAveragePooling2D(),
        L.Dense(3),
    ])  # fmt: skip


NETWORKS = {
    "cat or dog": (cat_or_dog, "conv2d_1", 1, {"scale"}),
    "six scenes": (six_scenes, "separable_conv2d", 255, set()),
    "branches": (branches, "shared#2", 255, set()),
    "transfer": (transfer, "base_1_00.last", 255, set()),
    "any size": (any_size, "conv2d_1", 1, {"scale", "size"}),
}
"""Name → network, a layer in it, the value of white, and what is not known of its pictures."""


def made(name: str) -> Any:
    """Return a network of Keras with weights that are not zero."""
    keras.utils.clear_session()
    keras.utils.set_random_seed(0)
    network, rng = NETWORKS[name][0](), np.random.default_rng(0)
    for variable in network.weights:
        if variable.dtype == "float32":
            variable.assign(np.abs(variable.numpy() + rng.normal(0, 0.1, variable.shape)))
    for variable in network.trainable_weights:
        variable.assign(rng.normal(0, 0.3, variable.shape))
    return network


def pictures(name: str, count: int = 2) -> torch.Tensor:
    """Return pictures (N, H, W, C) of the values that a network takes."""
    network = NETWORKS[name]
    width = SIDE + 16 if name == "branches" else SIDE
    channels = 1 if name == "any size" else 3
    values = torch.rand(count, SIDE, width, channels, generator=torch.Generator().manual_seed(0))
    return values * network[2]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", NETWORKS)
def test_scores_and_preprocessing(tmp_path, name, kind):
    network, path = made(name), tmp_path / f"mine.{kind}"
    network.save(path)
    found = load_model(weights=path)
    expected = network(pictures(name), training=False)
    ours = found.module(pictures(name).permute(0, 3, 1, 2))
    torch.testing.assert_close(ours, expected.detach(), rtol=1e-5, atol=1e-6)
    preset, (_, _, scale, assumed) = found.preset, NETWORKS[name]
    assert (preset.scale, preset.mean, preset.std) == (scale, (0.0,) * preset.channels, (1.0,) * preset.channels)
    assert found.assumed == assumed
    assert preset.size == {"any size": None, "branches": (SIDE, SIDE + 16)}.get(name, (SIDE, SIDE))
    assert found.num_classes == expected.shape[1]


def keras_map(network: Any, place: str, batch: torch.Tensor, target: int) -> np.ndarray:
    """Return Grad-CAM's map by plain Keras: through a network to the layer, and one from there to the logits."""
    *outer, last = place.partition("#")[0].split(".")
    holder = network
    for each in outer:
        holder = holder.get_layer(each.replace("base_1_00", "base_1.00"))
    kept: list[torch.Tensor] = []
    hook = holder.get_layer(last).register_forward_hook(lambda _, __, output: kept.append(output))
    try:
        for parameter in network.parameters():
            parameter.requires_grad_(parameter.is_floating_point())
        scores = network(batch, training=False)
    finally:
        hook.remove()
    logits = getattr(scores, "_keras_logits", scores)
    score = logits[0, target] if logits.shape[1] > 1 else (logits[0, 0] if target else -logits[0, 0])
    (gradient,) = torch.autograd.grad(score, kept[-1])
    return (gradient.mean((1, 2), keepdim=True) * kept[-1]).sum(-1).clamp(min=0)[0].detach().numpy()


@pytest.mark.parametrize("name", NETWORKS)
def test_maps_equal_plain_keras(tmp_path, name):
    network, place = made(name), NETWORKS[name][1]
    network.save(tmp_path / "mine.keras")
    found, batch = load_model(weights=tmp_path / "mine.keras"), pictures(name, 1)
    size, channels = tuple(batch.shape[1:3]), found.preset.channels
    explainer = Explainer(found.module, place, input_size=size, channels=channels, optimize=True)
    shown = 0
    for target in range(max(2, found.num_classes)):
        ours = explainer(batch.permute(0, 3, 1, 2), target)[0].maps[0].values
        expected = keras_map(network, place, batch, target)
        shown += bool(expected.any())
        np.testing.assert_allclose(ours, expected, atol=1e-4 * max(expected.max(), 1e-6))
    assert shown


def test_layers_have_their_names_and_kinds(tmp_path):
    made("transfer").save(tmp_path / "mine.keras")
    module = load_model(weights=tmp_path / "mine.keras").module
    listed = {each.name: each for each in candidates(module, trace_network(module, (SIDE, SIDE)))}
    assert listed["base_1_00.inner_conv"].kind == "Conv2D"
    assert listed["base_1_00.inner_conv"].parameters == 8 * 27 + 8
    assert listed["base_1_00.last"].grid == (SIDE - 2, SIDE - 2)
    made("cat or dog").save(tmp_path / "other.keras")
    module = load_model(weights=tmp_path / "other.keras").module
    assert Explainer(module, input_size=(SIDE, SIDE)).layers[0].name == "conv2d_1", "not the pooling after it"


@pytest.mark.parametrize("method", ["scorecam", "ablationcam", "guided-backprop", "layercam", "gradcam++"])
def test_every_way_to_run_it(tmp_path, photo, method):
    made("six scenes").save(tmp_path / "mine.keras")
    explained = api.explain(photo, weights=tmp_path / "mine.keras", method=method)
    assert explained.map.shape == photo.shape[:2]
    assert np.isfinite(explained.map).all()


def test_names_of_classes(tmp_path):
    made("cat or dog").save(tmp_path / "mine.h5")
    with h5py.File(tmp_path / "mine.h5", "a") as file:
        file.attrs["class_names"] = ["cat", "dog"]
    assert load_model(weights=tmp_path / "mine.h5").labels == ("cat", "dog")
    made("any size").save(tmp_path / "mine.keras")
    (tmp_path / "mine.gradcam.toml").write_text('labels = ["x", "y", "z"]\nscale = 255\nmean = 0\nstd = 1\nsize = 64\n')
    found = load_model(weights=tmp_path / "mine.keras")
    assert found.labels == ("x", "y", "z")
    assert (found.preset.scale, found.assumed) == (255, frozenset())


def test_several_outputs(tmp_path):
    picture = L.Input((SIDE, SIDE, 3))
    x = L.GlobalAveragePooling2D()(L.Conv2D(4, 3, activation="relu")(picture))
    keras.Model(picture, {"kind": L.Dense(3)(x), "age": L.Dense(1)(x)}).save(tmp_path / "mine.keras")
    found = load_model(weights=tmp_path / "mine.keras")
    assert set(found.module(torch.rand(1, 3, SIDE, SIDE))) == {"kind", "age"}
    assert Explainer(found.module, input_size=(SIDE, SIDE), output="kind").classes == 3


SCALING = {
    "nothing": (lambda x: x, None),
    "to 1": (lambda x: L.Rescaling(1 / 255)(x), 255),
    "to -1…1": (keras.applications.mobilenet_v2.preprocess_input, 255),
    "a mean": (keras.applications.resnet50.preprocess_input, 255),
    "statistics of bytes": (lambda x: L.Normalization(mean=[120.0] * 3, variance=[4000.0] * 3)(x), 255),
    "from 0…1": (lambda x: x * 2.0 - 1.0, 1),
    "statistics of 0…1": (lambda x: L.Normalization(mean=[0.45] * 3, variance=[0.05] * 3)(x), 1),
    "an order": (lambda x: keras.ops.flip(x, -1), None),
}
"""What stands before the first weights, and the value of white that it shows."""


@pytest.mark.parametrize("name", SCALING)
def test_the_value_of_white_is_what_the_network_shows(tmp_path, name):
    before, white = SCALING[name]
    picture = L.Input((SIDE, SIDE, 3))
    x = L.GlobalAveragePooling2D()(L.Conv2D(4, 3)(before(picture)))
    keras.Model(picture, L.Dense(2)(x)).save(tmp_path / "mine.keras")
    found = load_model(weights=tmp_path / "mine.keras")
    assert (found.preset.scale, found.assumed) == ((white, set()) if white else (1, {"scale"}))


def test_networks_within_that_name_their_ends(tmp_path):
    inner = {key: L.Input((SIDE, SIDE, 3)) for key in ("q", "p")}
    outer = L.Input((SIDE, SIDE, 3))
    mixed = {"z": L.GlobalAveragePooling2D()(inner["p"]), "a": L.GlobalMaxPooling2D()(inner["q"])}
    found = keras.Model(inner, mixed, name="inner")({"p": L.Conv2D(4, 1)(outer)[..., :3], "q": outer})
    network = keras.Model(outer, L.Dense(3)(found["z"]) + 3 * L.Dense(3)(found["a"]))
    network.save(tmp_path / "mine.keras")
    batch = torch.rand(2, SIDE, SIDE, 3)
    ours = load_model(weights=tmp_path / "mine.keras").module(batch.permute(0, 3, 1, 2))
    torch.testing.assert_close(ours, network(batch, training=False).detach(), rtol=1e-5, atol=1e-5)


def test_arguments_of_training_are_not_heeded(tmp_path):
    """As by predict, which is right for a network that was saved with them."""
    picture = L.Input((SIDE, SIDE, 3))
    x = L.BatchNormalization()(L.Conv2D(4, 3)(picture), training=True)
    x = L.Dropout(0.5)(L.GlobalAveragePooling2D()(x), training=True)
    network = keras.Model(picture, L.Dense(3)(x))
    network.save(tmp_path / "mine.keras")
    batch = torch.rand(2, SIDE, SIDE, 3)
    ours = load_model(weights=tmp_path / "mine.keras").module(batch.permute(0, 3, 1, 2)).numpy()
    np.testing.assert_allclose(ours, network.predict(batch.numpy(), verbose=0), atol=1e-5)


def changed(path: Path, change: Any) -> Path:
    """Write a ``.keras`` file anew with another configuration."""
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    config = json.loads(members["config.json"])
    change(config)
    members["config.json"] = json.dumps(config).encode()
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path


def _call(config: Any) -> None:
    config["config"]["layers"][1]["config"]["activation"] = {
        "module": "os", "class_name": "function", "config": "system", "registered_name": "function",
    }  # fmt: skip


def _custom(config: Any) -> None:
    config["config"]["layers"][1].update(module="evil.layers", class_name="Conv2D")


def _elsewhere(config: Any) -> None:
    config["config"]["layers"][1].update(module="subprocess", class_name="Popen", config={"args": "touch marker"})


def _lambda(config: Any) -> None:
    function = {"class_name": "__lambda__", "config": {"value": "4wEAAAA=", "defaults": None, "closure": None}}
    config["config"]["layers"][1].update(class_name="Lambda", config={"name": "x", "function": function})


def _wrapped(config: Any) -> None:
    config["config"]["layers"][1].update(class_name="TorchModuleWrapper", config={"module": "gASVHgAAAAAAAACMBXBvc2l4"})


def _words(config: Any) -> None:
    config["config"]["layers"][1].update(class_name="StringLookup", config={"vocabulary": "/etc/passwd"})


def _initial(config: Any) -> None:
    config["config"]["layers"][1]["config"]["kernel_initializer"] = {
        "module": "evil", "class_name": "Evil", "config": {}, "registered_name": "Evil",
    }  # fmt: skip


def _compiled(config: Any) -> None:
    config["compile_config"] = {"optimizer": {"module": "evil", "class_name": "Evil", "config": {}}}


HOSTILE = {_call: "activation of its own, 'system'", _elsewhere: "not built in", _lambda: "holds code",
           _wrapped: "not built in", _words: "not built in"}  # fmt: skip
HARMLESS = (_custom, _initial, _compiled)
"""Their names of modules are not looked at: a layer is Keras's own of that name, and initial values are not needed."""


@pytest.mark.parametrize("change", [*HOSTILE, *HARMLESS], ids=lambda change: change.__name__)
def test_nothing_is_executed(tmp_path, monkeypatch, change):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "evil.py").write_text("open('marker', 'w')\nEvil = Conv2D = print\n")
    monkeypatch.syspath_prepend(tmp_path)
    network = made("cat or dog")
    network.save("mine.keras")
    path = changed(tmp_path / "mine.keras", change)
    if change in HOSTILE:
        with pytest.raises(ModelError, match=HOSTILE[change]) as raised:
            load_model(weights=path)
        assert raised.value.hint
    else:
        ours = load_model(weights=path).module(pictures("cat or dog").permute(0, 3, 1, 2))
        torch.testing.assert_close(ours, network(pictures("cat or dog"), training=False).detach())
    assert not (tmp_path / "marker").exists()


def test_links_to_other_files_are_refused(tmp_path):
    made("cat or dog").save(tmp_path / "mine.h5")
    with h5py.File(tmp_path / "other.h5", "w") as other:
        other["secret"] = np.zeros((3, 3, 3, 6))
    for link in (h5py.ExternalLink("other.h5", "/secret"), h5py.SoftLink("/model_weights/dense")):
        with h5py.File(tmp_path / "mine.h5", "a") as file:
            del file["model_weights/conv2d"]
            file["model_weights/conv2d"] = link
        with pytest.raises(ModelError, match="is a link to another place"):
            load_model(weights=tmp_path / "mine.h5")
    layout = h5py.VirtualLayout((3,), dtype="f4")
    layout[:] = h5py.VirtualSource(str(tmp_path / "other.h5"), "secret", (3,))
    with h5py.File(tmp_path / "mine.h5", "a") as file:
        del file["model_weights/conv2d"]
        file["model_weights"].create_virtual_dataset("conv2d", layout)
    with pytest.raises(ModelError, match="is a link to another file"):
        load_model(weights=tmp_path / "mine.h5")


def test_files_that_unfold_are_refused(tmp_path):
    made("cat or dog").save(tmp_path / "mine.h5")
    with h5py.File(tmp_path / "mine.h5", "a") as file:
        file["model_weights"].create_dataset("huge", (1 << 40,), "f4", chunks=(1 << 16,), compression="gzip")
    with pytest.raises(ModelError, match="unfolds to far more than it holds"):
        load_model(weights=tmp_path / "mine.h5")


@pytest.mark.parametrize("kind", KINDS)
def test_damage_is_one_line(tmp_path, kind):
    path = tmp_path / f"mine.{kind}"
    made("cat or dog").save(path)
    whole = path.read_bytes()
    for content in (whole[: len(whole) // 2], whole[:100], whole[:2000] + bytes(3000) + whole[5000:]):
        path.write_bytes(content)
        with pytest.raises(ModelError) as raised:
            load_model(weights=path)
        assert "\n" not in raised.value.message
        assert raised.value.hint


def test_weights_of_another_network_are_refused(tmp_path):
    made("cat or dog").save(tmp_path / "mine.keras")
    made("six scenes").save(tmp_path / "other.keras")
    with zipfile.ZipFile(tmp_path / "other.keras") as archive:
        weights = archive.read("model.weights.h5")
    stored = io.BytesIO()
    with zipfile.ZipFile(tmp_path / "mine.keras") as archive, zipfile.ZipFile(stored, "w") as written:
        written.writestr("config.json", archive.read("config.json"))
        written.writestr("model.weights.h5", weights)
    (tmp_path / "mine.keras").write_bytes(stored.getvalue())
    with pytest.raises(ModelError, match="cannot be used"):
        load_model(weights=tmp_path / "mine.keras")


def test_what_is_no_network_of_pictures(tmp_path):
    made("cat or dog").save_weights(tmp_path / "mine.weights.h5")
    with pytest.raises(ModelError, match="its weights alone"):
        load_model(weights=tmp_path / "mine.weights.h5")
    keras.Sequential([L.Input((10,)), L.Dense(2)]).save(tmp_path / "table.keras")
    with pytest.raises(ModelError, match="no batch of pictures"):
        load_model(weights=tmp_path / "table.keras")
    one, two = L.Input((SIDE, SIDE, 3)), L.Input((5,))
    both = L.Concatenate()([L.GlobalAveragePooling2D()(one), two])
    keras.Model([one, two], L.Dense(2)(both)).save(tmp_path / "two.keras")
    with pytest.raises(ModelError, match="takes 2 inputs"):
        load_model(weights=tmp_path / "two.keras")
    with pytest.raises(ModelError, match="a whole network, not weights for resnet18"):
        load_model("resnet18", weights=tmp_path / "two.keras")


def test_the_users_settings_are_left_alone(tmp_path):
    code = (
        "import os; from gradcam_cli.models.sources.keras.backend import imported; "
        "print(imported().backend.backend(), os.environ.get('KERAS_BACKEND'), os.environ.get('KERAS_HOME'))"
    )
    given = {**os.environ, "KERAS_BACKEND": "tensorflow", "KERAS_HOME": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", code], env=given, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["torch", "tensorflow", str(tmp_path)]
    assert not list(tmp_path.iterdir())
