"""The rules of the house, read from the source: who may import whom, and what must stay light."""

from __future__ import annotations

import ast
import functools
import graphlib
import importlib.metadata
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

import gradcam_cli
from gradcam_cli.cli.console import option_hint
from gradcam_cli.errors import SETTINGS, ModelError
from gradcam_cli.plan.name_template import FIELDS
from tests.conftest import commands

PACKAGE = Path(__file__).resolve().parents[1] / "gradcam_cli"
BOTTOM = {"errors", "records", "text", "files", "machine", "plugins", "_version"}
TOP = {"__init__", "__main__"}
ALLOWED = {
    "cli": {"plan", "pipeline", "store", "media", "models", "cam", "render"},
    "api": {"plan", "pipeline", "media", "models", "cam", "render"},
    "pipeline": {"plan", "store", "media", "models", "cam", "render"},
    "plan": {"store", "media"},
    "store": set(),
    "media": set(),
    "guide": set(),
    "models": set(),
    "cam": set(),
    "render": set(),
}
LIBRARIES = {
    "torch": {"api", "models", "cam"},
    "torchvision": {"models"},
    "timm": {"models"},
    "huggingface_hub": {"models"},
    "transformers": {"models"},
    "keras": {"models"},
    "h5py": {"models"},
    "safetensors": {"models"},
    "click": {"cli"},
    "rich": {"api", "cli"},
    "PIL": {"api", "media"},
    "av": {"media"},
}
MAX_FILES = 12
"""In a folder, besides ``__init__``: what one takes in at a glance."""
EXCEPTIONS = {
    ("models/sources/tiny/train.py", "PIL"): "a script that makes the bundled weights, never imported by the program",
}


def modules() -> list[Path]:
    return sorted(PACKAGE.rglob("*.py"))


def imports(path: Path) -> list[str]:
    """Every imported module's dotted name, those under TYPE_CHECKING and inside functions included."""
    found = []
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            found.append(node.module or "")
    return found


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_import_direction(path):
    relative = path.relative_to(PACKAGE)
    room = relative.parts[0] if len(relative.parts) > 1 else relative.stem
    for name in imports(path):
        top, _, rest = name.partition(".")
        if top == "gradcam_cli" and room in ALLOWED:
            other = rest.split(".")[0]
            assert other in {room, *ALLOWED[room], *BOTTOM}, f"{relative} imports {name}"
        elif top == "gradcam_cli" and relative.stem in BOTTOM:
            assert rest.split(".")[0] in BOTTOM, f"{relative} imports {name}"
        elif top in LIBRARIES and (str(relative), top) not in EXCEPTIONS:
            assert room in LIBRARIES[top], f"{relative} imports {name}"


def test_every_room_is_in_the_rules():
    assert {path.parent.name for path in PACKAGE.glob("*/__init__.py")} == set(ALLOWED)
    assert {path.stem for path in PACKAGE.glob("*.py")} == BOTTOM | TOP


def test_the_architecture_page_says_the_same():
    text = (PACKAGE.parent / ".github" / "ARCHITECTURE.md").read_text(encoding="utf-8")
    table = text[text.index("| folder | what it does | may import |") :]
    rows = [row.split("|") for row in table.splitlines()[2 : 2 + len(ALLOWED)]]
    assert {row[1].strip(" `"): set(re.findall(r"`(\w+)`", row[3])) for row in rows} == ALLOWED
    for name in re.findall(r"`((?:\w+/)+\w+(?:\.py)?)`", text):
        assert (PACKAGE / name).exists() or (PACKAGE.parent / name).exists(), name


@functools.cache
def module_names() -> frozenset[str]:
    return frozenset(".".join(each.relative_to(PACKAGE.parent).with_suffix("").parts) for each in modules())


@functools.cache
def imported_modules(path: Path) -> set[str]:
    """Return the package's own modules that a module imports, be it for types only."""
    names = module_names()
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom):
            found |= {full if (full := f"{node.module}.{each.name}") in names else node.module for each in node.names}
    return {name for name in found if name in names}


def test_imports_have_no_circle():
    """Not even between types: a module can be read after those that it imports."""
    arrows = {
        ".".join(each.relative_to(PACKAGE.parent).with_suffix("").parts): imported_modules(each) for each in modules()
    }
    tuple(graphlib.TopologicalSorter(arrows).static_order())  # raises CycleError, which names the circle


def test_folders_side_by_side_have_no_circle():
    """A folder may use its parent's files and the parent those of the folder; brothers go one way only."""
    arrows: dict[tuple[str, ...], set[tuple[str, ...]]] = {}
    for path in modules():
        own = path.relative_to(PACKAGE).parent.parts
        for name in imported_modules(path):
            other = tuple(name.split(".")[1:-1])
            shared = next(
                (k for k, (a, b) in enumerate(zip(own, other, strict=False)) if a != b), min(len(own), len(other))
            )
            if len(own) > shared and len(other) > shared:
                arrows.setdefault(own[: shared + 1], set()).add(other[: shared + 1])
    assert arrows
    tuple(graphlib.TopologicalSorter(arrows).static_order())


def test_folders_stay_small():
    folders = {path.parent for path in modules()}
    files = {str(each.relative_to(PACKAGE)): len(list(each.glob("[!_]*.py"))) for each in folders}
    assert {name: count for name, count in files.items() if count > MAX_FILES} == {}


def imported_by(code: str, *, status: int = 0) -> set[str]:
    """Run ``code`` in a fresh interpreter and return the top-level modules that it imported."""
    report = "import atexit, sys; atexit.register(lambda: print('MODULES', *{n.split('.')[0] for n in sys.modules}))"
    wrapped = f"{report}\n{code}"
    done = subprocess.run([sys.executable, "-c", wrapped], capture_output=True, text=True, check=False)
    assert done.returncode == status, done.stderr
    return set(done.stdout.splitlines()[-1].split()[1:])


HEAVY = {"torch", "torchvision", "timm", "transformers", "keras", "h5py", "cv2", "numpy", "PIL", "av"}


@pytest.mark.parametrize(
    ("arguments", "status"),
    [
        (["--help"], 0),
        (["image", "--help"], 0),
        (["--version"], 0),
        (["image"], 2),
        (["image", "no/such/file.jpg"], 2),
        (["video", "--help"], 0),
        (["gif", "no/such/file.gif"], 2),
        (["image", "x.jpg", "--colormap", "virdis"], 2),
        (["image", "x.jpg", "--model", "resnet55"], 2),
        (["image", "x.jpg", "--model", "no/such/net.py:build"], 2),
        (["image", "no/such/file.jpg", "--model", "package.module:Class"], 2),
        (["image", "no/such/file.jpg", "--model", "timm:resnet18"], 2),
        (["image", "no/such/file.jpg", "--model", "hf:google/vit-base-patch16-224"], 2),
        (["models", "--help"], 0),
        (["image", "x.jpg", "--target", "top:0"], 2),
        (["image", "x.jpg", "--save", "overly"], 2),
        (["image", "x.jpg", "--alpha", "2"], 2),
        (["image", "x.jpg", "--mean", "1,2"], 2),
        (["image", "x.jpg", "--activation", "relu"], 2),
        (["imge", "x.jpg"], 2),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else str(value),
)
def test_help_and_usage_errors_import_nothing_heavy(arguments, status):
    loaded = imported_by(f"from gradcam_cli.cli.entry import main\nmain({arguments!r})", status=status)
    assert "click" in loaded
    assert not loaded & HEAVY


def test_importing_the_package_imports_nothing_heavy():
    assert not imported_by("import gradcam_cli; gradcam_cli.__version__") & (HEAVY | {"click", "rich"})


@pytest.mark.slow
def test_the_bundled_network_is_explained_without_torchvision_and_compiler(tmp_path):
    """Each costs about a second of start-up; the compiler imports sympy."""
    arguments = ["image", "-q", "-m", "tiny", "-o", str(tmp_path), str(PACKAGE.parent / "sample_images" / "cat.jpg")]
    loaded = imported_by(f"from gradcam_cli.cli.entry import main\nmain({arguments!r})")
    assert "torch" in loaded
    assert not loaded & {"torchvision", "sympy"}
    assert len(list(tmp_path.glob("*.png"))) == 3


@pytest.mark.slow
def test_torchvisions_networks_are_explained_without_the_compiler(tmp_path):
    """It stays at hand for those who call what asks for it."""
    weights, cat = tmp_path / "weights.pth", PACKAGE.parent / "sample_images" / "cat.jpg"
    out = tmp_path / "out"
    arguments = ["image", "-q", "-w", str(weights), "-o", str(out), str(cat)]
    loaded = imported_by(f"""
import torch
from gradcam_cli.models.light_import import import_without_compiler
models = import_without_compiler("torchvision.models")
torch.save(models.resnet18(num_classes=3).state_dict(), {str(weights)!r})
from gradcam_cli.cli.main import run
assert run({arguments!r}) == 0
""")
    assert "torchvision" in loaded
    assert "sympy" not in loaded
    assert len(list(out.glob("*.png"))) == 3


@pytest.mark.slow
def test_the_compiler_is_there_for_who_wants_it():
    loaded = imported_by("""
from gradcam_cli.models.light_import import import_without_compiler
import_without_compiler("torchvision.models")
import torch, torchvision
boxes = torch.tensor([[0.0, 0.0, 4.0, 4.0]])
pooled = torchvision.ops.roi_align(torch.ones(1, 1, 8, 8), [boxes], (2, 2))
assert pooled.shape == (1, 1, 2, 2) and pooled.eq(1).all()
import torch._dynamo
assert torch._dynamo.is_compiling() is False
assert torchvision.ops.roi_align.__globals__["is_compile_supported"]("cpu") is True
""")
    assert "sympy" in loaded


@pytest.mark.slow
def test_a_module_that_wants_more_of_the_compiler_has_it(tmp_path, monkeypatch):
    (tmp_path / "greedy.py").write_text("from torch._dynamo import reset\n")
    (tmp_path / "broken.py").write_text("raise ValueError('broken')\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    imported_by("""
from gradcam_cli.models.light_import import import_without_compiler
try:
    import_without_compiler("broken")
except ValueError as error:
    assert str(error) == "broken"
import_without_compiler("greedy").reset()
""")


def test_files_stay_small():
    long = {str(path.relative_to(PACKAGE)): len(path.read_text().splitlines()) for path in modules()}
    assert {name: lines for name, lines in long.items() if lines > 320} == {}


def strings(path: Path) -> list[str]:
    """Return a module's string literals without its docstrings, parts of f-strings among them."""
    tree = ast.parse(path.read_text())
    expressions = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    return [
        node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in expressions
    ]


def test_only_the_command_line_knows_options():
    """Elsewhere settings have their Python names, in braces within hints, since a Python caller reads these too."""
    options = {option for command in commands().values() for each in command.params for option in each.opts}
    for path in modules():
        relative = str(path.relative_to(PACKAGE))
        if not relative.startswith("cli/") and relative not in {name for name, _ in EXCEPTIONS}:
            found = [text for text in strings(path) if re.search(r"(?<![\w-])--[a-z]|with -o\b", text)]
            assert not found, f"{relative}: {found}"
            named = {name for text in strings(path) for name in re.findall(r"(?<!\{)\{([a-z_]+)\}(?!\})", text)}
            known = SETTINGS | set(FIELDS)
            assert named <= known, f"{relative}: {named - known} are no settings of hints, nor fields of names"
    assert {f"--{name.replace('_', '-')}" for name in SETTINGS} <= options


def test_hints_are_spelt_for_who_reads_them():
    error = ModelError("no", "try another {input_size}, {device} cpu, {output_dir} or {nothing}")
    assert error.hint == "try another input_size, device cpu, output_dir or {nothing}"
    assert option_hint(error) == "try another --input-size, --device cpu, -o or {nothing}"
    assert ModelError("again", error.template).hint == error.hint


def test_the_installed_package_is_tested():
    """An editable one is the checkout; otherwise what users get is imported, here and in processes of tests."""
    found = importlib.metadata.distributions(name="gradcam")  # a build leaves one without origin in the checkout
    origins = [json.loads(each.read_text("direct_url.json") or "{}") for each in found]
    editable = any(each.get("dir_info", {}).get("editable", False) for each in origins)
    place = Path(gradcam_cli.__file__).resolve().parent
    assert (place == PACKAGE) == editable
    if sys.version_info >= (3, 11):
        code = "import gradcam_cli; print(gradcam_cli.__file__)"
        found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
        assert Path(found.strip()).resolve().parent == place


def test_data_is_installed():
    """Every file of the package that is no module, and no file of another kind."""
    data = {
        path.relative_to(PACKAGE)
        for path in PACKAGE.rglob("*")
        if path.is_file() and path.suffix not in (".py", ".pyc")
    }
    installed = Path(gradcam_cli.__file__).parent
    assert {path for path in data if not (installed / path).is_file()} == set()
    assert {path.suffix for path in data} == {".ipynb", ".jpg", ".md", ".safetensors", ".typed"}


ONE_SYSTEM = {"fcntl", "grp", "msvcrt", "posix", "pty", "pwd", "resource", "syslog", "termios", "winreg", "_winapi"}


def test_no_module_of_one_system_is_imported_unguarded():
    """The package has none at all; signals, memory settings and process numbers have their branch for other systems."""
    for path in modules():
        assert not {name.partition(".")[0] for name in imports(path)} & ONE_SYSTEM, path
