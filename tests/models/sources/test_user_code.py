"""Networks that code of the user's own makes, by file and by module."""

from __future__ import annotations

import sys
from textwrap import dedent

import pytest
import torch
from torch import nn

from gradcam_cli.errors import ModelError, UsageError
from gradcam_cli.models.load import load_model, outline
from gradcam_cli.models.sources.user_code.spec import check_code, parse_argument

NET = """
    import torch
    from torch import nn
    from helper import WIDTH

    print("this is no result")

    class Net(nn.Module):
        def __init__(self, num_classes=4, depth=1):
            super().__init__()
            self.features = nn.Sequential(*(nn.Conv2d(3 if i == 0 else WIDTH, WIDTH, 3) for i in range(depth)))
            self.head = nn.Linear(WIDTH, num_classes)

        def forward(self, x):
            return self.head(self.features(x).mean((2, 3)))

    def build(num_classes=4, **options):
        return Net(num_classes, **options).half()

    def fixed():
        return Net(5)

    def flat():
        return nn.Sequential(nn.Conv2d(3, 2, 3, stride=2, padding=1), nn.Flatten(), nn.Linear(2 * 16 * 16, 7))

    def pair():
        return Net(), None

    def fails(position=3):
        return [1, 2][position]

    def quits():
        raise SystemExit("usage: train.py DATA")

    ready_made = Net(2)
    number = 3
"""


@pytest.fixture
def net(tmp_path):
    """Write the file and its helper; return the file."""
    (tmp_path / "helper.py").write_text("WIDTH = 6\n")
    (tmp_path / "my-net.py").write_text(dedent(NET))
    return tmp_path / "my-net.py"


@pytest.mark.parametrize(("name", "classes"), [("build", 4), ("Net", 4), ("fixed", 5), ("flat", 7), ("ready_made", 2)])
def test_what_a_file_can_offer(net, name, classes):
    network = load_model(f"{net}:{name}")
    assert network.num_classes == classes
    assert (network.weights.path, network.weights.sha256()) == (None, None)
    assert not network.module.training
    assert {parameter.dtype for parameter in network.module.parameters()} == {torch.float32}
    assert not any(parameter.requires_grad for parameter in network.module.parameters())
    assert network.notes == (f"without a checkpoint the network is as {net}:{name} returns it, trained or not",)


def test_arguments_and_standard_output(net, capsys):
    network = load_model(f"{net}:build", arguments={"num_classes": 9, "depth": 3})
    assert (network.num_classes, len(network.module.features)) == (9, 3)
    captured = capsys.readouterr()
    assert (captured.out, captured.err) == ("", "this is no result\n")


def test_a_checkpoint_of_another_number_of_classes(net, tmp_path):
    original = load_model(f"{net}:Net", arguments={"num_classes": 3}).module
    torch.save({"state_dict": original.state_dict()}, tmp_path / "x.pth")
    network = load_model(f"{net}:build", weights=tmp_path / "x.pth")
    assert (network.num_classes, network.notes) == (3, ())
    assert torch.equal(network.module.head.weight, original.head.weight)
    with pytest.raises(ModelError, match="do not fit"):
        load_model(f"{net}:fixed", weights=tmp_path / "x.pth")


def test_two_labels_for_one_score(net, tmp_path):
    (tmp_path / "labels.txt").write_text("cat\ndog\n")
    network = load_model(f"{net}:build", arguments={"num_classes": 1}, labels=tmp_path / "labels.txt")
    assert (network.num_classes, network.labels) == (1, ("cat", "dog"))


def test_a_package_in_the_current_directory(tmp_path, monkeypatch):
    (tmp_path / "shapes" / "nets").mkdir(parents=True)
    source = "from torch import nn\nclass Small(nn.Sequential):\n    def __init__(self):\n"
    (tmp_path / "shapes" / "nets" / "small.py").write_text(f"{source}        super().__init__(nn.Conv2d(3, 2, 1))\n")
    monkeypatch.chdir(tmp_path)
    assert isinstance(load_model("shapes.nets.small:Small").module[0], nn.Conv2d)
    with pytest.raises(UsageError, match=r"no module 'shapes\.nets\.smal'"):
        load_model("shapes.nets.smal:Small")


def test_files_of_the_same_name_do_not_meet(net, tmp_path):
    """Neither the files nor what they import."""
    other = tmp_path / "other"
    other.mkdir()
    (other / "helper.py").write_text("WIDTH = 2\n")
    (other / net.name).write_text(net.read_text())
    path = list(sys.path)
    widths = [load_model(f"{file}:Net").module.head.in_features for file in (net, other / net.name, net)]
    assert widths == [6, 2, 6]
    assert sys.path == path


def test_a_file_that_is_called_like_a_library(tmp_path):
    (tmp_path / "types.py").write_text("from torch import nn\ndef build(): return nn.Conv2d(3, 2, 1)\n")
    library = sys.modules["types"]
    assert isinstance(load_model(f"{tmp_path}/types.py:build").module, nn.Conv2d)
    assert sys.modules["types"] is library


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("fails", "IndexError: list index out of range"),
        ("quits", "SystemExit: usage: train.py DATA"),
        ("pair", "returns a value of type tuple, not a torch.nn.Module"),
    ],
)
def test_code_that_fails(net, name, message):
    with pytest.raises(ModelError, match=message) as caught:
        load_model(f"{net}:{name}")
    assert caught.value.hint
    if name == "fails":
        line = next(number for number, text in enumerate(net.read_text().splitlines(), 1) if "[1, 2]" in text)
        assert f"my-net.py, line {line})" in caught.value.message


@pytest.mark.parametrize(
    ("arguments", "message", "hint"),
    [({"classes": 3}, "unexpected keyword argument 'classes'", "num_classes=4, depth=1")],
)
def test_arguments_that_the_class_does_not_take(net, arguments, message, hint):
    with pytest.raises(UsageError, match=message) as caught:
        load_model(f"{net}:Net", arguments=arguments)
    assert hint in caught.value.hint


def test_a_value_that_is_no_function(net):
    with pytest.raises(UsageError, match="value of type int"):
        load_model(f"{net}:number")


@pytest.mark.parametrize("spec", ["resnet18", "tiny", "timm:resnet18"])
def test_arguments_are_for_code_alone(spec):
    with pytest.raises(UsageError):
        load_model(spec, arguments={"depth": 3})


@pytest.mark.parametrize("batch", [torch.zeros(2, 0), torch.zeros(0)])
def test_a_network_without_classes(batch, tmp_path):
    (tmp_path / "none.py").write_text(
        f"import torch\nfrom torch import nn\nclass Net(nn.Module):\n    def forward(self, x):\n"
        f"        return torch.zeros({tuple(batch.shape)})\n"
    )
    with pytest.raises(ModelError, match=r"none\.py:Net returns a network without classes") as caught:
        load_model(f"{tmp_path}/none.py:Net")
    assert "num_classes" in caught.value.hint


def test_a_network_without_values(tmp_path):
    (tmp_path / "m.py").write_text("from torch import nn\ndef build(): return nn.Conv2d(3, 2, 1, device='meta')\n")
    with pytest.raises(ModelError, match="without values"):
        load_model(f"{tmp_path}/m.py:build")


def test_parameters_of_five_dimensions(tmp_path):
    source = "import torch\nfrom torch import nn\nclass Net(nn.Conv2d):\n    def __init__(self):\n"
    source += "        super().__init__(3, 2, 1)\n        self.places = nn.Parameter(torch.ones(1, 1, 3, 2, 2))\n"
    (tmp_path / "five.py").write_text(source)
    assert load_model(f"{tmp_path}/five.py:Net").module.places.ndim == 5


def test_an_outline_is_built_as_the_code_does(net):
    assert not next(outline(f"{net}:flat").module.parameters()).is_meta


@pytest.mark.parametrize(
    ("spec", "message", "hint"),
    [
        ("{}:biuld", "no function or class 'biuld'", "build"),
        ("{}", "does not say", "my-net.py:Net"),
        ("{}:", "names no function", "FILE.py:FUNCTION"),
        ("{}x.py:build", "there is no such file", "check"),
        ("no_such_package.nets:Net", "no module 'no_such_package'", "current directory"),
        ("a/b:c", "names no Python file", "FILE.py"),
    ],
)
def test_what_is_known_without_running_it(net, spec, message, hint):
    with pytest.raises(UsageError, match=message) as caught:
        check_code(spec.format(net))
    assert hint in caught.value.hint
    assert "helper" not in sys.modules or sys.modules["helper"].__file__ != str(net.parent / "helper.py")


@pytest.mark.parametrize("text", ["from somewhere import *", "globals()['build'] = 3", "from x import make as build"])
def test_names_that_only_running_tells_are_left_to_that(tmp_path, text):
    (tmp_path / "dynamic.py").write_text(text)
    assert check_code(f"{tmp_path}/dynamic.py:build")


def test_a_file_that_cannot_be_parsed(tmp_path):
    (tmp_path / "x.py").write_text("\ndef f(:\n")
    with pytest.raises(UsageError, match=r"SyntaxError: .*x\.py, line 2"):
        check_code(f"{tmp_path}/x.py:f")


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("depth=18", 18), ("rate=1e-3", 1e-3), ("widths=(8, 16)", (8, 16)), ("on=True", True), ("path=a=b", "a=b"),
        ("name=resnet", "resnet"), ("quoted='3'", "3"), ("empty=", ""), ("nothing=None", None),
    ],
)  # fmt: skip
def test_arguments_are_literals_or_text(text, value):
    assert parse_argument(text) == (text.partition("=")[0], value)


@pytest.mark.parametrize("text", ["depth", "=3", "a b=3"])
def test_what_is_no_argument(text):
    with pytest.raises(UsageError, match="is no argument"):
        parse_argument(text)
