"""What ``--target`` says: read before anything is loaded, resolved against labels and predictions."""

from __future__ import annotations

import pytest

from gradcam_cli.cam.predictions import Ranking, activation_for, predictions, probabilities, resolve
from gradcam_cli.cam.targets import Aim, Target, parse_target
from gradcam_cli.errors import ModelError, UsageError

LABELS = ("tabby", "tiger cat", "lynx", "tench, Tinca tinca")
RANKED = Ranking([0.2, 0.4, 0.3, 0.1], LABELS)


@pytest.mark.parametrize(
    ("text", "names", "aims"),
    [
        ("top", ["top1"], [Aim(1)]),
        ("TOP:2", ["top1", "top2"], [Aim(1), Aim(2)]),
        ("3", ["3"], [Aim(3)]),
        ("Lynx", ["Lynx"], [Aim(2)]),
        ("tinca tinca", ["tinca tinca"], [Aim(3)]),
        ("tabby vs lynx", ["tabby vs lynx"], [Aim(0, against=2)]),
        (" tabby  VS. 3 ", ["tabby vs 3"], [Aim(0, against=3)]),
        ("top vs lynx", ["top1 vs lynx"], [Aim(1, against=2)]),
        ("not:tabby", ["not tabby"], [Aim(0, negated=True)]),
        ("NOT: top", ["not top1"], [Aim(1, negated=True)]),
    ],
)
def test_what_is_asked_for(text, names, aims):
    targets = parse_target(text)
    assert [target.name for target in targets] == names
    assert resolve(targets, RANKED, LABELS) == aims


@pytest.mark.parametrize(
    "text",
    [
        "",
        "-1",
        "top:0",
        "top:x",
        "not:",
        "not:top:2",
        "top:2 vs lynx",
        "top:999999999",
        f"top:{'9' * 5000}",
        "9" * 5000,
    ],
)
def test_what_is_no_target(text):
    with pytest.raises(UsageError):
        parse_target(text)


@pytest.mark.parametrize("text", ["4", "top vs 4", "9 vs tabby", "dog", "not:dog", "tabby vs 0", "t"])
def test_what_the_network_lacks(text):
    with pytest.raises(ModelError):
        resolve(parse_target(text), RANKED, LABELS)


def test_ranks_go_by_probability_and_ties_by_index():
    tied = Ranking([0.1, 0.4, 0.4, 0.1], None)
    assert [each.index for each in tied] == [1, 2, 0, 3]
    assert tied[0].label == "class 1"
    assert [each.index for each in tied[1:3]] == [2, 0]
    assert len(tied) == 4


def test_what_is_told_of_an_aim():
    assert RANKED.told(Aim(0)).label == "tabby"
    assert RANKED.told(Aim(0, against=2)).label == "tabby vs lynx"
    assert RANKED.told(Aim(2, negated=True)) == RANKED.of(2).__class__(2, "not lynx", 0.3)


def test_a_target_is_named_before_anything_is_known():
    assert Target(index=281).name == "281"


def test_sigmoid_gives_each_class_its_own_probability():
    logits = [2.0, -1000.0, 1000.0, 0.0]
    chances = probabilities(logits, "sigmoid")
    assert chances == pytest.approx([0.8807970779778823, 0.0, 1.0, 0.5])
    ranked = predictions(logits, LABELS, "sigmoid")
    assert [each.index for each in ranked[:4]] == [2, 0, 3, 1]
    assert sum(probabilities(logits, "softmax")) == pytest.approx(1)
    assert probabilities(logits) == probabilities(logits, "softmax")


@pytest.mark.parametrize("activation", ["auto", "softmax", "sigmoid"])
def test_one_logit_has_two_sides_whatever_is_asked_for(activation):
    assert probabilities([2.0], activation) == pytest.approx([0.1192029220221176, 0.8807970779778823])
    assert activation_for(1, activation) == "sigmoid"


def test_what_auto_stands_for():
    assert [activation_for(5, each) for each in ("auto", "softmax", "sigmoid")] == ["softmax", "softmax", "sigmoid"]
