"""A picture's numbers are its own: whatever the batch, its company and the number of threads, to the last bit."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from torch import nn

from gradcam_cli.cam.execution.batch_invariant import make_batch_invariant, perturbations_of_one, weighted_sums
from gradcam_cli.cam.execution.replica import replica
from gradcam_cli.cam.explainer import Explainer

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not torch.backends.mkldnn.is_available(), reason="this PyTorch has no oneDNN"),
]

METHODS = ["gradcam", "layercam", "eigencam", "cam"]


class Deeper(nn.Module):
    """Kernels of one and of three pixels, strided, grouped and dilated, few and many channels, two linear layers."""

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(3, 64, 3, stride=2, padding=1), nn.ReLU(),
            nn.Conv2d(64, 96, 1, bias=False), nn.BatchNorm2d(96), nn.ReLU(),
            nn.Conv2d(96, 96, 3, padding=1, groups=96), nn.ReLU(),
            nn.Conv2d(96, 160, 1), nn.ReLU(),
            nn.Conv2d(160, 160, 3, padding=2, dilation=2), nn.ReLU(),
            nn.Conv2d(160, 320, 1, stride=2), nn.ReLU(),
        )  # fmt: skip
        self.classifier = nn.Linear(320, 1000)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.classifier(self.features(x).mean((2, 3)))


@pytest.fixture(scope="module")
def deeper() -> nn.Module:
    torch.manual_seed(11)
    return Deeper().eval()


@pytest.fixture
def threads():
    before = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(before)


def explained(explainer: Explainer, pictures: torch.Tensor, at_once: int) -> tuple[np.ndarray, list[np.ndarray]]:
    """Return the logits of all pictures, and each method's maps."""
    found = []
    for some in pictures.split(at_once):
        found += explainer(some.contiguous(memory_format=torch.channels_last), 3)
    maps = [np.stack([each.maps[k].values for each in found]) for k in range(len(found[0].maps))]
    return np.array([each.logits for each in found]), maps


def assert_alike(explainer: Explainer, pictures: torch.Tensor, threads, counts: tuple[int, ...] = (1, 2)) -> None:
    threads(counts[0])
    logits, maps = explained(explainer, pictures, len(pictures))
    assert all(each.any() for each in maps)
    for count in counts:
        threads(count)
        for at_once in {1, 2, len(pictures)}:
            more_logits, more_maps = explained(explainer, pictures, at_once)
            assert np.array_equal(logits, more_logits), (count, at_once)
            for method, one, other in zip(explainer.methods, maps, more_maps, strict=True):
                assert np.array_equal(one, other), (method, count, at_once)


def test_maps_and_logits_are_the_same_whatever_the_batch_and_the_threads(deeper, threads):
    pictures = torch.randn(17, 3, 32, 48, generator=torch.Generator().manual_seed(5))
    assert_alike(Explainer(deeper, method=METHODS, optimize=True, input_size=(32, 48)), pictures, threads)


def test_what_runs_many_versions_of_a_picture_is_the_same_whatever_the_batch(deeper, threads):
    """Their scores are those of matrix products, which the number of threads may round differently."""
    pictures = torch.randn(3, 3, 32, 48, generator=torch.Generator().manual_seed(5))
    methods = ["ablationcam", "faster-scorecam"]
    assert_alike(Explainer(deeper, method=methods, optimize=True, input_size=(32, 48)), pictures, threads, (1,))


def test_on_the_real_network(squeezenet, threads):
    pictures = torch.randn(3, 3, 128, 128, generator=torch.Generator().manual_seed(5))
    pictures = 4 * nn.functional.avg_pool2d(pictures, 7, 1, 3)
    assert_alike(Explainer(squeezenet, method=["gradcam", "layercam", "ablationcam"], optimize=True), pictures, threads)


def test_kernels_compute_what_they_did(deeper, batch):
    changed = replica(deeper)
    make_batch_invariant(changed)
    with torch.no_grad():
        assert torch.allclose(changed(batch), deeper(batch), rtol=1e-5, atol=1e-6)
        with perturbations_of_one():
            assert torch.allclose(changed(batch), deeper(batch), rtol=1e-5, atol=1e-6)


def test_what_cannot_be_alike_is_left_alone(deeper, batch):
    double = copy.deepcopy(deeper).double()
    make_batch_invariant(double)
    assert not any("forward" in module.__dict__ for module in double.modules())
    reflecting = nn.Conv2d(3, 4, 3, padding=1, padding_mode="reflect")
    same = nn.Conv2d(3, 4, 3, padding="same")
    make_batch_invariant(nn.Sequential(reflecting, same))
    assert "forward" not in reflecting.__dict__
    assert "forward" not in same.__dict__


def test_weighted_sums():
    weights, maps = torch.randn(4, 7), torch.randn(4, 7, 5, 3)
    assert torch.allclose(weighted_sums(weights, maps), torch.einsum("nc,nchw->nhw", weights, maps), atol=1e-5)
