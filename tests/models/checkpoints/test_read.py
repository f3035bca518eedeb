"""Checkpoints of every shape, for the bundled architecture: it is built in milliseconds."""

import argparse
import gzip
import io
import os
import pickle
import random
import sys
import tarfile
import time
import warnings
import zipfile

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from gradcam_cli.errors import ModelError
from gradcam_cli.models.checkpoints.read import WRAPPERS, read_checkpoint, read_state_dict
from gradcam_cli.models.load import load_model
from tests.models.conftest import tiny_net

PICTURE = torch.linspace(-1, 1, 3 * 16 * 16).view(1, 3, 16, 16)


def prefixed(state, prefix):
    return {f"{prefix}{key}": value for key, value in state.items()}


def saved(content, path, **options):
    torch.save(content, path, **options)
    return path


WRAPPED = {
    "plain": lambda state: state,
    "data parallel": lambda state: {"state_dict": prefixed(state, "module."), "epoch": 3, "optimizer": {"lr": 0.1}},
    "lightning": lambda state: {
        "state_dict": {**prefixed(state, "model."), "loss.weight": torch.ones(3)},
        "hyper_parameters": {},
    },
    "references": lambda state: {"model": state, "args": argparse.Namespace(lr=0.1), "epoch": 3},
    "compiled": lambda state: prefixed(state, "_orig_mod."),
    "compiled, parallel": lambda state: {"model_state_dict": prefixed(state, "module._orig_mod.")},
    "compiled block": lambda state: {k.replace("stage1.", "stage1._orig_mod."): v for k, v in state.items()},
    "any prefix": lambda state: {"ema": prefixed(state, "student.backbone.")},
    "nested": lambda state: {"model": {"state_dict": state}, "best_acc1": torch.tensor(0.9)},
    "with bookkeeping": lambda state: {**state, "epoch": 7},
    "no counters": lambda state: {k: v for k, v in state.items() if not k.endswith("num_batches_tracked")},
    "parameters": lambda state: {k: nn.Parameter(v) if v.is_floating_point() else v for k, v in state.items()},
}


@pytest.mark.slow
@pytest.mark.parametrize("kind", WRAPPED)
@pytest.mark.parametrize("num_classes", [1, 3, 10])
def test_wrappers(kind, num_classes, tmp_path):
    net = tiny_net(num_classes)
    network = load_model("tiny", weights=saved(WRAPPED[kind](net.state_dict()), tmp_path / "x.pth"))
    assert network.num_classes == num_classes
    assert torch.equal(network.module(PICTURE), net.eval()(PICTURE))
    assert (network.labels is None) == (num_classes != 10)
    assert not network.module.training
    assert not any(parameter.requires_grad for parameter in network.module.parameters())


def test_what_was_left_aside_is_said(tmp_path):
    state = WRAPPED["lightning"](tiny_net().state_dict())
    (note,) = load_model("tiny", weights=saved(state, tmp_path / "x.ckpt")).notes
    assert "loss.weight" in note


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
@pytest.mark.parametrize("kind", ["zip", "legacy", "safetensors", "safetensors called pth"])
def test_formats_and_precisions_become_float32(kind, dtype, tmp_path):
    net = tiny_net(3)
    state = {key: value.to(dtype) if value.is_floating_point() else value for key, value in net.state_dict().items()}
    path = tmp_path / ("x.safetensors" if kind == "safetensors" else "x.pth")
    if kind.startswith("safetensors"):
        save_file(state, path)
    else:
        saved(state, path, _use_new_zipfile_serialization=kind == "zip")
    network = load_model("tiny", weights=path)
    assert {parameter.dtype for parameter in network.module.parameters()} == {torch.float32}
    assert torch.equal(network.module(PICTURE), net.to(dtype).float().eval()(PICTURE))


@pytest.mark.skipif(sys.platform != "linux", reason="file names are Unicode there")
@pytest.mark.parametrize("kind", ["zip", "legacy", "safetensors"])
def test_names_that_are_not_utf8(kind, tmp_path):
    state, path = tiny_net(3).state_dict(), tmp_path / "\udce9.pth"
    if kind == "safetensors":
        save_file(state, tmp_path / "x", {"arch": "tiny"})
        (tmp_path / "x").rename(path)
    else:
        saved({"state_dict": state, "arch": "tiny"}, path, _use_new_zipfile_serialization=kind == "zip")
    checkpoint = read_checkpoint(path)
    assert checkpoint.metadata.architecture == "tiny"
    assert all(torch.equal(state[name], tensor) for name, tensor in checkpoint.tensors.items())


def test_weights_that_are_not_finite_load(tmp_path):
    state = tiny_net().state_dict()
    state["classifier.weight"][:] = float("nan")
    network = load_model("tiny", weights=saved(state, tmp_path / "x.pth"))
    assert network.module(PICTURE).isnan().all()


class Evil:
    def __reduce__(self):
        return os.system, (f"touch {os.environ['GRADCAM_TEST_MARKER']}",)


def zipped(**entries):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in entries.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def tarred(name):
    """Return a tar archive, a form in which torch once kept checkpoints, whose reader unpacks it."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", encoding="latin-1", format=tarfile.USTAR_FORMAT) as archive:
        archive.addfile(tarfile.TarInfo(name))
    return buffer.getvalue()


def overlapping():
    """Return a zip file that is small, and in which every member claims all of it."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("x/data.pkl", bytes(1000))
        archive.filelist += 9 * archive.filelist
    return buffer.getvalue()


BROKEN_BYTES = {
    "empty": (b"", "empty"),
    "random": (random.Random(0).randbytes(5000), "not a PyTorch"),
    "web page": (b"\n<!DOCTYPE html><p>404", "web page"),
    "lfs": (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "Git LFS"),
    "empty zip": (zipped(), "zip"),
    "another zip": (zipped(a="b"), "zip"),
    "compressed": (zipped(**{"data.pkl": bytes(100_000)}), "zip"),
    "checkpoint in a zip": (zipped(**{"x.pth": zipped(a="b")}), "zip"),
    "gzip": (gzip.compress(b"\x80\2}."), "an archive"),
    "tar": (tarred("x.pth"), "an archive"),
    "tar that looks like a pickle": (tarred("\x80\2storages"), "an archive"),
    "zip whose members overlap": (overlapping(), "overlap"),
    "half a zip": (zipped(a="b")[:40], "damaged"),
    "plain pickle": (pickle.dumps({"a": 1}), "damaged"),
    "header too large": ((1 << 62).to_bytes(8, "little") + b"{}", "not a PyTorch"),
    "no safetensors": ((20).to_bytes(8, "little") + b'{"a": 1}', "safetensors"),
}


@pytest.mark.parametrize("kind", BROKEN_BYTES)
def test_broken_files(kind, tmp_path):
    content, words = BROKEN_BYTES[kind]
    path = tmp_path / "x.pth"
    path.write_bytes(content)
    with pytest.raises(ModelError, match=words) as caught:
        read_state_dict(path)
    check_line(caught.value)


def check_line(error):
    assert "x." in error.message
    assert error.message.isprintable()
    assert error.hint.isprintable()
    assert error.hint
    assert len(error.message) < 500


WRONG_CONTENT = {
    "tensor": (torch.ones(3), "a Tensor"),
    "list": ([torch.ones(3)], "a list"),
    "none": (None, "NoneType"),
    "empty dict": ({}, "no tensors"),
    "numbers": ({"classifier.weight": 5}, r"classifier.weight' \(int\)"),
    "optimiser": ({"optimizer": {"state": {0: torch.ones(1)}}}, "optimizer"),
    "expanded": ({"classifier.weight": torch.ones(1).expand(1 << 40)}, "expanded"),
    "sparse": ({"classifier.weight": torch.ones(2, 2).to_sparse()}, "sparse"),
    "meta": ({"classifier.weight": torch.empty(2, device="meta")}, "classifier.weight"),
    "module": (nn.Linear(2, 2), "torch.nn.modules.linear.Linear"),
    "escape codes": ({"\x1b[31m.\n" * 50: 1}, "no state dict"),
}


@pytest.mark.parametrize("kind", WRONG_CONTENT)
def test_wrong_content(kind, tmp_path):
    content, words = WRONG_CONTENT[kind]
    with pytest.raises(ModelError, match=words) as caught:
        read_state_dict(saved(content, tmp_path / "x.pth"))
    check_line(caught.value)


def test_torchscript_is_refused(tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.jit.trace(nn.Linear(2, 2), torch.ones(1, 2)).save(str(tmp_path / "x.pt"))
    with pytest.raises(ModelError, match="TorchScript"):
        read_state_dict(tmp_path / "x.pt")


@pytest.mark.parametrize("how", ["zip", "legacy", "pickle"])
def test_nothing_in_a_file_is_run(how, tmp_path, monkeypatch):
    marker = tmp_path / "marker"
    monkeypatch.setenv("GRADCAM_TEST_MARKER", str(marker))
    path = tmp_path / "x.pth"
    content = {"classifier.weight": torch.ones(2), "a": argparse.Namespace(b=Evil())}
    if how == "pickle":
        path.write_bytes(pickle.dumps(content["a"], protocol=2))
    else:
        saved(content, path, _use_new_zipfile_serialization=how == "zip")
    with pytest.raises(ModelError, match="could run code") as caught:
        read_state_dict(path)
    check_line(caught.value)
    assert not marker.exists()


MISFITS = {
    "missing": ({"stem.0.weight": None, "classifier.bias": None}, ["missing stem.0.weight, classifier.bias"]),
    "unexpected": ({"stage2.9.weight": torch.ones(1)}, ["unexpected stage2.9.weight"]),
    "shape": ({"stem.0.weight": torch.ones(2, 3, 3, 3)}, ["stem.0.weight (2, 3, 3, 3)", "(32, 3, 3, 3)"]),
    "head of another width": ({"classifier.weight": torch.ones(5, 7)}, ["(5, 7)", "(10, 144)"]),
    "heads disagree": ({"classifier.weight": torch.ones(5, 144)}, ["classifier.bias (10,)", "(5,)"]),
    "many": ({f"stem.x{i}": torch.ones(1) for i in range(300)}, ["stem.x0, stem.x1, stem.x2 and 297 more"]),
    "integers": ({"stem.0.weight": torch.ones(32, 3, 3, 3, dtype=torch.int64)}, ["stem.0.weight", "int64"]),
    "complex": ({"stem.0.weight": torch.ones(32, 3, 3, 3, dtype=torch.complex64)}, ["stem.0.weight", "complex64"]),
    "hostile": ({"stem.\x1b[31m\n" + "y" * 5000: torch.ones(1)}, ["unexpected stem.\\x1b[31m\\nyyy"]),
}


@pytest.mark.parametrize("kind", MISFITS)
def test_what_does_not_fit_is_named(kind, tmp_path):
    changes, words = MISFITS[kind]
    state = {key: value for key, value in {**tiny_net().state_dict(), **changes}.items() if value is not None}
    with pytest.raises(ModelError) as caught:
        load_model("tiny", weights=saved(state, tmp_path / "x.pth"))
    check_line(caught.value)
    for word in words:
        assert word in caught.value.message


def test_another_architecture_names_keys_of_both(tmp_path):
    state = {f"features.{i}.weight": torch.ones(2) for i in range(200)}
    with pytest.raises(ModelError, match=r"features.0.weight.* 197 more; .*stem.0.weight") as caught:
        load_model("tiny", weights=saved(state, tmp_path / "x.pth"))
    check_line(caught.value)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes here")
def test_pipes_folders_and_devices_are_refused_unopened(tmp_path):
    os.mkfifo(tmp_path / "x.pth")
    for path, words in ((tmp_path / "x.pth", "a pipe"), (tmp_path, "a directory"), ("/dev/zero", "a device")):
        with pytest.raises(ModelError, match=words):
            load_model("tiny", weights=path)


@pytest.mark.parametrize("kind", ["zip", "legacy", "safetensors"])
def test_damage_anywhere_is_an_error_or_loads(kind, tmp_path):
    """Cut and altered files end in a ModelError or in tensors, never in another error."""
    state = {"a.weight": torch.ones(4, 4), "a.bias": torch.ones(4)}
    path = tmp_path / "x.pth"
    if kind == "safetensors":
        save_file(state, path)
    else:
        saved(state, path, _use_new_zipfile_serialization=kind == "zip")
    whole, chance = path.read_bytes(), random.Random(0)
    for round_ in range(150):
        damaged = bytearray(whole)
        if round_ % 3 == 0:
            del damaged[chance.randrange(len(whole)) :]
        for _ in range(round_ % 3 * 4):
            damaged[chance.randrange(len(damaged))] = chance.randrange(256)
        path.unlink()  # tensors of an earlier round may still map the old file
        path.write_bytes(damaged)
        try:
            read_state_dict(path)
        except ModelError as error:
            check_line(error)


@pytest.mark.parametrize("length", [4133, 5000, 70_000])
def test_a_zip_file_with_something_behind_it(length, tmp_path):
    """Torch's reader looks for the directory in pieces of 4 KiB, and before the file's beginning if it is short."""
    path = saved({"a.weight": torch.ones(4, 4)}, tmp_path / "x.pth")
    path.write_bytes(path.read_bytes() + bytes(length))
    with pytest.raises(ModelError, match="damaged or incomplete"):
        read_state_dict(path)


def pickled(opcodes, path, *, legacy=False):
    """Write a checkpoint whose content is these opcodes, in today's form or in that of before version 1.6."""
    if legacy:
        parts = (pickle.dumps(part, protocol=2) for part in (0x1950A86A20F9469CFC6C, 1001, {}))
        path.write_bytes(b"".join(parts) + b"\x80\2" + opcodes + b"." + pickle.dumps([], protocol=2))
        return path
    writer = torch._C.PyTorchFileWriter(str(path))
    writer.write_record("data.pkl", b"\x80\2" + opcodes + b".", len(opcodes) + 3)
    writer.write_record("byteorder", b"little", 6)
    writer.write_end_of_file()
    return path


def doubled(depth):
    """Return opcodes of a tuple that holds another one twice, and so on."""
    return b"K\1" + b"".join(b"q%ch%c\x86" % (i, i) for i in range(depth))


NUMBER = b"J\0\0\0\x7f"  # two thousand million
COSTLY = {
    "key": (b"}" + doubled(40) + b"K\1s", "unfolds"),
    "key among many": (b"}(" + doubled(40) + b"K\1u", "unfolds"),
    "set": (b"}K\1cbuiltins\nset\n]" + doubled(40) + b"a\x85Rs", "unfolds"),
    "counter": (b"}K\1ccollections\nCounter\n]" + doubled(40) + b"a\x85Rs", "unfolds"),
    "ordered": (b"}K\1ccollections\nOrderedDict\n]((" + doubled(40) + b"K\1te\x85Rs", "unfolds"),
    "text": (b"}K\1cbuiltins\nstr\n" + doubled(40) + b"\x85Rs", "pickled builtins.str"),
    "text of Python 2": (b"}K\1c__builtin__\nunicode\n" + doubled(40) + b"\x85Rs", "pickled builtins.str"),
    "no function": (b"}K\1" + doubled(40) + b")Rs", "unfolds|pickled"),
    "no class": (b"}K\1" + doubled(40) + b")\x81s", "unfolds|pickled"),
    "a type's name": (b"}K\1cnumpy\ndtype\n" + doubled(18) + b"\x85Rs", "unfolds"),
    "deep key": (b"}" + b"K\1" + b"\x85" * 100_000 + b"K\1s", "unfolds"),
    "equal hashes": (
        b"}(%su" % b"".join(b"\x8a\x0c%sK\1" % (i * (2**61 - 1)).to_bytes(12, "little") for i in range(1, 20_000)),
        "unfolds",
    ),
    "bytes": (b"}K\1cbuiltins\nbytearray\n" + NUMBER + b"\x85Rs", "pickled builtins.bytearray"),
    "tensor": (b"}K\1ctorch\nByteTensor\n" + NUMBER + b"\x85Rs", "pickled torch.ByteTensor"),
    "storage": (b"}K\1ctorch.storage\nUntypedStorage\n" + NUMBER + b"\x85Rs", "pickled torch.storage.UntypedStorage"),
    "indirect": (
        b"}K\1ctorch._tensor\n_rebuild_from_type_v2\n(cbuiltins\nstr\nctorch\nTensor\n" + doubled(12) + b"\x85}tRs",
        "_rebuild_from_type_v2",
    ),
    "encoding": (
        b"}K\1c_codecs\nencode\nX\1\0\0\0aX\x08\0\0\0punycode\x86Rs",
        "pickled _codecs.encode",
    ),
    "copies": (
        b"](" + b"N" * 5000 + b"tq\0ctorch\nSize\nq\1" + b"h\1h\0\x85R" * 5000 + b"N",
        "unfolds",
    ),
}  # fmt: skip


@pytest.mark.parametrize("legacy", [False, True])
@pytest.mark.parametrize("kind", COSTLY)
def test_small_pickles_that_would_take_for_ever_are_refused(kind, legacy, tmp_path):
    opcodes, words = COSTLY[kind]
    begin = time.process_time()
    with pytest.raises(ModelError, match=words) as caught:
        read_state_dict(pickled(opcodes, tmp_path / "x.pth", legacy=legacy))
    check_line(caught.value)
    assert time.process_time() - begin < 2


@pytest.mark.parametrize("key", WRAPPERS[:4])
def test_dictionaries_that_hold_themselves(key, tmp_path):
    content = {}
    content[key] = content
    with pytest.raises(ModelError, match=r"no state dict|holds no tensors") as caught:
        read_state_dict(saved(content, tmp_path / "x.pth"))
    check_line(caught.value)


def test_tensors_that_are_larger_than_their_data(tmp_path):
    path = saved({"a.weight": torch.arange(1000.0)}, tmp_path / "x.pth", _use_new_zipfile_serialization=False)
    whole = path.read_bytes()
    assert whole.count(b"M\xe8\x03\x85") == 1  # the tensor's size
    path.write_bytes(whole.replace(b"M\xe8\x03\x85", b"J\xe8\x03\0\1\x85"))
    with pytest.raises(ModelError, match=r"larger than their data|damaged"):
        read_state_dict(path)


@pytest.mark.slow
@pytest.mark.parametrize("legacy", [False, True])
def test_what_training_scripts_keep_is_not_costly(legacy, tmp_path):
    net = tiny_net()
    state = net.state_dict()
    content = {
        "state_dict": state,
        "optimizer": {
            "state": {i: {"step": torch.tensor(3.0), "exp_avg": torch.ones(3)} for i in range(5000)},
            "param_groups": [{"lr": 0.1, "betas": (0.9, 0.999), "params": list(range(5000))}],
        },
        "random": (random.Random(0).getstate(), random.Random(1).getstate()),
        "pairs": {(f"layer{i}", i): 1 << 70 for i in range(1000)},
        "seen": {f"{i}.jpg" for i in range(30_000)},
        "history": [float(i) for i in range(30_000)],
        "args": argparse.Namespace(
            lr=0.1, losses=[float(i) for i in range(20_000)], key=bytearray(b"abc"), raw=b"\xff"
        ),
    }
    read = read_state_dict(saved(content, tmp_path / "x.pth", _use_new_zipfile_serialization=not legacy))
    assert read.keys() == state.keys()
