"""What networks return, in every form that people's have: the same maps as plain PyTorch's from the right logits."""

from __future__ import annotations

from collections import namedtuple
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from gradcam_cli.cam.explainer import Explainer
from gradcam_cli.cam.layers.trace import trace_network
from gradcam_cli.cam.predictions import probabilities
from gradcam_cli.errors import ModelError
from tests.conftest import SmallNet

CLASSES = 5


@dataclass
class Results:
    hidden: torch.Tensor
    logits: torch.Tensor


Pair = namedtuple("Pair", ["probabilities", "logits"])


class Ending(nn.Module):
    """A network with logits, and an ending of a user's."""

    def __init__(self, ending: Any, classes: int = CLASSES) -> None:
        super().__init__()
        torch.manual_seed(11)
        self.net = SmallNet(classes)
        nn.init.normal_(self.net.classifier.weight, std=2.0)
        self.ending = ending

    def forward(self, x):
        features = self.net.tail(self.net.features(x)).mean((2, 3))
        return self.ending(self.net.classifier(features), features)


def plain_gradcam(net: Ending, picture: torch.Tensor, score: Any) -> np.ndarray:
    """Return Grad-CAM of a score of the logits, by plain PyTorch."""
    maps = net.net.features(picture).detach().requires_grad_(True)
    score(net.net.head(maps)[0]).backward()
    cam = (maps.grad.mean((2, 3), keepdim=True) * maps.detach()).sum(1)[0].relu()
    return cam.numpy()


@pytest.fixture
def picture() -> torch.Tensor:
    return torch.randn(1, 3, 24, 40, generator=torch.Generator().manual_seed(5))


SEVERAL: dict[str, tuple[Any, str | None]] = {
    "tensor": (lambda z, f: z, None),
    "softmax function": (lambda z, f: F.softmax(z, dim=1), "softmax"),
    "softmax of the last dimension": (lambda z, f: z.softmax(-1), "softmax"),
    "softmax by keyword": (lambda z, f: torch.softmax(input=z, dim=1), "softmax"),
    "log-softmax": (lambda z, f: F.log_softmax(z, 1), "softmax"),
    "log-softmax by hand": (lambda z, f: z - z.logsumexp(1, keepdim=True), None),
    "sigmoid": (lambda z, f: z.sigmoid(), "sigmoid"),
    "sigmoid in place": (lambda z, f: z.sigmoid_(), "sigmoid"),
    "softmax, copied and cast": (lambda z, f: z.softmax(1).clone().double(), "softmax"),
    "softmax, squeezed": (lambda z, f: z.softmax(1).squeeze(), "softmax"),
    "softmax with more dimensions": (lambda z, f: z.softmax(1)[:, :, None, None], "softmax"),
    "softmax by hand": (lambda z, f: z.exp() / z.exp().sum(1, keepdim=True), "softmax"),
    "probabilities and logits": (lambda z, f: (z.softmax(1), z), None),
    "logits and probabilities": (lambda z, f: (z, z.softmax(1)), None),
    "probabilities by hand, and logits": (lambda z, f: (z.exp() / z.exp().sum(1, keepdim=True), z), None),
    "sigmoid and logits by name": (lambda z, f: Pair(z.sigmoid(), z), None),
    "features and logits": (lambda z, f: (f, z), None),
    "features by name": (lambda z, f: {"features": f, "out": z}, None),
    "a unit vector and logits": (lambda z, f: (F.normalize(f @ torch.ones(8, 64).tril()), z), None),
    "logits by name": (lambda z, f: {"scale": f, "logits": z}, None),
    "dataclass": (lambda z, f: Results(f, z), None),
    "object": (lambda z, f: SimpleNamespace(logits=z), None),
    "nested": (lambda z, f: {"heads": [{"logits": z}], "loss": z.sum()}, None),
    "beside maps": (lambda z, f: (f[:, :, None, None].expand(-1, -1, 4, 4), z), None),
    "gated": (lambda z, f: z * 3 * z.sigmoid() / z.sigmoid(), None),
}


@pytest.mark.parametrize("optimize", [False, True])
@pytest.mark.parametrize("name", SEVERAL)
def test_several_classes(name, picture, optimize):
    ending, activation = SEVERAL[name]
    net = Ending(ending).eval()
    scale = 3 if name == "gated" else 1
    explainer = Explainer(net, "net.features", input_size=(24, 40), optimize=optimize)
    assert explainer.classes == CLASSES
    assert explainer.readout.probabilities == activation
    found = explainer(picture, 2)[0]
    by_hand = name.endswith("softmax by hand")
    expected = plain_gradcam(net, picture, lambda z: z.log_softmax(0)[2] if by_hand else scale * z[2])
    np.testing.assert_allclose(found.maps[0].values, expected, atol=1e-5 * max(expected.max(), 1))
    with torch.no_grad():
        logits = scale * net.net(picture)[0]
    own = logits.sigmoid() if activation == "sigmoid" else logits.softmax(0)
    assert probabilities(found.logits, explainer.activation) == pytest.approx(own.tolist(), abs=1e-5)
    assert any("shown as they are" in note for note in explainer.notes) == (activation is not None)


ONE: dict[str, Any] = {
    "(N, 1)": lambda z, f: z.sigmoid(),
    "(N,)": lambda z, f: z.sigmoid().squeeze(1),
    "()": lambda z, f: z.sigmoid().squeeze(),
    "(N, 1, 1, 1)": lambda z, f: torch.sigmoid(z[:, :, None, None]),
    "logit": lambda z, f: z.squeeze(),
    "one of a softmax": lambda z, f: torch.cat([torch.zeros_like(z), z], 1).softmax(1)[:, 1],
}


@pytest.mark.parametrize("side", [0, 1])
@pytest.mark.parametrize("name", ONE)
def test_one_score_has_two_sides(name, picture, side):
    """The right one: a probability below one half is the negative class."""
    net = Ending(ONE[name], classes=1).eval()
    for sign in (-1, 1):
        net.net.classifier.bias.data.fill_(sign * 20)
        explainer = Explainer(net, "net.features", input_size=(24, 40))
        attribution = explainer(picture, side)[0]
        chances = probabilities(attribution.logits, explainer.activation)
        with torch.no_grad():
            expected = float(net.net(picture)[0, 0].double().sigmoid())
        assert chances == pytest.approx([1 - expected, expected], abs=1e-6)
        assert explainer(picture)[0].maps[0].target.index == (sign > 0)
        cam = plain_gradcam(net, picture, lambda z: z[0] if side else -z[0])
        # Of a probability alone, the log-odds are only as exact as the probability.
        if name != "one of a softmax":
            np.testing.assert_allclose(attribution.maps[0].values, cam, atol=1e-5 * max(cam.max(), 1))


def test_a_part_of_a_softmax(picture):
    net = Ending(lambda z, f: z.softmax(1)[:, 1:4]).eval()
    explainer = Explainer(net, "net.features", input_size=(24, 40))
    found = explainer(picture, 0)[0]
    with torch.no_grad():
        assert probabilities(found.logits, explainer.activation) == pytest.approx(net(picture)[0].tolist(), abs=1e-6)
    expected = plain_gradcam(net, picture, lambda z: torch.logit(z.softmax(0)[1]))
    np.testing.assert_allclose(found.maps[0].values, expected, atol=1e-5 * max(expected.max(), 1))
    assert "part of a softmax" in explainer.notes[0]


def test_a_saturated_probability_is_explained_all_the_same(picture):
    """In front of the activation nothing is saturated."""
    net = Ending(lambda z, f: (z * 500).softmax(1)).eval()
    found = Explainer(net, "net.features", input_size=(24, 40))(picture)[0]
    assert max(probabilities(found.logits)) > 1 - 1e-9
    assert found.maps[0].blank is None


@pytest.mark.parametrize("method", ["scorecam", "ablationcam", "smoothgrad", "hirescam", "shapleycam"])
def test_methods_see_the_logits(picture, method):
    found = [
        Explainer(Ending(ending).eval(), "net.features", method=method, input_size=(24, 40))(picture, 2)[0]
        .maps[0]
        .values
        for ending in (lambda z, f: z, lambda z, f: z.softmax(1))
    ]
    np.testing.assert_allclose(found[1], found[0], atol=1e-5 * max(found[0].max(), 1))


def test_a_regression_is_one_score(picture):
    net = Ending(lambda z, f: z, classes=1).eval()
    explainer = Explainer(net, "net.features", input_size=(24, 40), activation="none")
    assert [len(each.logits) for each in explainer(picture)] == [1]
    np.testing.assert_allclose(
        explainer(picture)[0].maps[0].values, plain_gradcam(net, picture, lambda z: z[0]), atol=1e-5
    )
    with pytest.raises(ModelError, match="are not the network's"):
        explainer(picture, 1)


def test_plain_scores_are_taken_as_they_are(picture):
    net = Ending(lambda z, f: z.softmax(1)).eval()
    found = Explainer(net, "net.features", input_size=(24, 40), activation="none")(picture, 2)[0]
    assert found.logits.sum() == pytest.approx(1, abs=1e-6)
    expected = plain_gradcam(net, picture, lambda z: z.softmax(0)[2])
    np.testing.assert_allclose(found.maps[0].values, expected, atol=1e-6)


TWO_HEADS = {
    "tuple": lambda z, f: (z[:, :2], z * 2),
    "names": lambda z, f: {"sex": z[:, :2], "age": z * 2},
    "embedding": lambda z, f: (f @ torch.ones(8, 64), z),
}


@pytest.mark.parametrize(
    ("name", "listed"),
    [
        ("tuple", r"0 \(1, 2\), 1 \(1, 5\)"),
        ("names", r"sex \(1, 2\), age \(1, 5\)"),
        ("embedding", r"0 \(1, 64\), 1 \(1, 5\)"),
    ],
)
def test_of_two_heads_one_must_be_chosen(name, listed):
    with pytest.raises(ModelError, match=listed) as caught:
        trace_network(Ending(TWO_HEADS[name]).eval(), (24, 40))
    assert "{output}" in caught.value.template


@pytest.mark.parametrize(
    ("name", "output", "classes"),
    [
        ("tuple", "0", 2),
        ("tuple", "1", 5),
        ("tuple", "-1", 5),
        ("names", "age", 5),
        ("names", "0", 2),
        ("embedding", "1", 5),
    ],
)
def test_a_chosen_output(name, output, classes):
    assert trace_network(Ending(TWO_HEADS[name]).eval(), (24, 40), output=output).classes == classes


def test_labels_choose_among_outputs():
    assert trace_network(Ending(TWO_HEADS["embedding"]).eval(), (24, 40), fits=lambda count: count == 5).classes == 5


def test_an_output_that_there_is_not():
    with pytest.raises(ModelError, match="no single output 'weight'") as caught:
        trace_network(Ending(TWO_HEADS["names"]).eval(), (24, 40), output="weight")
    assert "sex (1, 2), age (1, 5)" in caught.value.hint


EMBEDDINGS = {
    "unit length": lambda z, f: F.normalize(f @ torch.eye(8)),
    "unit length by hand": lambda z, f: f / f.norm(dim=1, keepdim=True),
    "normalised at the end": lambda z, f: F.layer_norm(f @ torch.ones(8, 64).tril(), (64,)),
    "by name": lambda z, f: {"pooler_output": f},
}


@pytest.mark.parametrize("name", EMBEDDINGS)
def test_an_embedding_is_no_class(name):
    net = Ending(EMBEDDINGS[name]).eval()
    with pytest.raises(ModelError, match=r"an embedding of|returns features, not class scores") as caught:
        trace_network(net, (24, 40))
    assert "classifier" in caught.value.hint
    assert trace_network(net, (24, 40), output="0").classes >= 8


OTHERS = {
    "boxes": (lambda z, f: [{"boxes": torch.zeros(0, 4), "scores": torch.zeros(0)}], "is a detector"),
    "masks": (lambda z, f: {"out": z[:, :, None, None].expand(-1, -1, 6, 7)}, "segmentation"),
    "tokens": (lambda z, f: torch.stack([z, z]), "no class scores"),
    "text": (lambda z, f: "cat", "no tensor of floats"),
}


@pytest.mark.parametrize("name", OTHERS)
def test_what_is_no_classifier_is_told_so(name):
    ending, told = OTHERS[name]
    with pytest.raises(ModelError, match=told):
        trace_network(Ending(ending).eval(), (24, 40))


def test_a_range_earns_a_note_and_no_more(picture):
    net = Ending(lambda z, f: (z.atan() + 2) / 4).eval()
    explainer = Explainer(net, "net.features", input_size=(24, 40))
    assert explainer.readout.activation is None
    assert "between 0 and 1" in explainer.notes[0]
