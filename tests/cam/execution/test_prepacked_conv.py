"""Weights packed for oneDNN: the same numbers to the last bit, for inputs that come again."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from gradcam_cli.cam.execution import prepacked_conv as packed
from gradcam_cli.cam.execution.prepacked_conv import MAX_PICTURES, Prepacked

pytestmark = pytest.mark.skipif(not torch.backends.mkldnn.is_available(), reason="this PyTorch has no oneDNN")

KINDS = {
    "pointwise": {"kernel_size": 1},
    "strided": {"kernel_size": 3, "stride": 2, "padding": 1},
    "depthwise": {"kernel_size": 3, "padding": 1, "groups": 32},
    "grouped": {"kernel_size": 3, "groups": 4, "bias": False},
    "dilated": {"kernel_size": (3, 1), "padding": (2, 0), "dilation": 2},
}  # fmt: skip


@pytest.fixture
def convolution() -> nn.Conv2d:
    torch.manual_seed(0)
    return nn.Conv2d(32, 64, 3, padding=1).requires_grad_(False)


def pictures(count: int = 2, size: tuple[int, int] = (13, 17)) -> torch.Tensor:
    return torch.randn(count, 32, *size).contiguous(memory_format=torch.channels_last)


def plain(module: nn.Conv2d, x: torch.Tensor) -> torch.Tensor:
    assert not isinstance(module.padding, str)
    return torch.mkldnn_convolution(
        x, module.weight, module.bias, module.padding, module.stride, module.dilation, module.groups
    )


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
@pytest.mark.parametrize("count", [1, MAX_PICTURES])
def test_the_second_time_numbers_are_the_same_to_the_last_bit(kind, count):
    torch.manual_seed(0)
    module, weights = nn.Conv2d(32, 64, **kind).requires_grad_(False), Prepacked()
    assert weights.convolved(module, pictures(count)) is None
    for _ in range(2):
        x = pictures(count)
        found = weights.convolved(module, x)
        assert found is not None
        assert torch.equal(found, plain(module, x))


def test_packed_for_what_last_came_twice_in_a_row(convolution):
    weights = Prepacked()
    one, other = pictures(), pictures(3)
    packed_for = [
        weights.convolved(convolution, x) is not None for x in (one, other, one, one, other, one, other, other)
    ]
    assert packed_for == [False, False, False, True, False, True, False, True]
    assert weights.convolved(convolution, one) is None
    assert torch.equal(weights.convolved(convolution, one), plain(convolution, one))


def test_for_as_many_threads_as_it_was_packed(convolution):
    weights, x, threads = Prepacked(), pictures(), torch.get_num_threads()
    weights.convolved(convolution, x)
    assert weights.convolved(convolution, x) is not None
    try:
        torch.set_num_threads(threads + 1)
        assert weights.convolved(convolution, x) is None
    finally:
        torch.set_num_threads(threads)


def test_left_to_others(convolution):
    """What is differentiated, not laid out channels-last or of another precision, and many pictures at once."""
    weights = Prepacked()
    others = pictures().requires_grad_(), pictures().contiguous(), pictures().double(), pictures(MAX_PICTURES + 1)
    for x in others:
        assert [weights.convolved(convolution, x) for _ in range(3)] == [None] * 3


def test_copies_share_it(convolution):
    convolution.packed = Prepacked()
    x = pictures()
    convolution.packed.convolved(convolution, x)
    copied = copy.deepcopy(convolution)
    assert copied.packed is convolution.packed
    assert copied.packed.convolved(copied, x) is not None


def test_a_pytorch_that_cannot_is_asked_once(convolution, monkeypatch):
    asked = []

    def missing(*_: object) -> torch.Tensor:
        asked.append(1)
        raise RuntimeError("no such kernel")

    monkeypatch.setattr(packed, "_run", missing)
    weights, x = Prepacked(), pictures()
    assert [weights.convolved(convolution, x) for _ in range(4)] == [None] * 4
    assert asked == [1]
