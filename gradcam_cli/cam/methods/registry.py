"""The methods: formulas that turn what is known about a batch into class activation maps.

A method is one function in a file of its family and one entry of ``METHODS``; it is imported when it is asked for, so
that the names are known without torch.
"""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, cast

from gradcam_cli.errors import UsageError
from gradcam_cli.text import quoted

if TYPE_CHECKING:
    from collections.abc import Callable

    import torch

    from gradcam_cli.cam.context import LayerContext
    from gradcam_cli.cam.layers.trace import Trace

    Method = Callable[[LayerContext], torch.Tensor]
    """What is known → class activation maps (N, h, w), or maps of the input (N, H, W), not rectified."""

    Check = Callable[[Trace, str], None]
    """What was seen of a network, the target layer's name; raises ModelError where the method does not suit them."""


@dataclass(frozen=True, slots=True)
class MethodEntry:
    """A method's place and what is told about it.

    Attributes:
        location: ``module:function`` within this package.
        summary: one line.
        paper: where it was published, or empty.
        gradient: whether it looks at the layer's gradient, so that a gradient of zero leaves it nothing to show.
        rectified: whether what speaks against the class is cut off.
        slow: whether the network is run anew for each feature map.
        layered: whether it looks at the target layer; otherwise its map is the same for all of them.
        reruns: whether the part of the network behind the layer is run anew, for which the pass before it is noted.
        needs: ``module:function`` that raises where a network or layer does not suit it; empty where all do.
    """

    location: str
    summary: str
    paper: str = ""
    gradient: bool = True
    rectified: bool = True
    slow: bool = False
    reruns: bool = False
    layered: bool = True
    needs: str = ""

    def load(self) -> Method:
        """Import and return the function."""
        return cast("Method", _imported(self.location))

    def place(self, layer: str) -> str:
        """Return what the method looks at when it is asked for a layer: that, or ``input``."""
        return layer if self.layered else INPUT

    def check(self, trace: Trace, layer: str) -> None:
        """Raise ModelError when the method cannot explain the network at the layer of that name."""
        if self.needs:
            cast("Check", _imported(self.needs))(trace, layer)


def _imported(location: str) -> object:
    module, function = location.split(":")
    return getattr(import_module(f"{__package__}.{module}"), function)


INPUT = "input"
"""What methods look at that look at no layer."""

ARXIV = "https://arxiv.org/abs/"

METHODS: dict[str, MethodEntry] = {
    "gradcam": MethodEntry(
        "gradcam:gradcam", "feature maps weighed by the mean of their gradient", f"{ARXIV}1610.02391"
    ),
    "gradcam++": MethodEntry(
        "gradcam:gradcam_pp", "positive gradients, weighed by how alone they are", f"{ARXIV}1710.11063"
    ),
    "smoothgradcam++": MethodEntry(
        "smoothgrad:smoothgradcam_pp", "Grad-CAM++ averaged over eight noisy copies of the picture",
        f"{ARXIV}1908.01224", gradient=False,
    ),
    "xgradcam": MethodEntry(
        "gradcam:xgradcam", "gradients weighed by each place's share of its map", f"{ARXIV}2008.02312"
    ),
    "hirescam": MethodEntry("elementwise:hirescam", "gradient times activation, place by place", f"{ARXIV}2011.08891"),
    "layercam": MethodEntry(
        "elementwise:layercam", "positive gradient times activation, place by place",
        "https://doi.org/10.1109/TIP.2021.3089943",
    ),
    "gradcam-elementwise": MethodEntry("elementwise:gradcam_elementwise", "positive part of gradient times activation"),
    "shapleycam": MethodEntry(
        "gradcam:shapleycam", "the gradient's mean less half the curvature along the activation", f"{ARXIV}2501.06261"
    ),
    "finercam": MethodEntry(
        "gradcam:finercam", "what tells the class from the three that score nearest to it", f"{ARXIV}2501.11309"
    ),
    "guided-weights": MethodEntry(
        "gradcam:guided_weights", "positive gradients at active places only, as Keras tutorials do", rectified=False
    ),
    "eigencam": MethodEntry(
        "eigen:eigencam", "first principal component of the activations; knows no class", f"{ARXIV}2008.00299",
        gradient=False,
    ),
    "eigengradcam": MethodEntry("eigen:eigengradcam", "first principal component of gradient times activation"),
    "kpca-cam": MethodEntry(
        "eigen:kpca_cam", "first kernel principal component of the activations; knows no class", f"{ARXIV}2410.00267",
        gradient=False,
    ),
    "fem": MethodEntry(
        "activation:fem", "feature maps weighed by how often they stand out; knows no class",
        "https://hal.science/hal-02963298", gradient=False,
    ),
    "ablationcam": MethodEntry(
        "ablation:ablationcam", "what the score loses without each feature map; some forward passes",
        "https://doi.org/10.1109/WACV45572.2020.9093360", gradient=False, reruns=True,
    ),
    "scorecam": MethodEntry(
        "score:scorecam", "the class's probability when only a feature map's places are left; many forward passes",
        f"{ARXIV}1910.01279", gradient=False, slow=True,
    ),
    "scorecam-paper": MethodEntry(
        "score:scorecam_paper", "the same with the paper's weights: softmax of what the score gains",
        f"{ARXIV}1910.01279", gradient=False, slow=True,
    ),
    "scorecam-logits": MethodEntry(
        "score:scorecam_logits", "the same with other libraries' weights: softmax of the score",
        f"{ARXIV}1910.01279", gradient=False, slow=True,
    ),
    "faster-scorecam": MethodEntry(
        "score:faster_scorecam", "Score-CAM with the 64 feature maps that vary most",
        "https://github.com/tabayashi0117/Score-CAM", gradient=False, slow=True,
    ),
    "sscam": MethodEntry(
        "score:sscam", "Score-CAM over eight noisy copies of each mask", f"{ARXIV}2006.14255", gradient=False, slow=True
    ),
    "iscam": MethodEntry(
        "score:iscam", "Score-CAM over ten strengths of each mask", f"{ARXIV}2010.03023", gradient=False, slow=True
    ),
    "gradient": MethodEntry(
        "input_gradient:gradient", "how much the score changes with each pixel of the input", f"{ARXIV}1312.6034",
        gradient=False, rectified=False, layered=False,
    ),
    "smoothgrad": MethodEntry(
        "smoothgrad:smoothgrad", "the same averaged over sixteen noisy copies of the picture", f"{ARXIV}1706.03825",
        gradient=False, rectified=False, layered=False,
    ),
    "guided-backprop": MethodEntry(
        "input_gradient:guided_backprop",
        "the input's gradient, positive through every ReLU; knows little of the class",
        f"{ARXIV}1412.6806", gradient=False, rectified=False, layered=False, needs="input_gradient:needs_relu",
    ),
    "guided-gradcam": MethodEntry(
        "input_gradient:guided_gradcam",
        "guided backpropagation times Grad-CAM: details where they speak for the class",
        f"{ARXIV}1610.02391", needs="input_gradient:needs_relu",
    ),
    "cam": MethodEntry(
        "activation:cam", "the last linear layer's weights, where only pooling is in front of it",
        f"{ARXIV}1512.04150", gradient=False, needs="activation:needs_linear_head",
    ),
    "random": MethodEntry(
        "activation:random_weights", "random weights: the baseline that a method has to beat", gradient=False
    ),
}  # fmt: skip
"""Name → method, in the order in which they are listed."""

_SPELT = {name.replace("-", "").replace("++", plus): name for name in METHODS for plus in ("++", "pp", "plusplus")}
"""Without hyphens and as other libraries call them → the name."""

ALL = "all"
"""The name that stands for every method that any network suits."""


def check_method(text: str) -> str:
    """Return the method's name as it is listed, or ``all``.

    Raises:
        UsageError: there is no such method; close matches are offered.
    """
    name = text.strip().lower().replace("_", "-")
    name = _SPELT.get(name.replace("-", ""), name)
    if name in METHODS or name == ALL:
        return name
    close = difflib.get_close_matches(name, METHODS, 3, 0.5)
    known = f"did you mean {', '.join(close)}?" if close else "'gradcam methods' lists them"
    raise UsageError(f"there is no method {quoted(text)}", known)


def quick() -> tuple[str, ...]:
    """Return the methods that any network suits and that run it once or a few times."""
    return tuple(name for name, entry in METHODS.items() if not (entry.needs or entry.slow))


def methods_named(names: tuple[str, ...]) -> tuple[str, ...]:
    """Write ``all`` out and leave each name once."""
    universal = [name for name, entry in METHODS.items() if not entry.needs]
    return tuple(dict.fromkeys(each for name in names for each in (universal if name == ALL else [name])))
