"""What ``--target`` says: read before anything is loaded, resolved against labels and predictions."""

from __future__ import annotations

from itertools import permutations

import pytest
import torch

from gradcam_cli.cam.predictions import Ranking, activation_for, predictions, probabilities, resolve
from gradcam_cli.cam.targets import Target, TargetSpec, parse_target
from gradcam_cli.errors import ModelError, UsageError
from gradcam_cli.pipeline.clips.temporal import mean_predictions
from gradcam_cli.records import Prediction

LABELS = ("tabby", "tiger cat", "lynx", "tench, Tinca tinca")
RANKED = Ranking([0.2, 0.4, 0.3, 0.1], LABELS)


@pytest.mark.parametrize(
    ("text", "names", "targets"),
    [
        ("top", ["top1"], [Target(1)]),
        ("TOP:2", ["top1", "top2"], [Target(1), Target(2)]),
        ("3", ["3"], [Target(3)]),
        ("Lynx", ["Lynx"], [Target(2)]),
        ("tinca tinca", ["tinca tinca"], [Target(3)]),
        ("tabby vs lynx", ["tabby vs lynx"], [Target(0, against=2)]),
        (" tabby  VS. 3 ", ["tabby vs 3"], [Target(0, against=3)]),
        ("top vs lynx", ["top1 vs lynx"], [Target(1, against=2)]),
        ("not:tabby", ["not tabby"], [Target(0, negated=True)]),
        ("NOT: top", ["not top1"], [Target(1, negated=True)]),
    ],
)
def test_what_is_asked_for(text, names, targets):
    specs = parse_target(text)
    assert [spec.name for spec in specs] == names
    assert resolve(specs, RANKED, LABELS) == targets


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


def test_label_and_probability_are_of_what_is_compared_or_negated():
    assert RANKED.for_target(Target(0)) == Prediction(0, "tabby", 0.2)
    assert RANKED.for_target(Target(0, against=2)) == Prediction(0, "tabby vs lynx", 0.2 / (0.2 + 0.3))
    assert RANKED.for_target(Target(2, negated=True)) == Prediction(2, "not lynx", 0.7)


@pytest.mark.parametrize("activation", ["softmax", "sigmoid"])
@pytest.mark.parametrize("logits", [[2.0, -1.0, 0.5], [-900.0, -905.0, 900.0], [1.5], [-2000.0]])
def test_the_probability_among_two_is_the_softmax_over_their_logits(logits, activation):
    ranked = predictions(logits, None, activation)
    both = torch.tensor([0.0, *logits] if len(logits) == 1 else logits, dtype=torch.float64)
    for first, second in permutations(range(len(ranked)), 2):
        found = ranked.for_target(Target(first, against=second)).probability
        assert found == pytest.approx(float(torch.softmax(both[[first, second]], 0)[0]), abs=1e-12)
        assert ranked.for_target(Target(first, negated=True)).probability == 1 - ranked.of(first).probability


def test_of_a_clip_the_probability_among_two_is_the_frames_mean():
    frames = [predictions(logits, LABELS) for logits in ([2.0, 0.0, 5.0, 1.0], [0.0, 3.0, 5.0, 1.0])]
    target = Target(0, against=1)
    mean = sum(frame.for_target(target).probability for frame in frames) / 2
    assert mean_predictions(frames).for_target(target).probability == pytest.approx(mean, abs=1e-12)


def test_a_target_is_named_before_anything_is_known():
    assert TargetSpec(index=281).name == "281"


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
