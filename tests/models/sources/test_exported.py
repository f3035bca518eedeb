"""Archives of torch.export: run in the tree of modules they came from; of them never more than tensor operations."""

from __future__ import annotations

import io
import json
import logging
import pickle
import warnings
import zipfile

import pytest
import torch
from torch import nn

from gradcam_cli.cam.explainer import Explainer
from gradcam_cli.cam.layers.trace import trace_network
from gradcam_cli.errors import ModelError
from gradcam_cli.models.load import load_model
from gradcam_cli.models.untrusted.export_archive import _is_size
from tests.models.checkpoints.test_read import Evil, check_line
from tests.models.conftest import tiny_net

pytestmark = pytest.mark.slow

SIDE = 48


class Net(nn.Module):
    """A classifier with blocks in blocks, one of which is called twice."""

    def __init__(self, channels: int = 3, classes: int = 4) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(channels, 8, 3, stride=2, padding=1), nn.BatchNorm2d(8), nn.ReLU())
        self.block = nn.Sequential(nn.Conv2d(8, 8, 3, padding=1), nn.ReLU())
        self.last = nn.Conv2d(8, 12, 3, stride=2, padding=1)
        self.drop = nn.Dropout()
        self.head = nn.Linear(12, classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.stem(x)
        x = x + self.block(self.block(x))
        return self.head(self.drop(torch.relu(self.last(x)).mean((2, 3))))


def seeded(channels: int = 3) -> Net:
    torch.manual_seed(0)
    net = Net(channels)
    net.stem[1].running_mean.uniform_(-0.3, 0.3)
    net.stem[1].running_var.uniform_(0.5, 1.5)
    return net.eval()


def exported(net: nn.Module, path, *, batch: int | None = None, side: int = SIDE, channels: int = 3, width: int = 0):
    pictures = torch.randn(batch or 2, channels, side, width or side)
    shapes = None if batch else ({0: torch.export.Dim("n")},)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.export.save(torch.export.export(net, (pictures,), dynamic_shapes=shapes), path)
    return path


@pytest.fixture(autouse=True)
def quiet():
    logging.getLogger("torch.export").setLevel(logging.CRITICAL)


@pytest.mark.parametrize("batch", [None, 1])
@pytest.mark.parametrize("layer", ["auto", "stem", "stem.0", "last"])
@pytest.mark.parametrize("optimize", [True, False])
def test_maps_are_those_of_the_network(batch, layer, optimize, tmp_path):
    net = seeded()
    network = load_model(weights=exported(net, tmp_path / "x.pt2", batch=batch))
    assert (network.num_classes, network.labels, network.one_by_one) == (4, None, batch == 1)
    assert (network.preset.crop, network.preset.channels) == (SIDE, 3)
    assert network.assumed == {"mean", "std"}
    picture = torch.randn(1, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(1))
    found = Explainer(network.module, layer, input_size=(SIDE, SIDE), optimize=optimize)
    expected = Explainer(net, found.layers[0].name, input_size=(SIDE, SIDE))(picture, [2])[0]
    got = found(picture, [2])[0]
    assert got.logits == pytest.approx(expected.logits, abs=1e-5)
    assert abs(got.maps[0].values - expected.maps[0].values).max() <= 1e-6 * max(1, expected.maps[0].values.max())
    if layer == "auto":
        assert found.layers[0].name == "last"


def test_one_channel_and_the_bundled_network(tmp_path):
    network = load_model(weights=exported(seeded(1), tmp_path / "x.pt2", channels=1))
    assert (network.preset.channels, len(network.preset.mean)) == (1, 1)
    tiny = tiny_net()
    network = load_model(weights=exported(tiny, tmp_path / "y.pt2"))
    picture = torch.randn(2, 3, SIDE, SIDE)
    assert torch.allclose(network.module(picture), tiny(picture), atol=1e-6)


def test_its_size_is_fixed(tmp_path):
    network = load_model(weights=exported(seeded(), tmp_path / "x.pt2"))
    with pytest.raises(ValueError, match="any×3×48×48, not 2×3×64×64"):
        network.module(torch.randn(2, 3, 64, 64))


class Logits(nn.Module):
    def __init__(self, how):
        super().__init__()
        self.net, self.how = Net(), how

    def forward(self, x):
        scores = self.net(x)
        return {
            "dict": {"logits": scores},
            "tuple": (scores,),
            "one": scores[:, 0],
            "squeezed": scores.squeeze(),
            "spatial": scores[:, :, None, None],
            "last": scores[:, None, None],
            "grid": x,
        }[self.how]


@pytest.mark.parametrize(("how", "count"), [("dict", 4), ("tuple", 4), ("one", 1), ("spatial", 4), ("last", 4)])
def test_outputs_in_containers(how, count, tmp_path):
    assert load_model(weights=exported(Logits(how).eval(), tmp_path / "x.pt2")).num_classes == count


@pytest.mark.parametrize(("how", "count"), [("one", 1), ("squeezed", 4), ("spatial", 4), ("last", 4)])
def test_scores_of_one_picture(how, count, tmp_path):
    network = load_model(weights=exported(Logits(how).eval(), tmp_path / "x.pt2", batch=1))
    assert network.num_classes == trace_network(network.module, (SIDE, SIDE)).classes == count


@pytest.mark.parametrize(
    ("ending", "activation"), [(nn.Softmax(1), "softmax"), (nn.Sigmoid(), "sigmoid"), (nn.Tanh(), None)]
)
def test_probabilities_are_recognised(ending, activation, tmp_path):
    network = load_model(weights=exported(nn.Sequential(Net(), ending).eval(), tmp_path / "x.pt2"))
    assert trace_network(network.module, (SIDE, SIDE)).readout.probabilities == activation


def refusal(path) -> ModelError:
    with pytest.raises(ModelError) as caught:
        load_model(weights=path)
    check_line(caught.value)
    return caught.value


def test_what_cannot_be_explained_is_refused(tmp_path):
    path = tmp_path / "x.pt2"
    assert "no class scores" in refusal(exported(Logits("grid").eval(), path)).message
    assert "5 pictures at a time" in refusal(exported(seeded(), path, batch=5)).message
    assert "not square" in refusal(exported(seeded(), path, width=64)).message
    assert "training mode" in refusal(exported(seeded().train(), path)).message


def test_a_name_does_not_go_with_it(tmp_path):
    with pytest.raises(ModelError, match="a whole network, not weights for tiny"):
        load_model("tiny", weights=exported(seeded(), tmp_path / "x.pt2"))


def changed(path, member: str, change):
    """Write an archive anew with one member changed, or added where there is none."""
    with zipfile.ZipFile(path) as archive:
        root = archive.namelist()[0].partition("/")[0]
        members = {name.partition("/")[2]: archive.read(name) for name in archive.namelist()}
    members[member] = change(members.get(member, b""))
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in members.items():
            archive.writestr(f"{root}/{name}", data)
    return path


def graph(change):
    def edit(data: bytes) -> bytes:
        program = json.loads(data)
        change(program)
        return json.dumps(program).encode()

    return edit


def nodes(program):
    return program["graph_module"]["graph"]["nodes"]


CODE = "__import__('pathlib').Path(__import__('os').environ['GRADCAM_TEST_MARKER']).touch()"


def _expression(program):
    values = program["graph_module"]["graph"]["tensor_values"]
    for value in values.values():
        for size in value["sizes"]:
            if "as_expr" in size:
                size["as_expr"]["expr_str"] = CODE


HOSTILE = {
    "operation": lambda p: nodes(p)[0].update(target="torch.os.system"),
    "operation by getattr": lambda p: nodes(p)[0].update(target="torch.ops.aten.__class__.__init__"),
    "operation on files": lambda p: nodes(p)[0].update(target="torch.ops.aten.from_file.default"),
    "operation of another library": lambda p: nodes(p)[0].update(target="torch.ops.mylib.run.default"),
    "operator": lambda p: nodes(p)[0].update(target="_operator.methodcaller"),
    "extension": lambda p: nodes(p)[0].update(target="#higher:run"),
    "expression": _expression,
    "expression behind a name that is skipped": lambda p: p["graph_module"]["graph"]["tensor_values"].update(
        in_spec={"sizes": [{"as_expr": {"expr_str": CODE}}]}
    ),
    "name that becomes code": lambda p: nodes(p)[0]["outputs"][0]["as_tensor"].update(name=f"x = {CODE}"),
    "node's name": lambda p: nodes(p)[0].update(name=f"x\n{CODE}"),
    "module's name": lambda p: nodes(p)[0]["metadata"].update(nn_module_stack=f'a,b"{CODE},c'),
    "container": lambda p: p["graph_module"]["module_call_graph"][0]["signature"].update(
        out_spec='[1, {"type": "os.system", "context": "\\"x\\"", "children_spec": []}]'
    ),
    "value": lambda p: nodes(p)[0]["inputs"][0].update(arg={"as_custom_obj": {"name": "x", "class_fqn": "y"}}),
    "word": lambda p: nodes(p)[0]["inputs"][0].update(arg={"as_string": "/etc/passwd"}),
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_hostile_graphs_are_refused(kind, tmp_path, marker):
    path = exported(seeded(), tmp_path / "x.pt2")
    changed(path, "models/model.json", graph(HOSTILE[kind]))
    assert "not accepted" in refusal(path).message


def test_guards_are_never_evaluated(tmp_path, marker):
    path = exported(seeded(), tmp_path / "x.pt2")
    changed(path, "models/model.json", graph(lambda p: p.update(guards_code=[CODE], torch_version=CODE)))
    assert load_model(weights=path).num_classes == 4


def test_pickles_are_refused_or_left_out(tmp_path, marker):
    path = exported(seeded(), tmp_path / "x.pt2")
    evil = io.BytesIO()
    torch.save({"x": Evil()}, evil)
    changed(path, "data/sample_inputs/model.pt", lambda _: evil.getvalue())
    changed(path, "data/constants/custom_obj_0", lambda _: pickle.dumps(Evil()))
    changed(path, "data/aotinductor/model/x.so", lambda _: b"x")
    assert load_model(weights=path).num_classes == 4

    def pickled(table):
        for payload in table["config"].values():
            payload["use_pickle"] = True

    changed(path, "data/weights/model_weights_config.json", graph(pickled))
    changed(path, "data/weights/weight_0", lambda _: evil.getvalue())
    assert "pickled" in refusal(path).message


@pytest.mark.parametrize("what", ["models/model.json", "data/weights/weight_0", "archive_version"])
def test_damage_is_told(what, tmp_path):
    path = exported(seeded(), tmp_path / "x.pt2")
    refusal(changed(path, what, lambda data: data[: len(data) // 2] if len(data) > 1 else b"x"))


def test_a_tensor_larger_than_its_data_is_refused(tmp_path):
    def promise(table):
        meta = table["config"]["head.bias"]["tensor_meta"]
        meta.update(sizes=[{"as_int": 1 << 40}], strides=[{"as_int": 0}])

    path = exported(seeded(), tmp_path / "x.pt2")
    refusal(changed(path, "data/weights/model_weights_config.json", graph(promise)))


def test_decomposed_graphs(tmp_path):
    net, picture = seeded(), torch.randn(1, 3, SIDE, SIDE)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.export.save(torch.export.export(net, (picture,)).run_decompositions(), tmp_path / "x.pt2")
    assert torch.allclose(load_model(weights=tmp_path / "x.pt2").module(picture), net(picture), atol=1e-6)


def test_members_that_overlap_are_refused(tmp_path):
    path = exported(seeded(), tmp_path / "x.pt2")
    with zipfile.ZipFile(path, "a") as archive:
        archive.filelist += 40 * archive.filelist
        archive._didModify = True
    assert "overlap" in refusal(path).message


def test_an_expression_as_deep_as_a_well_is_none():
    assert not _is_size("Add(" * 300_000 + "1" + ")" * 300_000)  # a pass for each bracket would take hours


def test_expressions_that_are_sizes():
    symbol = "Symbol('s77', positive=True, integer=True)"
    for fine in ("5", "-1", "s0", symbol, f"Mul(Integer(64), {symbol})", f"Min(Integer(7), Mul(Integer(2), {symbol}))"):
        assert _is_size(fine), fine
    for wrong in ("", "__import__('os')", "exit()", f"{symbol}.func", "Mul(exit(), s0)", "x", "S(1)", "s0; s1", "__"):
        assert not _is_size(wrong), wrong
