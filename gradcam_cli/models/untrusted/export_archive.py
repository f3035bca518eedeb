"""Copies of torch.export archives that contain only tensors and a graph of harmless operations.

``torch.export.load`` is unsafe for untrusted files: it unpickles, evaluates expressions, looks functions up by any
name, and turns the names of the graph's nodes into source code. It is therefore given not the file but a new archive,
written only from known harmless parts: each member, key and word of the old one must be on a list to be copied. A graph
that needs more is refused.
"""

from __future__ import annotations

import io
import json
import re
import zipfile
from typing import Any

MAX_JSON = 64 << 20
MAX_EXPRESSION = 2000
"""Most characters in the expression of a size that depends on others: each level of brackets takes one pass."""

_WORD = re.compile(r"[A-Za-z0-9_.]{0,400}", re.ASCII)
_CALL = re.compile(r"[A-Za-z0-9_.]{0,400}(@\d{1,6})?", re.ASCII)
"""A module's path; after the ``@`` the number of its call."""
_TERM = re.compile(
    r"-?\d{1,18}|Integer\(-?\d{1,18}\)|[su]\d{1,6}|Symbol\('[su]\d{1,6}'(?:, [a-z]{1,12}=(?:True|False))*\)"
    r"|(?:Mul|Add|Min|Max|FloorDiv)\(_(?:, _)*\)",
    re.ASCII,
)
"""A number, a free dimension, or a product, sum or similar of terms, each replaced by ``_`` once it is read."""
_OPERATION = re.compile(
    r"torch\.ops\.aten\.(_?[a-z][a-z0-9_]*)\.[A-Za-z][A-Za-z0-9_]*|_operator\.(?:add|sub|mul|floordiv)", re.ASCII
)
_UNWANTED = {"from_file", "save", "set_", "resize_", "resize_as_", "as_strided", "as_strided_", "warn", "item"}
"""Operations that reach files, other tensors' memory or the screen."""
_PRIVATE = {
    "_adaptive_avg_pool2d", "_assert_tensor_metadata", "_log_softmax", "_native_batch_norm_legit_no_training",
    "_softmax", "_to_copy", "_unsafe_view",
}  # fmt: skip
"""Torch's internal operations into which plain ones are decomposed."""
_VALUES = {
    f"as_{kind}{plural}"
    for kind in ("tensor", "int", "float", "bool", "sym_int", "sym_bool", "sym_float")
    for plural in ("", "s")
} | {"as_none", "as_string", "as_expr", "as_name", "as_scalar_type", "as_layout", "as_memory_format", "as_device",
     "as_optional_tensor", "as_optional_tensors"}  # fmt: skip
_MODES = {"none", "tanh", "floor", "trunc", "constant", "reflect", "replicate", "circular"}
"""Words that operations take as arguments; no file name is among them."""
_EINSUM = re.compile(r"[A-Za-z ,.]{1,100}->[A-Za-z ,.]{0,100}", re.ASCII)
_CONTAINERS = {None, "builtins.tuple", "builtins.list", "builtins.dict", "collections.OrderedDict"}
_GRAPH = ("inputs", "outputs", "nodes", "tensor_values", "sym_int_values", "sym_bool_values", "sym_float_values",
          "is_single_tensor_return")  # fmt: skip
_MODEL = re.compile(r"models/(\w+)\.json", re.ASCII)
_TENSORS = re.compile(r"data/(weights/weight|constants/tensor)_\d+", re.ASCII)
_MARKS = ("archive_format", "archive_version", "byteorder", ".data/version", "version")


class RefusedError(ValueError):
    """The reason why an archive is refused."""


def is_archive(names: set[str]) -> bool:
    """Return whether a zip file with these members, without their folder, is a torch.export archive."""
    return "archive_format" in names or "serialized_exported_program.json" in names


def sanitized(archive: zipfile.ZipFile) -> tuple[io.BytesIO, dict[str, Any]]:
    """Return a harmless copy of the archive for ``torch.export.load``, and its program.

    Raises:
        RefusedError: it contains something that is not known to be harmless.
        Exception: it is damaged.
    """
    members = _members(archive)
    models = [name for name in members if _MODEL.fullmatch(name)]
    if len(models) != 1:
        raise RefusedError("it holds no graph, or several, or is in the form of an earlier PyTorch")
    program = _program(_json(archive, members[models[0]]))
    copy = io.BytesIO()
    with zipfile.ZipFile(copy, "w", zipfile.ZIP_STORED) as plain:

        def write(name: str, data: bytes | str) -> None:
            plain.writestr(f"model/{name}", data)

        for name in _MARKS:
            if name in members:
                write(name, archive.read(members[name]))
        write("models/model.json", json.dumps(program))
        write("data/sample_inputs/model.pt", b"")  # would be unpickled
        stem = _MODEL.fullmatch(models[0])[1]  # type: ignore[index]
        for kind in ("weights", "constants"):
            table = f"data/{kind}/{stem}_{kind}_config.json"
            payloads = _payloads(_json(archive, members[table]), kind) if table in members else {"config": {}}
            write(f"data/{kind}/model_{kind}_config.json", json.dumps(payloads))
        for name in filter(_TENSORS.fullmatch, members):
            write(name, archive.read(members[name]))
    copy.seek(0)
    return copy, program


def _members(archive: zipfile.ZipFile) -> dict[str, zipfile.ZipInfo]:
    """Return the members by their names without their common folder."""
    entries = archive.infolist()
    if any(entry.compress_type != zipfile.ZIP_STORED for entry in entries):
        raise RefusedError("it is compressed, which torch.export.save never does")
    return {entry.filename.partition("/")[2]: entry for entry in entries}


def _json(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> Any:  # noqa: ANN401
    if entry.file_size > MAX_JSON:
        raise RefusedError(f"its graph is larger than {MAX_JSON >> 20} MiB")
    return json.loads(archive.read(entry))


def _payloads(table: dict[str, Any], kind: str) -> dict[str, Any]:
    """Return the table of one kind of tensors; pickled entries, and entries that are not tensors, are refused."""
    for payload in table["config"].values():
        if payload["use_pickle"] or not _TENSORS.fullmatch(f"data/{kind}/{payload['path_name']}"):
            raise RefusedError("it holds pickled objects, which could run code")
    _check(table)
    return {"config": table["config"]}


def _program(program: dict[str, Any]) -> dict[str, Any]:
    """Return the parts of a program that are needed to run it, all of them checked."""
    module = program["graph_module"]
    graph = {key: module["graph"][key] for key in _GRAPH}
    for node in graph["nodes"]:
        _check_operation(node)
        node["metadata"] = _module_stack(node.get("metadata", {}))
    calls = module["module_call_graph"]
    for call in calls:
        if call.get("signature") is not None:
            for spec in ("in_spec", "out_spec"):
                _check_containers(json.loads(call["signature"][spec])[1])
    kept = {
        "graph_module": {
            "graph": {**graph, "custom_obj_values": {}},
            "signature": module["signature"],
            "module_call_graph": calls,
            "metadata": {},
            "treespec_namedtuple_fields": {},
        },
        "range_constraints": program["range_constraints"],
        "schema_version": program["schema_version"],
        "opset_version": program["opset_version"],
        "verifiers": program["verifiers"],
        "torch_version": "",
        "guards_code": [],
    }  # fmt: skip
    _check(kept)
    return kept


def _check_operation(node: dict[str, Any]) -> None:
    operation = _OPERATION.fullmatch(node["target"])
    name = "_" if operation is None else operation[1] or ""
    if name in _UNWANTED or (name.startswith("_") and name not in _PRIVATE):
        raise RefusedError(f"its graph calls {node['target'][:80]!r}, which is not on the list of plain operations")
    for given in node["inputs"]:
        if given["name"] in ("training", "train") and given["arg"].get("as_bool"):
            raise RefusedError("it was exported in training mode")


def _module_stack(metadata: dict[str, str]) -> dict[str, str]:
    """Return a node's position in the tree of modules; the modules' classes are not needed."""
    stack = [entry.split(",")[:2] for entry in metadata.get("nn_module_stack", "").split(";") if entry]
    for key, name in stack:
        if not _CALL.fullmatch(key) or not _CALL.fullmatch(name):
            raise RefusedError("its modules have names that are no names")
    return {"nn_module_stack": ";".join(f"{key},{name},torch.nn.Module" for key, name in stack)} if stack else {}


def _check_containers(spec: dict[str, Any]) -> None:
    """Refuse inputs and outputs in containers other than Python's own: code found by name would make them."""
    context = spec["context"]
    words = json.loads(context) if isinstance(context, str) else context
    if spec["type"] not in _CONTAINERS or not _plain(words):
        raise RefusedError("its inputs or outputs are in a container of another library")
    for child in spec["children_spec"]:
        _check_containers(child)


def _plain(words: object) -> bool:
    listed = words if isinstance(words, list) else [words]
    return all(word is None or (isinstance(word, str) and _WORD.fullmatch(word)) for word in listed)


def _check(value: object, key: str = "") -> None:
    """Refuse words of anything but letters, digits, dots and underscores, and values of unknown kinds."""
    if isinstance(value, str) and key in ("in_spec", "out_spec", "nn_module_stack"):  # checked separately
        return
    if isinstance(value, dict):
        for name, inner in value.items():
            _check(name)
            if name.startswith("as_") and name not in _VALUES:
                raise RefusedError(f"its graph has values of the kind {name[3:60]!r}")
            _check(inner, name)
    elif isinstance(value, list):
        for inner in value:
            _check(inner, key)
    elif isinstance(value, str):
        plain = _is_size(value) if key == "expr_str" else _WORD.fullmatch(value) is not None
        if key == "as_string":
            plain = value in _MODES or _EINSUM.fullmatch(value) is not None
        if not plain:
            raise RefusedError(f"its graph has the word {value[:60]!r}")


def _is_size(expression: str) -> bool:
    """Return whether an expression, which will be evaluated, has only numbers, free dimensions, products and sums."""
    if len(expression) > MAX_EXPRESSION:
        return False
    while expression not in ("", "_"):
        shorter = _TERM.sub("_", expression)
        if shorter == expression:
            return False
        expression = shorter
    return expression == "_"
