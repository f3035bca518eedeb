"""Methods and model sources of other packages: loaded when named or listed, never in the place of ours, recorded."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pytest
import torch
import torchvision  # noqa: F401  # its first import must not fall into the fixture's table of modules

from gradcam_cli.cam.explainer import Explainer
from gradcam_cli.cam.methods.registry import check_method
from gradcam_cli.cli.main import run
from gradcam_cli.errors import UsageError
from gradcam_cli.models.load import load_model
from gradcam_cli.models.registry import check_name, find_models, plugin_of
from tests import plugin_package


@pytest.fixture
def zoo(tmp_path, monkeypatch):
    """Install a package with entry points; return a folder to work in."""
    plugin_package.install(tmp_path, monkeypatch)
    monkeypatch.setattr(sys, "modules", {name: each for name, each in sys.modules.items() if name != "zoo"})
    return tmp_path


def record_of(capfd, *arguments: object) -> dict:
    assert run(["image", *map(str, arguments), "--json", "-q"]) == 0
    return json.loads(capfd.readouterr().out.splitlines()[0])


def test_a_method(zoo, capfd, cat):
    record = record_of(capfd, cat, "-m", "tiny", "-o", zoo / "out", "--method", "edges:power=2")
    assert record["method"] == "edges:power=2"
    assert record["plugins"] == [{"group": "gradcam.methods", "name": "edges", "package": "zoo", "version": "1.2"}]
    assert "plugins" not in record_of(capfd, cat, "-m", "tiny", "-o", zoo / "out")


def test_a_method_is_a_function_or_a_record(zoo, small_net, batch):
    plain, signed = Explainer(small_net, "features", method=["edges:power=2", "signed-edges"])(batch)[0].maps
    np.testing.assert_array_equal(plain.values, signed.values)  # activations behind a ReLU are not negative
    assert (plain.method, signed.method) == ("edges:power=2", "signed-edges")
    assert (plain.rectified, signed.rectified) == (True, False)
    with pytest.raises(UsageError, match="edges has no parameter 'n'"):
        Explainer(small_net, "features", method="edges:n=1")
    for wrong in ("inf", "nan", "1e999"):
        with pytest.raises(UsageError, match=f"power cannot be '{wrong}'") as raised:
            Explainer(small_net, "features", method=f"edges:power={wrong}")
        assert raised.value.hint == "give a number"


def test_a_source(zoo, capfd, cat):
    record = record_of(capfd, cat, "-m", "zoo:small", "-o", zoo / "out", "--model-arg", "more=2")
    assert (record["model"], record["weights"]["source"]) == ("zoo:small", "zoo")
    assert record["plugins"] == [{"group": "gradcam.models", "name": "zoo", "package": "zoo", "version": "1.2"}]
    assert load_model("zoo:small").num_classes == 4
    assert [entry.name for entry in find_models("zoo:*")] == ["zoo:small"]
    torch.save(load_model("zoo:small").module.state_dict(), zoo / "small.pth")
    assert load_model("zoo:small", weights=zoo / "small.pth").num_classes == 4


def test_nothing_takes_the_place_of_ours(zoo, small_net, batch, capfd):
    named = Explainer(small_net, "features", method="gradcam")
    assert named.methods[0].plugin is None
    assert run(["methods"]) == 0
    captured = capfd.readouterr()
    names = [line.split("\t")[0] for line in captured.out.splitlines()]
    assert names.count("gradcam") == 1
    assert names[-6:] == ["broken", "edges", "nothing", "shapeless", "short", "signed-edges"]
    warnings = [line for line in captured.err.splitlines() if line.startswith("warning: ")]
    assert len(warnings) == 3, "one for what has our name, what cannot be imported, what is no method"
    assert all("zoo" in line for line in warnings)


def test_a_broken_one_is_one_line(zoo, capfd, cat):
    for arguments in (
        ["--method", "missing"], ["--method", "number"], ["-m", "bare:x"], ["-m", "zoo:nothing"],
    ):  # fmt: skip
        assert run(["image", str(cat), "-m", "tiny", "-o", str(zoo / "out"), *arguments]) == 2
        message, hint = capfd.readouterr().err.splitlines()[-2:]
        assert message.startswith("error: ")
        assert "of the package zoo 1.2 cannot be used" in message
        assert "GRADCAM_NO_PLUGINS=1" in hint


@pytest.mark.parametrize(
    ("method", "said"),
    [
        ("broken", "the method 'broken' of the package zoo 1.2 failed: RuntimeError: out of order"),
        ("nothing", "the method 'nothing' returned a NoneType"),
        ("shapeless", "the method 'shapeless' returned a Tensor of torch.float32 (1, "),
        ("short", "the method 'short' returned 1 maps for 2 pictures"),
    ],
)
def test_a_method_that_fails_is_named(method, said, zoo, capfd, cat):
    (zoo / "other.jpg").write_bytes(cat.read_bytes())
    pictures = [str(cat), str(zoo / "other.jpg")] if method == "short" else [str(cat)]
    assert run(["image", *pictures, "-m", "tiny", "-o", str(zoo / "out"), "--method", method]) == 1
    lines = capfd.readouterr().err.splitlines()
    assert any(said in line for line in lines)
    assert not any("fault of gradcam" in line for line in lines)
    assert not list((zoo / "out").glob("[!.]*"))


def test_a_method_may_return_any_floats(small_net, batch):
    def doubled(context):
        return context.activations.requires_grad_().double().mean(1)

    (found,) = Explainer(small_net, "features", method=doubled)(batch)[0].maps
    assert found.values.dtype == np.float32


def test_close_names_are_offered(zoo):
    with pytest.raises(UsageError) as raised:
        check_method("signed-edge")
    assert "signed-edges" in raised.value.hint
    with pytest.raises(UsageError, match="there are no models 'zoom:'") as raised:
        find_models("zoom:*")
    assert "timm:, " in raised.value.hint
    assert "zoo:" in raised.value.hint


def test_they_can_be_left_out(zoo, monkeypatch, small_net):
    monkeypatch.setenv("GRADCAM_NO_PLUGINS", "1")
    with pytest.raises(UsageError, match="there is no method 'edges'"):
        Explainer(small_net, "features", method="edges")
    assert plugin_of("zoo:small") is None, "it is what it would be without: code of that name"
    assert isinstance(check_name("zoo:small"), str)


def test_they_are_imported_when_named_and_not_before(zoo):
    code = """
import sys
from gradcam_cli.cli.main import run
from gradcam_cli.cam.methods.registry import check_method
from gradcam_cli.models.registry import check_name
run(["methods", "gradcam"]); run(["image", "no/such.jpg", "--method", "edges", "-m", "zoo:small"])
assert check_method("edges") == "edges" and check_name("zoo:small") == "zoo:small"
assert not {"zoo", "torch"} & set(sys.modules)
run(["methods", "edges"])
assert "zoo" in sys.modules
"""
    done = subprocess.run(
        [sys.executable, "-c", f"import sys; sys.path.insert(0, {str(zoo)!r}){code}"], capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


def test_a_function_of_ones_own(small_net, batch):
    def mean_activation(context, *, floor: float = 0.0):
        """Return the feature maps' mean."""
        return context.activations.mean(dim=1) - floor

    maps = Explainer(small_net, "features", method=[mean_activation, "gradcam"])(batch)[0].maps
    assert [each.method for each in maps] == ["mean_activation", "gradcam"]
    expected = small_net.features(batch[:1]).mean(dim=1)[0].detach().numpy()
    np.testing.assert_allclose(maps[0].values, np.maximum(expected, 0), atol=1e-6)
