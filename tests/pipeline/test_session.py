"""A session when memory is short, in lower precision, and with a network that returns probabilities."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from gradcam_cli.errors import ModelError
from gradcam_cli.pipeline.session import Session
from gradcam_cli.pipeline.settings import ModelSettings


def full(text: str) -> Exception:
    return RuntimeError(
        f"[enforce fail at alloc_cpu.cpp:121] . DefaultCPUAllocator: {text}: you tried to allocate 9 bytes"
    )


@pytest.mark.parametrize("error", [torch.OutOfMemoryError("CUDA out of memory."), full("can't allocate memory")])
def test_batches_are_halved_until_they_fit(photo, monkeypatch, error):
    sizes, told = [], []
    session = Session(ModelSettings(model="tiny"), warn=told.append)
    prepared = [session.prepare(photo)] * 7
    expected = session.explain_batch(prepared)
    explain = session.explainer

    def short(batch, targets):
        sizes.append(len(batch))
        if len(batch) > 2:
            raise error
        return explain(batch, targets)

    monkeypatch.setattr(session, "explainer", short)
    results = session.explain_batch(prepared)
    assert sizes == [7, 3, 1, 1, 1, 1, 1, 1, 1]
    assert [result.maps[0].high for result in results] == pytest.approx([a.maps[0].high for a in expected], rel=1e-5)
    assert len(told) == 2
    assert all("memory is short" in line for line in told)
    sizes.clear()
    session.explain_batch(prepared)
    assert max(sizes) == 1, "what did not fit is not tried again"


def test_one_picture_that_does_not_fit_is_an_error_that_names_the_size(photo, monkeypatch):
    session = Session(ModelSettings(model="tiny", input_size=64, fit="stretch"))

    def never(batch, targets):
        raise MemoryError

    monkeypatch.setattr(session, "explainer", never)
    with pytest.raises(ModelError, match="one picture of 64×64"):
        session.explain_batch([session.prepare(photo)])


@pytest.mark.parametrize(("precision", "deviation"), [("bfloat16", 5e-2), ("float16", 1e-2)])
def test_lower_precision_gives_about_the_same_map(photo, precision, deviation):
    maps = []
    for each in ("float32", precision):
        session = Session(ModelSettings(model="tiny", precision=each))
        assert next(session.network.module.parameters()).dtype == getattr(torch, each)
        maps.append(session.explain_batch([session.prepare(photo)])[0].maps[0].values)
    assert maps[1].dtype == np.float32
    assert 0 < np.abs(maps[1] - maps[0]).max() <= deviation * maps[0].max()
