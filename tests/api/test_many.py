"""Many pictures: the explanations of one at a time, in order, in bounded memory."""

from __future__ import annotations

import inspect
import io
import itertools
import sys
import threading
import tracemalloc
import types
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import gradcam_cli
from gradcam_cli.api import progress
from gradcam_cli.pipeline.session import Session


@pytest.fixture(scope="module")
def network():
    return gradcam_cli.load_model("tiny")


@pytest.fixture
def folder(tmp_path, photo):
    """Make a directory with pictures of two sizes, one of them in a subfolder, and a file that is none."""
    (tmp_path / "below").mkdir()
    for number in range(5):
        size = (90, 60) if number % 2 else (60, 60)
        Image.fromarray(np.roll(photo, 7 * number, 1)).resize(size).save(tmp_path / f"p{number}.png")
    Image.fromarray(photo).save(tmp_path / "below" / "deep.png")
    (tmp_path / "notes.txt").write_text("no picture")
    return tmp_path


def names(explanations):
    return [Path(each.input).name for each in explanations]


def test_many_are_as_one_by_one(folder, network):
    paths = [folder / f"p{number}.png" for number in (3, 0, 4, 3, 1)]
    found = list(gradcam_cli.explain_many(paths, model=network, target="dog", batch_size=3, method="layercam"))
    assert [each.input for each in found] == [str(path) for path in paths]
    for path, each in zip(paths, found, strict=True):
        alone = gradcam_cli.explain(path, model=network, target="dog", method="layercam")
        np.testing.assert_allclose(each.map, alone.map, atol=1e-5)
        np.testing.assert_array_equal(each.pixels, alone.pixels)
        assert each.target.index == alone.target.index
        assert each.files == {}


def test_many_of_a_users_module(folder, small_net):
    found = list(gradcam_cli.explain_many(folder, model=small_net.train(), layer=small_net.tail, max_size=30))
    assert names(found) == [f"p{number}.png" for number in range(5)]
    assert {max(each.pixels.shape) for each in found} == {30}
    enlarged = gradcam_cli.explain_many(folder, model=small_net, layer=small_net.tail, size=400)
    assert {max(each.pixels.shape) for each in enlarged} == {400}
    assert small_net.training


def test_directories_and_patterns_stand_for_their_pictures(folder, network, tmp_path):
    everything = [f"p{number}.png" for number in range(5)]
    explain = gradcam_cli.explain_many
    assert names(explain(str(folder), model=network)) == everything
    assert names(explain(folder, model=network, recursive=True)) == [*everything, "deep.png"]
    assert names(explain(f"{folder}/p[0-2].png", model=network)) == everything[:3]
    assert sorted(names(explain(folder.glob("p*.png"), model=network))) == everything
    assert names(explain([folder / "p1.png", f"{folder}/below"], model=network)) == ["p1.png", "deep.png"]
    odd = folder / "[x].png"
    (folder / "p0.png").rename(odd)
    assert names(explain(odd, model=network)) == ["[x].png"]


def test_errors_are_raised_where_they_belong(folder, network):
    paths = [folder / "p0.png", folder / "missing.png", folder / "notes.txt", folder / "p1.png"]
    run = gradcam_cli.explain_many(paths, model=network)
    assert next(run).input.endswith("p0.png")
    with pytest.raises(gradcam_cli.InputError, match=r"missing\.png: cannot be read: there is no such file"):
        next(run)
    assert next(run, None) is None


def test_errors_are_told_and_left_out(folder, network):
    paths = [folder / "missing.png", folder / "p0.png", folder / "notes.txt", folder / "p1.png"]
    with pytest.warns(UserWarning, match="png|txt") as caught:
        found = list(gradcam_cli.explain_many(paths, model=network, on_error="warn"))
    assert names(found) == ["p0.png", "p1.png"]
    assert ["missing.png" in str(caught[0].message), "notes.txt" in str(caught[1].message)] == [True, True]
    assert {each.filename for each in caught} == {__file__}


def test_what_cannot_be_is_told_by_the_call(folder, network):
    for wrong, message in (
        ({"paths": []}, "there are no paths"),
        ({"paths": 3}, "type int"),
        ({"paths": [folder / "p0.png", np.zeros((4, 4, 3), np.uint8)]}, "type ndarray"),
        ({"paths": f"{folder}/*.xyz"}, "matches nothing"),
        ({"paths": folder / "below", "batch_size": 0}, "batch size of 0"),
        ({"paths": folder, "on_error": "ignore"}, "ignore"),
        ({"paths": folder, "method": "nope"}, "nope"),
        ({"paths": folder, "target": "unicorn"}, "unicorn"),
    ):
        with pytest.raises(gradcam_cli.GradcamError, match=message) as caught:
            gradcam_cli.explain_many(**{"model": network, **wrong})
        assert caught.value.hint
    with pytest.raises(TypeError, match=r"explain_many\(\) .*unexpected keyword argument 'methd'"):
        gradcam_cli.explain_many(folder, model=network, methd="gradcam")


def test_the_signature_has_all_arguments():
    of_one, of_many = (inspect.signature(each).parameters for each in (gradcam_cli.explain, gradcam_cli.explain_many))
    assert set(of_one) - set(of_many) == {"picture"}
    assert {name: each.default for name, each in of_one.items() if name != "picture"}.items() <= {
        name: each.default for name, each in of_many.items()
    }.items()


def test_a_network_is_made_ready_once(folder, monkeypatch):
    made = []
    ready = Session.__init__
    monkeypatch.setattr(Session, "__init__", lambda *args, **kwargs: made.append(1) or ready(*args, **kwargs))
    assert len(list(gradcam_cli.explain_many(folder, model="tiny"))) == 5
    assert len(made) == 1


def test_a_run_that_is_left_ends_its_threads(folder, network):
    before = threading.active_count()
    run = gradcam_cli.explain_many([folder / "p1.png"] * 200, model=network)
    assert len(list(itertools.islice(run, 3))) == 3
    run.close()
    assert threading.active_count() == before


def test_memory_does_not_grow_with_the_number(tmp_path, network):
    path = tmp_path / "large.png"
    Image.fromarray(np.zeros((600, 800, 3), np.uint8)).save(path)  # 1.4 MB in memory

    def peak(count: int) -> int:
        tracemalloc.start()
        try:
            for each in gradcam_cli.explain_many([path] * count, model=network, batch_size=4):
                assert each.pixels.nbytes == 600 * 800 * 3
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    peak(8)
    few, many = peak(40), peak(160)
    assert many < few + (4 << 20), f"{few >> 20} MiB for 40 pictures, {many >> 20} MiB for 160"


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_a_bar_is_shown_on_a_terminal_and_lines_stay_where_they_belong(folder, network, monkeypatch, capsys):
    monkeypatch.setenv("TERM", "xterm")
    for wanted in (True, False):
        terminal = Terminal()
        monkeypatch.setattr(sys, "stderr", terminal)
        for each in gradcam_cli.explain_many(folder, model=network, progress=wanted):
            print(each.target.label)
        assert ("explaining" in terminal.getvalue()) == wanted
        assert "5/5" in terminal.getvalue() or not wanted
        assert len(capsys.readouterr().out.splitlines()) == 5
    plain = io.StringIO()
    monkeypatch.setattr(sys, "stderr", plain)
    list(gradcam_cli.explain_many(folder, model=network))
    assert plain.getvalue() == ""


@pytest.mark.parametrize("widgets", [True, False])
def test_a_notebook_shows_a_bar_where_it_has_widgets(monkeypatch, widgets):
    shell = type("ZMQInteractiveShell", (), {})
    monkeypatch.setattr("builtins.get_ipython", lambda: shell(), raising=False)
    monkeypatch.setattr(progress, "find_spec", lambda name: types.SimpleNamespace() if widgets else None)
    assert progress._can_show() == widgets
