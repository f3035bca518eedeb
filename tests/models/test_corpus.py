"""Every weights and labels file of the shared corpus does what its table says."""

import pytest

from gradcam_cli.errors import ModelError
from gradcam_cli.models.labels import read_labels
from gradcam_cli.models.load import load_model
from tests.conftest import corpus_rows

pytestmark = pytest.mark.slow

REFUSED = {"weights/full_module.pth", "weights/torchscript.pt"}
"""Files that are whole, but of kinds that we refuse, as the table allows."""


def outcome(call):
    """Return None, or the message of the error that ``call`` ends in, whose two lines must be printable ones."""
    try:
        call()
        return None
    except ModelError as caught:
        error = caught
    assert error.message.isprintable()
    assert error.hint.isprintable()
    assert error.hint
    assert len(error.message) < 600
    return error.message


@pytest.mark.parametrize("name", ["shufflenet_v2_x0_5", "auto"])
def test_weights(name, corpus, marker):
    for row in corpus_rows("weights"):
        path = corpus / row["path"]
        message = outcome(lambda path=path: load_model(name, weights=path))
        loads = row["path"] not in REFUSED and (row["validity"] == "ok" or row["category"] == "non_finite")
        assert (message is None) == loads, (row["path"], message)
        assert message is None or path.name in message


def test_labels(corpus, marker):
    for row in corpus_rows("labels"):
        path = corpus / row["path"]
        count = len(path.read_text().split("\n")) if "small" in row["path"] else 1000
        found = []
        message = outcome(lambda path=path, count=count, found=found: found.extend(read_labels(path, count)))
        expected = row["validity"] == "ok" or "decoded right" in row["expected"]
        assert (message is None) == expected, (row["path"], message)
        assert message is None or path.name in message
        assert all(name.isprintable() for name in found)
        if "430 basketball" in row["expected"]:
            assert (found[0], found[430], found[999]) == ("tench", "basketball", "toilet tissue"), row["path"]
