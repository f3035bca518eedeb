import re
import subprocess
import sys

import pytest

from gradcam_cli.errors import ExitCode, UsageError
from gradcam_cli.models import registry
from gradcam_cli.models.sources.torchvision.names import NAMES


def test_the_list_is_torchvisions_in_natural_order():
    from torchvision import models

    def natural(name):
        return [int(part) if part.isdigit() else part for part in re.split(r"(\d+)", name)]

    assert list(NAMES) == sorted(models.list_models(module=models), key=natural)


@pytest.mark.parametrize("spec", ["auto", "tiny", "resnet50", "ResNet50", " vit_b_16 "])
def test_known_names(spec):
    assert registry.check_name(spec) == spec.strip().lower()


@pytest.mark.parametrize(
    ("spec", "hint"),
    [("resnet5", "resnet50"), ("mobilenetv2", "mobilenet_v2"), ("ViT-B-16x", "vit_b_16"), ("??", "auto")],
)
def test_unknown_names_are_usage_errors_with_suggestions(spec, hint):
    with pytest.raises(UsageError) as caught:
        registry.check_name(spec)
    assert spec in caught.value.message
    assert hint in caught.value.hint
    assert caught.value.exit_code is ExitCode.USAGE


def test_a_hostile_name_is_printed_safely():
    with pytest.raises(UsageError) as caught:
        registry.check_name("\x1b[31mred\n" + "x" * 5000)
    assert caught.value.message.isprintable()
    assert len(caught.value.message) < 150


def test_names_are_checked_without_torch():
    code = (
        "import sys; from gradcam_cli.models.registry import check_name as c; c('vgg16'); print('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_paths_are_no_names(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.keras").touch()
    (tmp_path / "hub").mkdir()
    for name, what in (("mine.keras", "is a file"), ("hub", "is a directory")):
        with pytest.raises(UsageError, match=what) as raised:
            registry.check_name(name)
        assert "weights" in raised.value.hint
