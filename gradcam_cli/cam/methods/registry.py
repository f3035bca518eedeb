"""The table of methods: formulas that turn the data of a batch into class activation maps.

A method is one function in a file of its family and one line of ``METHODS``; it is imported when it is used, so that
the names are known without torch. Other packages add methods by entry points of the group ``gradcam.methods``.
"""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING, Final

from gradcam_cli.cam.methods.method import Method, Parameter
from gradcam_cli.errors import UsageError
from gradcam_cli.plugins import plugins
from gradcam_cli.text import quoted

if TYPE_CHECKING:
    from collections.abc import Iterable

    from gradcam_cli.cam.methods.method import Formula

    MethodLike = str | Method | Formula
    """A method by its name, as a record, or as the caller's own function."""

GROUP: Final = "gradcam.methods"

ARXIV = "https://arxiv.org/abs/"

_TABLE = (
    Method("gradcam", "gradcam:gradcam", "feature maps weighed by the mean of their gradient", f"{ARXIV}1610.02391",
        title="Grad-CAM"),
    Method("gradcam++", "gradcam:gradcam_pp", "positive gradients, weighed by how alone they are",
        f"{ARXIV}1710.11063", title="Grad-CAM++"),
    Method("smoothgradcam++", "smoothgrad:smoothgradcam_pp",
        "Grad-CAM++ averaged over eight noisy copies of the picture", f"{ARXIV}1908.01224", gradient=False,
        parameters=(
            Parameter("n", 8, "noisy copies", 1, 1000),
            Parameter("sigma", 0.15, "noise, as a share of the picture's range", 0, 10)), title="Smooth Grad-CAM++"),
    Method("xgradcam", "gradcam:xgradcam", "gradients weighed by each place's share of its map", f"{ARXIV}2008.02312",
        title="XGrad-CAM"),
    Method("hirescam", "elementwise:hirescam", "gradient times activation, place by place", f"{ARXIV}2011.08891",
        title="HiResCAM"),
    Method("layercam", "elementwise:layercam", "positive gradient times activation, place by place",
        "https://doi.org/10.1109/TIP.2021.3089943", title="LayerCAM"),
    Method("gradcam-elementwise", "elementwise:gradcam_elementwise", "positive part of gradient times activation",
        title="Element-wise Grad-CAM"),
    Method("shapleycam", "gradcam:shapleycam", "the gradient's mean less half the curvature along the activation",
        f"{ARXIV}2501.06261", title="ShapleyCAM"),
    Method("finercam", "gradcam:finercam", "what tells the class from the three that score nearest to it",
        f"{ARXIV}2501.11309",
        parameters=(
            Parameter("n", 3, "classes to compare with", 1, 1000),
            Parameter("alpha", 1.0, "strength of the comparison", 0, 10)), title="Finer-CAM"),
    Method("guided-weights", "gradcam:guided_weights",
        "positive gradients at active places only, as Keras tutorials do", rectified=False,
        title="Guided-weights Grad-CAM"),
    Method("eigencam", "eigen:eigencam", "first principal component of the activations; knows no class",
        f"{ARXIV}2008.00299", gradient=False, title="Eigen-CAM"),
    Method("eigengradcam", "eigen:eigengradcam", "first principal component of gradient times activation",
        title="EigenGradCAM"),
    Method("kpca-cam", "eigen:kpca_cam", "first kernel principal component of the activations; knows no class",
        f"{ARXIV}2410.00267", gradient=False, title="KPCA-CAM"),
    Method("fem", "activation:fem", "feature maps weighed by how often they stand out; knows no class",
        "https://hal.science/hal-02963298", gradient=False,
        parameters=(Parameter("k", 2.0, "standard deviations above the mean that stand out", 0, 100),), title="FEM"),
    Method("ablationcam", "ablation:ablationcam", "what the score loses without each feature map; some forward passes",
        "https://doi.org/10.1109/WACV45572.2020.9093360", gradient=False, reruns=True, title="Ablation-CAM"),
    Method("scorecam", "score:scorecam",
        "the class's probability when only a feature map's places are left; many forward passes", f"{ARXIV}1910.01279",
        gradient=False, slow=True, title="Score-CAM"),
    Method("scorecam-paper", "score:scorecam_paper",
        "the same with the paper's weights: softmax of what the score gains", f"{ARXIV}1910.01279", gradient=False,
        slow=True, title="Score-CAM (paper's weights)"),
    Method("scorecam-logits", "score:scorecam_logits", "the same with other libraries' weights: softmax of the score",
        f"{ARXIV}1910.01279", gradient=False, slow=True, title="Score-CAM (logits)"),
    Method("faster-scorecam", "score:faster_scorecam", "Score-CAM with the 64 feature maps that vary most",
        "https://github.com/tabayashi0117/Score-CAM", gradient=False, slow=True,
        parameters=(Parameter("n", 64, "feature maps", 1, 100_000),), title="Faster Score-CAM"),
    Method("sscam", "score:sscam", "Score-CAM over eight noisy copies of each mask", f"{ARXIV}2006.14255",
        gradient=False, slow=True,
        parameters=(
            Parameter("n", 8, "noisy copies of a mask", 1, 1000),
            Parameter("sigma", 2.0, "standard deviation of the noise", 0, 100)), title="SS-CAM"),
    Method("iscam", "score:iscam", "Score-CAM over ten strengths of each mask", f"{ARXIV}2010.03023", gradient=False,
        slow=True, parameters=(Parameter("n", 10, "strengths of a mask", 1, 1000),), title="IS-CAM"),
    Method("gradient", "input_gradient:gradient", "how much the score changes with each pixel of the input",
        f"{ARXIV}1312.6034", gradient=False, rectified=False, layered=False, title="Gradient"),
    Method("smoothgrad", "smoothgrad:smoothgrad", "the same averaged over sixteen noisy copies of the picture",
        f"{ARXIV}1706.03825", gradient=False, rectified=False, layered=False,
        parameters=(
            Parameter("n", 16, "noisy copies", 1, 1000),
            Parameter("sigma", 0.15, "noise, as a share of the picture's range", 0, 10)), title="SmoothGrad"),
    Method("guided-backprop", "input_gradient:guided_backprop",
        "the input's gradient, positive through every ReLU; knows little of the class", f"{ARXIV}1412.6806",
        gradient=False, rectified=False, layered=False, needs="input_gradient:needs_relu",
        title="Guided backpropagation"),
    Method("guided-gradcam", "input_gradient:guided_gradcam",
        "guided backpropagation times Grad-CAM: details where they speak for the class", f"{ARXIV}1610.02391",
        needs="input_gradient:needs_relu", title="Guided Grad-CAM"),
    Method("cam", "activation:cam", "the last linear layer's weights, where only pooling is in front of it",
        f"{ARXIV}1512.04150", gradient=False, needs="activation:needs_linear_head", title="CAM"),
    Method("random", "activation:random_weights", "random weights: the baseline that a method has to beat",
        gradient=False, parameters=(Parameter("seed", 0, "of the weights", 0, 2**31),), title="Random weights"),
)  # fmt: skip

METHODS: dict[str, Method] = {method.name: method for method in _TABLE}
"""Name → method, in the order in which they are listed."""

_SPELT = {name.replace("-", "").replace("++", plus): name for name in METHODS for plus in ("++", "pp", "plusplus")}
"""Spelling without hyphens, or of other libraries → the name."""

ALL = "all"
"""The name that stands for all methods that suit any network."""


def check_method(text: str) -> str:
    """Return the method's name as it is listed, followed by its parameters, or ``all``.

    Of a method of another package, only the existence is checked.

    Raises:
        UsageError: there is no such method, and close matches are offered; or it has no such parameter.
    """
    name, given = _parts(text)
    known = _known(name)
    if known == ALL and given is None:
        return ALL
    if known in METHODS:
        return METHODS[known].bound(given).name
    others = plugins(GROUP)
    if known in others:
        return known if given is None else f"{known}:{given}"
    close = difflib.get_close_matches(known, [*METHODS, *others], 3, 0.5)
    hint = f"did you mean {', '.join(close)}?" if close else "'gradcam methods' lists them"
    raise UsageError(f"there is no method {quoted(text)}", hint)


def method_named(text: str) -> Method:
    """Return a method by its name and parameters (``smoothgrad:n=32,sigma=0.2``), those of other packages loaded.

    Raises:
        UsageError: there is no such method or parameter, or another package's fails.
    """
    name, given = _parts(check_method(text))
    if name == ALL:
        raise UsageError(f"{ALL!r} is several methods", "give one, or a list of them")
    method = METHODS.get(name)
    if method is None:
        plugin = plugins(GROUP)[name]
        loaded = plugin.load()
        if not (isinstance(loaded, Method) or callable(loaded)):
            raise plugin.failure(f"it is a {type(loaded).__name__}, not a function or Method")
        method = Method.of(loaded, name, plugin)
    return method.bound(given)


def methods_of(given: MethodLike | Iterable[MethodLike]) -> list[Method]:
    """Return the methods for names, for the caller's own functions, or for several of either, each name once.

    Raises:
        UsageError: as `method_named`.
    """
    several = [given] if isinstance(given, (str, Method)) or callable(given) else list(given)
    found = [method_named(each) if isinstance(each, str) else Method.of(each) for each in several]
    return list({method.name: method for method in found}.values())


def listed_methods() -> tuple[list[Method], list[str]]:
    """Return all methods, ours first, then loaded ones of other packages, and a line for each that cannot be used."""
    found, problems = list(METHODS.values()), []
    for name, plugin in plugins(GROUP).items():
        if _known(name) in METHODS or name == ALL:
            problems.append(f"the method {quoted(name)} of the package {plugin.package} is left out: its name is taken")
            continue
        try:
            found.append(method_named(name))
        except UsageError as error:
            problems.append(f"the method {error.message}")
    return found, problems


def _parts(text: str) -> tuple[str, str | None]:
    """Return a method's name and the text of its parameters, None without a colon."""
    name, colon, given = text.partition(":")
    return name, given if colon else None


def _known(name: str) -> str:
    plain = name.strip().lower().replace("_", "-")
    return _SPELT.get(plain.replace("-", ""), plain)


def quick() -> tuple[str, ...]:
    """Return the methods that suit any network and run it once or a few times."""
    return tuple(name for name, method in METHODS.items() if not (method.needs or method.slow))


def methods_named(names: tuple[str, ...]) -> tuple[str, ...]:
    """Expand ``all`` and keep each name once."""
    universal = [name for name, method in METHODS.items() if not method.needs]
    return tuple(dict.fromkeys(each for name in names for each in (universal if name == ALL else [name])))
