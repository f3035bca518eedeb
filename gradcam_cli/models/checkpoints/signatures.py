"""Signatures that distinguish torchvision's networks, so that few of the eighty must be built to identify one.

They are listed because building all networks takes seconds; a test compares them with the installed torchvision.
"""

from __future__ import annotations

from typing import NamedTuple


class Signature(NamedTuple):
    """The minimal content of a network's checkpoint.

    Attributes:
        tensors: number of tensors, without the batch counters and auxiliary heads that only training needs.
        head: the name of its last layer's weight.
        features: number of inputs of this layer, the weight's second dimension.
    """

    tensors: int
    head: str
    features: int


SIGNATURES: dict[str, Signature] = {
    "tiny": Signature(77, "classifier.weight", 144),
    "alexnet": Signature(16, "classifier.6.weight", 4096),
    "convnext_base": Signature(344, "classifier.2.weight", 1024),
    "convnext_large": Signature(344, "classifier.2.weight", 1536),
    "convnext_small": Signature(344, "classifier.2.weight", 768),
    "convnext_tiny": Signature(182, "classifier.2.weight", 768),
    "densenet121": Signature(606, "classifier.weight", 1024),
    "densenet161": Signature(806, "classifier.weight", 2208),
    "densenet169": Signature(846, "classifier.weight", 1664),
    "densenet201": Signature(1006, "classifier.weight", 1920),
    "efficientnet_b0": Signature(311, "classifier.1.weight", 1280),
    "efficientnet_b1": Signature(439, "classifier.1.weight", 1280),
    "efficientnet_b2": Signature(439, "classifier.1.weight", 1408),
    "efficientnet_b3": Signature(496, "classifier.1.weight", 1536),
    "efficientnet_b4": Signature(610, "classifier.1.weight", 1792),
    "efficientnet_b5": Signature(738, "classifier.1.weight", 2048),
    "efficientnet_b6": Signature(852, "classifier.1.weight", 2304),
    "efficientnet_b7": Signature(1037, "classifier.1.weight", 2560),
    "efficientnet_v2_l": Signature(1331, "classifier.1.weight", 1280),
    "efficientnet_v2_m": Signature(963, "classifier.1.weight", 1280),
    "efficientnet_v2_s": Signature(672, "classifier.1.weight", 1280),
    "googlenet": Signature(287, "fc.weight", 1024),
    "inception_v3": Signature(472, "fc.weight", 2048),
    "maxvit_t": Signature(548, "classifier.5.weight", 512),
    "mnasnet0_5": Signature(262, "classifier.1.weight", 1280),
    "mnasnet0_75": Signature(262, "classifier.1.weight", 1280),
    "mnasnet1_0": Signature(262, "classifier.1.weight", 1280),
    "mnasnet1_3": Signature(262, "classifier.1.weight", 1280),
    "mobilenet_v2": Signature(262, "classifier.1.weight", 1280),
    "mobilenet_v3_large": Signature(266, "classifier.3.weight", 1280),
    "mobilenet_v3_small": Signature(210, "classifier.3.weight", 1024),
    "regnet_x_1_6gf": Signature(297, "fc.weight", 912),
    "regnet_x_3_2gf": Signature(402, "fc.weight", 1008),
    "regnet_x_8gf": Signature(372, "fc.weight", 1920),
    "regnet_x_16gf": Signature(357, "fc.weight", 2048),
    "regnet_x_32gf": Signature(372, "fc.weight", 2520),
    "regnet_x_400mf": Signature(357, "fc.weight", 400),
    "regnet_x_800mf": Signature(267, "fc.weight", 672),
    "regnet_y_1_6gf": Signature(540, "fc.weight", 888),
    "regnet_y_3_2gf": Signature(426, "fc.weight", 1512),
    "regnet_y_8gf": Signature(350, "fc.weight", 2016),
    "regnet_y_16gf": Signature(369, "fc.weight", 3024),
    "regnet_y_32gf": Signature(407, "fc.weight", 3712),
    "regnet_y_128gf": Signature(540, "fc.weight", 7392),
    "regnet_y_400mf": Signature(331, "fc.weight", 440),
    "regnet_y_800mf": Signature(293, "fc.weight", 784),
    "resnet18": Signature(102, "fc.weight", 512),
    "resnet34": Signature(182, "fc.weight", 512),
    "resnet50": Signature(267, "fc.weight", 2048),
    "resnet101": Signature(522, "fc.weight", 2048),
    "resnet152": Signature(777, "fc.weight", 2048),
    "resnext50_32x4d": Signature(267, "fc.weight", 2048),
    "resnext101_32x8d": Signature(522, "fc.weight", 2048),
    "resnext101_64x4d": Signature(522, "fc.weight", 2048),
    "shufflenet_v2_x0_5": Signature(282, "fc.weight", 1024),
    "shufflenet_v2_x1_0": Signature(282, "fc.weight", 1024),
    "shufflenet_v2_x1_5": Signature(282, "fc.weight", 1024),
    "shufflenet_v2_x2_0": Signature(282, "fc.weight", 2048),
    "squeezenet1_0": Signature(52, "classifier.1.weight", 512),
    "squeezenet1_1": Signature(52, "classifier.1.weight", 512),
    "swin_b": Signature(353, "head.weight", 1024),
    "swin_s": Signature(353, "head.weight", 768),
    "swin_t": Signature(185, "head.weight", 768),
    "swin_v2_b": Signature(449, "head.weight", 1024),
    "swin_v2_s": Signature(449, "head.weight", 768),
    "swin_v2_t": Signature(233, "head.weight", 768),
    "vgg11": Signature(22, "classifier.6.weight", 4096),
    "vgg11_bn": Signature(54, "classifier.6.weight", 4096),
    "vgg13": Signature(26, "classifier.6.weight", 4096),
    "vgg13_bn": Signature(66, "classifier.6.weight", 4096),
    "vgg16": Signature(32, "classifier.6.weight", 4096),
    "vgg16_bn": Signature(84, "classifier.6.weight", 4096),
    "vgg19": Signature(38, "classifier.6.weight", 4096),
    "vgg19_bn": Signature(102, "classifier.6.weight", 4096),
    "vit_b_16": Signature(152, "heads.head.weight", 768),
    "vit_b_32": Signature(152, "heads.head.weight", 768),
    "vit_h_14": Signature(392, "heads.head.weight", 1280),
    "vit_l_16": Signature(296, "heads.head.weight", 1024),
    "vit_l_32": Signature(296, "heads.head.weight", 1024),
    "wide_resnet50_2": Signature(267, "fc.weight", 2048),
    "wide_resnet101_2": Signature(522, "fc.weight", 2048),
}
