"""One small network of every family of timm, as it is and as a backbone in a network of one's own."""

from __future__ import annotations

import os

import pytest
import torch
from torch import nn

from gradcam_cli.cam.explainer import Explainer
from gradcam_cli.cam.layers.trace import trace_network
from gradcam_cli.errors import ModelError

timm = pytest.importorskip("timm")

pytestmark = pytest.mark.slow

QUICK = ("test_byobnet", "test_convnext", "test_mambaout", "test_nfnet", "test_vit", "test_vit_relpos", "pit_ti_224")
"""The rest takes a quarter of an hour: GRADCAM_TEST_FAMILIES=1 tries them, too."""

FAMILIES = (
    "beit_base_patch16_224",
    "halonet_h1",
    "test_byobnet",
    "cait_xxs24_224",
    "coat_tiny",
    "convit_tiny",
    "convmixer_768_32",
    "test_convnext",
    "cpubone_nano",
    "crossvit_tiny_240",
    "csatv2",
    "cs3darknet_focus_s",
    "cspnext_tiny",
    "davit_tiny",
    "deepseek_vit_412m",
    "deit_tiny_patch16_224",
    "densenet121",
    "dla46x_c",
    "dpn48b",
    "edgenext_xx_small",
    "efficientformer_l1",
    "efficientformerv2_s0",
    "test_efficientnet",
    "efficientvim_m1",
    "efficientvit_b0",
    "efficientvit_m0",
    "vit_tiny_patch16_dinov3_qkvb",
    "fasternet_t0",
    "fastvit_t8",
    "focalnet_tiny_srf",
    "gcvit_xxtiny",
    "gemma4_vit_167m",
    "ghostnet_050",
    "hardcorenas_b",
    "hgnetv2_b0",
    "hiera_tiny_224",
    "sam2_hiera_tiny",
    "hrnet_w18_small",
    "iformer_t",
    "inception_next_atto",
    "ens_adv_inception_resnet_v2",
    "adv_inception_v3",
    "inception_v4",
    "lcnetv2_small",
    "levit_128s",
    "lowformer_b0",
    "test_mambaout",
    "test_coatnet",
    "poolformerv2_s12",
    "gmlp_ti16_224",
    "mobilenetv3_small_050",
    "mobilenetv5_base",
    "mobilevit_xxs",
    "mvitv2_tiny",
    "naflexvit_base_patch16_parfac_gap",
    "nasnetalarge",
    "jx_nest_tiny",
    "nextvit_small",
    "test_nfnet",
    "pit_ti_224",
    "pnasnet5large",
    "pvt_v2_b0",
    "qwen3_vit_88m",
    "rdnet_tiny",
    "regnetx_002",
    "repghostnet_050",
    "repvit_m1",
    "res2next50",
    "resnest14d",
    "test_resnet",
    "resnetv2_18",
    "rexnet_100",
    "selecsls42",
    "legacy_seresnet18",
    "sequencer2d_s",
    "shvit_s1",
    "skresnet18",
    "starnet_s050",
    "swiftformer_xs",
    "swin_tiny_patch4_window7_224",
    "swinv2_tiny_window16_256",
    "swinv2_cr_tiny_224",
    "tiny_vit_5m_224",
    "tnt_s_legacy_patch16_224",
    "tresnet_m",
    "twins_svt_small",
    "vgg11",
    "visformer_tiny",
    "test_vit",
    "vit_tiny_r_s16_p8_224",
    "test_vit_relpos",
    "samvit_base_patch16_224",
    "vitamin_small_224",
    "volo_d1_224",
    "ese_vovnet19b_slim_dw",
    "legacy_xception",
    "xception41p",
    "xcit_nano_12_p8_224",
)
"""The smallest of each module of timm's that has any."""

WITHOUT_CLASSIFIER = (
    "deepseek_vit_412m",
    "gemma4_vit_167m",
    "qwen3_vit_88m",
    "sam2_hiera_tiny",
    "vit_tiny_patch16_dinov3_qkvb",
)
"""Features only, unless a head is put on them."""


class Net(nn.Module):
    """A backbone without its head, and a head as fine-tuning code writes it."""

    def __init__(self, name: str, size: tuple[int, int]) -> None:
        super().__init__()
        self.backbone = timm.create_model(name, num_classes=0).eval()
        with torch.no_grad():
            features = self.backbone(torch.zeros(1, 3, *size)).shape[1]
        torch.manual_seed(1)
        self.head = nn.Sequential(nn.Linear(features, 16), nn.ReLU(), nn.Linear(16, 5))

    def forward(self, x):
        return self.head(self.backbone(x))


@pytest.mark.parametrize("wrapped", [False, True], ids=["plain", "wrapped"])
@pytest.mark.parametrize("name", FAMILIES)
def test_the_score_depends_on_the_layer_that_auto_takes(name, wrapped):
    if name not in QUICK and "GRADCAM_TEST_FAMILIES" not in os.environ:
        pytest.skip("set GRADCAM_TEST_FAMILIES=1 to try every family of timm")
    if not timm.is_model(name):
        pytest.skip(f"this timm has no {name}")
    known = timm.get_pretrained_cfg(name)
    size = tuple(known.input_size[1:]) if known else (224, 224)
    torch.manual_seed(0)
    net = (Net(name, size) if wrapped else timm.create_model(name)).eval().requires_grad_(False)
    if name in WITHOUT_CLASSIFIER and not wrapped:
        with pytest.raises(ModelError, match="an embedding of"):
            trace_network(net, size)
        return
    explainer = Explainer(net, input_size=size, optimize=True)
    picture = torch.randn(1, 3, *size, generator=torch.Generator().manual_seed(0))
    found = explainer(picture)[0].maps[0]
    assert found.values.size > 1
    if wrapped:  # timm keeps some heads at zero until they are trained
        assert found.blank is None or "does not change" not in found.blank
