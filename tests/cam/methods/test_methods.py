"""Every method against its formula in float64, and what the registry promises."""

from __future__ import annotations

import inspect
from dataclasses import replace

import numpy as np
import pytest
import torch
import torchvision
from torch import nn

from gradcam_cli.cam.context import Budget
from gradcam_cli.cam.execution.partial_forward import PartialForward
from gradcam_cli.cam.explainer import Explainer
from gradcam_cli.cam.methods import ablation
from gradcam_cli.cam.methods.registry import METHODS, check_method, methods_named, quick
from gradcam_cli.cam.targets import Target
from gradcam_cli.errors import ModelError, UsageError
from tests.cam.oracle import Oracle, component, expected, score_weights

BY_FORMULA = [name for name in METHODS if name not in ("cam", "random")]


@pytest.mark.slow
@pytest.mark.parametrize("layer", ["features", "features.3"])
@pytest.mark.parametrize("method", BY_FORMULA)
def test_equals_the_float64_formula(small_net, batch, method, layer):
    """Also in front of a ReLU, where activations and their sums are negative too."""
    explained = Explainer(small_net, layer, method=method)(batch, [0, 2, 4])
    shown = 0
    for picture, target, result in zip(batch, (0, 2, 4), explained, strict=True):
        raw = expected(method, Oracle(small_net, picture, layer), target)
        wanted = np.maximum(raw, 0) if METHODS[method].rectified else raw
        found = result.maps[0]
        assert (found.method, found.target.index) == (method, target)
        assert (found.low, found.high) == pytest.approx((raw.min(), raw.max()), abs=1e-5 * np.abs(raw).max())
        if found.blank:
            assert wanted.max() <= 1e-6, found.blank
            continue
        shown += 1
        assert np.abs(found.values - wanted).max() <= 1e-5 * np.abs(raw).max()
    # Where every place's sum is negative, so is a component that agrees with it.
    assert shown or (method, layer) == ("eigencam", "features.3"), "blank maps alone would prove nothing"


@pytest.mark.parametrize("method", METHODS)
def test_does_not_depend_on_company(small_net, batch, method):
    """Not on the other pictures of a batch, the other classes, layers or methods."""
    layer = "tail" if method == "cam" else "features"
    place = METHODS[method].place(layer)
    others = ["gradcam", "eigencam", *([] if method in ("gradcam", "eigencam") else [method])]
    together = Explainer(small_net, ["features.3", layer] if method != "cam" else layer, method=others)
    explained = together(batch, lambda logits: [3, 1])
    for position in range(len(batch)):
        mine, *again = [
            each
            for each in explained[position].maps
            if (each.method, each.layer, each.target.index) == (method, place, 1)
        ]
        assert len(again) == (place == "input"), "once for each layer, where it looks at none"
        alone = Explainer(small_net, layer, method=method)(batch[position : position + 1], 1)[0].maps[0]
        np.testing.assert_allclose(mine.values, alone.values, atol=1e-5 * max(np.abs(alone.values).max(), 1e-3))


@pytest.mark.parametrize("method", ["gradcam", "layercam", "hirescam", "eigengradcam", "ablationcam"])
def test_one_class_against_another_and_against_a_class(small_net, batch, method):
    """The score is a difference of logits, or a negative one; so are its gradient and what ablation takes away."""
    truth = Oracle(small_net, batch[0], "features")
    logits, gradients, a = truth.logits(), truth.gradients(), truth.activations
    for target, class_weights in (
        (Target(2, against=4), {2: 1, 4: -1}),
        (Target(1, negated=True), {1: -1}),
        (Target(3), {3: 1}),
    ):
        y = sum(share * logits[k] for k, share in class_weights.items())
        g = sum(share * gradients[k] for k, share in class_weights.items())
        left = np.array([sum(share * truth.without(k)[c] for c, share in class_weights.items()) for k in range(len(a))])
        raw = {
            "gradcam": np.tensordot(g.mean((1, 2)), a, axes=1),
            "layercam": (np.maximum(g, 0) * a).sum(0),
            "hirescam": (g * a).sum(0),
            "eigengradcam": component(g * a, g * a),
            "ablationcam": np.tensordot((y - left) / abs(y), a, axes=1),
        }[method]
        found = Explainer(small_net, "features", method=method)(batch[:1], target)[0].maps[0]
        assert found.target == target
        assert (found.low, found.high) == pytest.approx((raw.min(), raw.max()), abs=1e-5 * np.abs(raw).max())


def test_probabilities_of_a_class_and_of_all_others_add_up(small_net, batch):
    """And so do Score-CAM's maps for and against it: to the sum of the feature maps that make masks."""
    a = Oracle(small_net, batch[0], "features").activations
    explainer = Explainer(small_net, "features", method="scorecam")
    both = explainer(batch[:1], lambda logits: [Target(2), Target(2, negated=True)])[0].maps
    total = sum(plane for plane in a if np.ptp(plane) > 0)
    np.testing.assert_allclose(both[0].values + both[1].values, total, atol=1e-5 * total.max())
    against = explainer(batch[:1], lambda logits: [Target(2, 4), Target(4, 2)])[0].maps
    np.testing.assert_allclose(against[0].values + against[1].values, total, atol=1e-5 * total.max())


def test_maps_come_layer_by_layer_class_by_class_method_by_method(small_net, batch):
    explainer = Explainer(small_net, ["features", "tail"], method=["layercam", "fem"])
    order = [(each.layer, each.target.index, each.method) for each in explainer(batch, lambda logits: [2, 0])[0].maps]
    assert order == [(l, t, m) for l in ("features", "tail") for t in (2, 0) for m in ("layercam", "fem")]  # noqa: E741


def test_many_methods_cost_one_forward_and_one_backward(small_net, batch, monkeypatch):
    calls = {"forward": 0, "backward": 0}
    differentiate = torch.autograd.grad

    def counted(*arguments, **options):
        calls["backward"] += 1
        return differentiate(*arguments, **options)

    monkeypatch.setattr(torch.autograd, "grad", counted)
    small_net.register_forward_hook(lambda *_: calls.update(forward=calls["forward"] + 1))
    several = ("shapleycam", "finercam", "ablationcam", "smoothgradcam++")
    methods = [name for name in quick() if METHODS[name].layered and name not in several]
    explainer = Explainer(small_net, ["features", "tail"], method=methods)
    calls["forward"] = 0
    explainer(batch, 1)
    assert calls == {"forward": 1, "backward": 1}


def test_methods_without_gradients_have_none_computed(small_net, batch, monkeypatch):
    monkeypatch.setattr(torch.autograd, "grad", lambda *_, **__: pytest.fail("a gradient was computed"))
    Explainer(small_net, "features", method=["eigencam", "fem", "kpca-cam", "random"])(batch, 1)


def test_cam_equals_gradcam_behind_global_pooling(batch):
    torch.manual_seed(2)
    net = torchvision.models.resnet18(num_classes=6).eval()
    for each in Explainer(net, "layer4", method=["cam", "gradcam"])(torch.randn(2, 3, 64, 96), [1, 4]):
        cam, gradcam = each.maps
        assert gradcam.values.max() > 0
        np.testing.assert_allclose(cam.values / cam.values.max(), gradcam.values / gradcam.values.max(), atol=1e-5)


def test_scores_are_shared_by_the_family_and_by_classes(small_net, batch):
    passes = []
    small_net.register_forward_hook(lambda module, args, output: passes.append(len(output)))
    family = ["scorecam", "scorecam-paper", "scorecam-logits", "faster-scorecam"]
    explainer = Explainer(small_net, "features", method=family)
    passes.clear()
    explainer(batch[:1], lambda logits: [0, 1, 2])
    uneven = int((small_net.features(batch[:1]).flatten(2).std(2) > 0).sum())
    blank = 1  # scorecam-paper's, for all classes
    assert sum(passes) == 1 + uneven + blank


def test_the_fast_variant_takes_what_varies_most(small_net, batch):
    truth = Oracle(small_net, batch[0], "features")
    weights = score_weights("scorecam", truth, 1)
    most = np.argsort(-truth.activations.var(axis=(1, 2)))[:3]
    expected_map = np.tensordot(weights[most], truth.activations[most], axes=1)
    found = Explainer(small_net, "features", method="faster-scorecam:n=3")(batch[:1], 1)[0].maps[0].values
    np.testing.assert_allclose(found, expected_map, atol=1e-5 * expected_map.max())


def test_ablation_is_done_once_for_all_classes(small_net, batch, monkeypatch):
    built = []
    original = PartialForward.__init__
    monkeypatch.setattr(PartialForward, "__init__", lambda self, *args: built.append(1) or original(self, *args))
    maps = Explainer(small_net, "features", method="ablationcam")(batch, lambda logits: [0, 1, 2])[0].maps
    assert len({(each.low, each.high) for each in maps}) == 3
    assert len(built) == len(batch)


def test_ablation_in_front_of_what_writes_into_its_input(small_net, batch, monkeypatch):
    """Feature maps are put back one by one, or all of them where the network has changed them; in several chunks."""
    monkeypatch.setattr(ablation, "NUMBERS", 4 * small_net.features[:4](batch[:1]).numel())
    plain = Explainer(small_net, "features.3", method="ablationcam")(batch, 2)
    small_net.features[4].inplace = True
    for one, other in zip(plain, Explainer(small_net, "features.3", method="ablationcam")(batch, 2), strict=True):
        np.testing.assert_array_equal(one.maps[0].values, other.maps[0].values)
    assert any(each.maps[0].values.any() for each in plain)


@pytest.mark.parametrize(("budget", "least", "most"), [(None, 64, 64), (1e-9, 16, 16), (60, 65, 100)])
def test_a_budget_buys_feature_maps(batch, budget, least, most):
    """One batch of them at least."""
    torch.manual_seed(4)
    net = nn.Sequential(nn.Conv2d(3, 100, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(100, 3))
    passes = []
    net.register_forward_hook(lambda module, args, output: passes.append(len(output)))
    explainer = Explainer(net, "1", method="faster-scorecam", budget=Budget(seconds=budget))
    passes.clear()
    explainer(batch[:1], 1)
    assert least <= sum(passes) - 1 <= most


def test_progress_is_told(small_net, batch):
    reported = []
    budget = Budget(progress=lambda done, total: reported.append((done, total)))
    Explainer(small_net, "features", method="iscam", budget=budget)(batch, 1)
    assert reported[-1][0] == reported[-1][1] > 0
    assert [done for done, _ in reported] == sorted(done for done, _ in reported)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["squeezenet1_0", "vgg11", "densenet121"])
def test_cam_says_what_it_needs(name):
    """Before any work where the layers tell; densenet's ReLU is no module, so there the scores tell."""
    net = torchvision.models.get_model(name, weights=None, num_classes=6).eval()
    with pytest.raises(ModelError, match="global average pooling and one linear layer"):
        Explainer(net, "auto", method="cam", input_size=(64, 64))(torch.randn(1, 3, 64, 64))


def test_cam_at_a_layer_that_the_linear_layer_does_not_read():
    net = torchvision.models.resnet18(num_classes=6).eval()
    with pytest.raises(ModelError, match="its last grid"):
        Explainer(net, "layer3", method="cam")


@pytest.mark.slow
def test_one_logit_has_two_sides(batch):
    torch.manual_seed(3)
    net = nn.Sequential(nn.Conv2d(3, 5, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(5, 1)).eval()
    for method in METHODS:
        positive, negative = Explainer(net, "1", method=method)(batch, lambda logits: [1, 0])[0].maps
        if method in ("eigencam", "kpca-cam", "fem", "random"):
            assert positive.values.max() > 0
            np.testing.assert_array_equal(positive.values, negative.values)
        elif method in ("cam", "gradcam", "hirescam", "finercam"):
            assert (positive.low, positive.high) == pytest.approx((-negative.high, -negative.low))


def test_random_is_seeded_and_between_minus_one_and_one(small_net, batch):
    first, second = (Explainer(small_net, "features", method="random")(batch, t)[0].maps[0] for t in (0, 3))
    np.testing.assert_array_equal(first.values, second.values)
    raw = [first.low, first.high]
    assert max(map(abs, raw)) <= float(
        small_net.features(batch[:1]).detach().sum(1).max()
    )  # activations are not negative


@pytest.mark.parametrize("method", ["xgradcam", "gradcam++", "eigencam", "kpca-cam", "eigengradcam", "fem"])
def test_dead_feature_maps_give_numbers(batch, method):
    """A layer that is zero everywhere: a blank map with a reason, not NaN."""
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 3)).eval()
    nn.init.constant_(net[0].bias, -100.0)
    found = Explainer(net, "1", method=method)(batch, 1)[0].maps[0]
    assert found.blank
    assert "NaN" not in found.blank
    assert not found.values.any()


@pytest.mark.slow
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
@pytest.mark.parametrize("method", METHODS)
def test_networks_of_any_precision(batch, method, dtype):
    torch.manual_seed(3)
    net = nn.Sequential(nn.Conv2d(3, 5, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(5, 3)).eval()
    expected = Explainer(net, "1", method=method)(batch[:1], 1)[0].maps[0].values
    found = Explainer(net.to(dtype), "1", method=method)(batch[:1], 1)[0].maps[0].values
    assert found.dtype == np.float32
    assert expected.max() > 0
    cosine = (found * expected).sum() / np.linalg.norm(found) / np.linalg.norm(expected)
    assert cosine > (0.99999 if dtype == torch.float64 else 0.98)


def test_names():
    assert check_method("GradCAM++") == "gradcam++"
    assert check_method("GradCAMPlusPlus") == "gradcam++"
    assert check_method("SmoothGradCAMpp") == "smoothgradcam++"
    assert check_method("Guided-BackProp") == "guided-backprop"
    assert check_method("kpca_cam") == check_method("KPCACAM") == "kpca-cam"
    assert check_method("grad-cam") == "gradcam"
    with pytest.raises(UsageError) as caught:
        check_method("layrcam")
    assert "layercam" in caught.value.hint
    universal = methods_named(("fem", "all"))
    assert universal[0] == "fem"
    assert sorted(universal) == sorted(name for name, entry in METHODS.items() if not entry.needs)


def test_every_method_tells_its_summary_and_paper():
    for name, entry in METHODS.items():
        assert entry.summary, name
        assert not entry.summary.endswith("."), name
        assert entry.load().__doc__, name
        if entry.paper:
            assert entry.paper.rpartition("://")[2] in entry.load().__doc__.replace("\n    ", ""), name


PARAMETERS = [(name, parameter) for name, method in METHODS.items() for parameter in method.parameters]


@pytest.mark.parametrize(("name", "parameter"), PARAMETERS, ids=lambda each: getattr(each, "name", each))
def test_parameters_are_the_formulas_own(name, parameter):
    """The table's names and defaults are those of the function, and all that this takes is in the table."""
    formula = replace(METHODS[name], parameters=()).load()
    given = dict(inspect.signature(formula).parameters)
    given.pop("context")
    assert {each: known.default for each, known in given.items()} == {
        each.name: each.default for each in METHODS[name].parameters
    }
    assert parameter.meaning
    assert parameter.low <= parameter.default <= parameter.high
    assert type(parameter.default).__name__ == given[parameter.name].annotation


def test_parameters_are_spelt_in_one_way():
    assert check_method("SmoothGrad: sigma = 0.2 , n=32") == "smoothgrad:n=32,sigma=0.2"
    assert check_method("smoothgrad:n=16") == "smoothgrad", "the default"
    assert methods_named(("smoothgrad", check_method("smoothgrad:sigma=0.15"))) == ("smoothgrad",)
    for wrong, message in (
        ("smoothgrad:m=1", "no parameter 'm'"), ("smoothgrad:", "no parameter ''"),
        ("smoothgrad:n", "'n' has no value"), ("smoothgrad:n=", "cannot be ''"),
        ("smoothgrad:n=4,n=4", "'n' is given twice"),
        (f"smoothgrad:n={'9' * 400}", "cannot be '999"),
        ("smoothgrad:n=1.5", "cannot be '1.5'"), ("smoothgrad:sigma=nan", "cannot be 'nan'"),
        ("smoothgrad:sigma=-1", "cannot be '-1'"), ("gradcam:n=1", "no parameter"), ("all:n=1", "no method"),
    ):  # fmt: skip
        with pytest.raises(UsageError) as caught:
            check_method(wrong)
        assert message in caught.value.message
        assert caught.value.hint


def test_parameters_change_the_formula(small_net, batch):
    """A comparison of strength zero leaves Grad-CAM, a noisy copy without noise the gradient, and so on."""
    pairs = {
        "finercam:alpha=0": "gradcam", "smoothgrad:n=1,sigma=0": "gradient", "smoothgradcam++:n=3,sigma=0": "gradcam++",
        "sscam:n=2,sigma=0": "scorecam-logits", "iscam:n=1": "scorecam-logits", "faster-scorecam:n=8": "scorecam",
    }  # fmt: skip
    for special, plain in pairs.items():
        maps = Explainer(small_net, "features", method=[special, plain])(batch[:1], 1)[0].maps
        np.testing.assert_allclose(maps[0].values, maps[1].values, atol=1e-5 * maps[1].values.max(), err_msg=special)
    maps = Explainer(small_net, "features", method=["random", "random:seed=1"])(batch[:1])[0].maps
    assert not np.array_equal(maps[0].values, maps[1].values)


class OneOfMany(torch.nn.Module):
    """A network's class on its own: softmax over (0, y) is sigmoid(y)."""

    def __init__(self, net, index):
        super().__init__()
        self.net, self.index = net, index

    def forward(self, x):
        score = self.net(x)[:, self.index]
        return torch.stack([torch.zeros_like(score), score], dim=1)


def test_scorecam_takes_each_label_by_itself_under_sigmoid(small_net, batch):
    found = Explainer(small_net, "features", method="scorecam", activation="sigmoid", input_size=(24, 40))(batch, 2)
    alone = Explainer(OneOfMany(small_net, 2), "net.features", method="scorecam", input_size=(24, 40))(batch, 1)
    other = Explainer(small_net, "features", method="scorecam", input_size=(24, 40))(batch, 2)
    for a, b, c in zip(found, alone, other, strict=True):
        assert np.allclose(a.maps[0].values, b.maps[0].values, atol=1e-6)
        assert not np.allclose(a.maps[0].values, c.maps[0].values, atol=1e-4)
