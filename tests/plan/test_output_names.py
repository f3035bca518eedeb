from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from gradcam_cli.plan.output_names import (
    MAX_PART_BYTES,
    OutputOptions,
    clean,
    endings,
    fold,
    natural_key,
    shorten,
    stem_from_name,
    stem_from_path,
)
from gradcam_cli.records import Part

ROOM = 200
HASH = r"-[0-9a-f]{8}"


@pytest.mark.parametrize(
    ("name", "stem"),
    [
        ("cat.jpg", "cat"),
        ("two.dots.tar.jpg", "two.dots.tar"),
        (".hidden.jpg", ".hidden"),
        (".jpg", ".jpg"),
        ("no-suffix", "no-suffix"),
        ("UPPER.JPG", "UPPER"),
        ("-dash.png", "-dash"),
        ("100%.jpg", "100%"),
        ("back\\slash.jpg", "back\\slash"),
        ("new\nline\ttab.jpg", "new_line_tab"),
        ("para\u2029.jpg", "para_"),
        ("na\u0131\u0308ve \U0001f431.jpg", "na\u0131\u0308ve \U0001f431"),
        ("caf\udce9.jpg", "caf\udce9"),
        ("trailing .jpg", "trailing "),
    ],
)
def test_a_stem_is_the_name_without_its_last_suffix(name, stem):
    assert stem_from_name(name, ROOM) == stem


@pytest.mark.parametrize("character", ["a", "é", "猫", "🐱", "\udce9"])
def test_a_long_name_is_cut_between_characters_and_stays_distinct(character):
    first, second = (stem_from_name(character * 250 + end, ROOM) for end in ("1.jpg", "2.jpg"))
    assert first != second
    for stem in (first, second):
        assert ROOM - 4 < len(os.fsencode(stem)) <= ROOM
        assert re.fullmatch(f"{character}+{HASH}", stem)


def test_a_name_that_fits_is_not_touched():
    assert shorten("é" * 100, 200, "x") == "é" * 100
    assert shorten("é" * 100, 199, "x") != "é" * 100


@pytest.mark.parametrize(
    ("path", "stem"),
    [
        ("c/cat.jpg", "c-cat-jpg"),
        ("c/cat.png", "c-cat-png"),
        ("cat.jpg", "cat-jpg"),
        ("./c/../c/cat.jpg", "c-cat-jpg"),
        ("/here/c/cat.jpg", "c-cat-jpg"),
        ("my-cats/one.tar.jpg", "my--cats-one.tar-jpg"),
    ],
)
def test_a_stem_from_a_path_is_readable(path, stem, monkeypatch):
    monkeypatch.setattr(os, "getcwd", lambda: "/here")
    assert stem_from_path(path, "/here", ROOM) == stem


@pytest.mark.parametrize(
    "path",
    [
        "../c/cat.jpg",
        "/c/cat.jpg",
        "c/cat",
        "c-/cat.jpg",
        "c/-cat.jpg",
        "c/ca\tt.jpg",
        "/hereabouts/cat.jpg",
        "a" * 300,
    ],
)
def test_a_stem_from_a_path_that_could_be_read_in_two_ways_has_a_hash(path, monkeypatch):
    monkeypatch.setattr(os, "getcwd", lambda: "/here")
    stem = stem_from_path(path, "/here", ROOM)
    assert re.search(f"{HASH}$", stem)
    assert "/" not in stem
    assert len(stem) <= ROOM


def test_no_two_paths_share_a_stem(monkeypatch):
    monkeypatch.setattr(os, "getcwd", lambda: "/here")
    paths = ["a/b.c", "a-b.c", "a.b.c", "a/b/c", "a-b-c", "a--b.c", "a-/b.c", "a/-b.c", "a/-/b.c", "a/b-.c", "a/b--.c"]
    paths += ["/a/b.c", "../a/b.c", "a\tb.c", "a\nb.c", "a_b.c", "b/a.c", "ab.c", "a/b.-c", "a/b-.-c", "a/b.", "a/b"]
    paths = sorted({os.path.abspath(path) for path in paths})
    assert len({stem_from_path(path, "/here", ROOM) for path in paths}) == len(paths) == 21


def test_natural_order():
    names = ["img10.jpg", "Img2.jpg", "img1.jpg", "2.jpg", "10.jpg", "b", "a1b10", "a1b9", "img02.jpg"]
    expected = ["2.jpg", "10.jpg", "a1b9", "a1b10", "b", "img1.jpg", "Img2.jpg", "img02.jpg", "img10.jpg"]
    assert sorted(names, key=natural_key) == expected


def test_fold_ignores_case_and_composition():
    assert fold("CAFÉ") == fold("cafe\u0301")
    assert fold("Cat") == fold("cAT") != fold("cut")


def ends(*kinds, parts=("",), **options):
    options = OutputOptions(Path("out"), kinds, parts=tuple(Part(name=name) for name in parts), **options)
    return [(end.key, end.name(options.template, "x", "jpg")) for end in endings(options)]


def test_endings_follow_kind_and_format():
    containers = {"map": "npy", "json": "json"}
    assert ends("overlay", "map", "json", "overlay.gif", format="webp", containers=containers) == [
        ("overlay", "x_overlay.webp"),
        ("map", "x_map.npy"),
        ("json", "x_json.json"),
        ("overlay.gif", "x_overlay.gif"),
    ]


def test_parts_become_file_names_and_stay_distinct():
    parts = ("golden retriever", "layer4.2", "a/b\n", "crane", "Crane", "//", "é" * 90)
    names = [name.removeprefix("x_overlay_").removesuffix(".png") for _, name in ends("overlay", parts=parts)]
    assert names[:5] == ["golden-retriever", "layer4.2", "a-b", "crane", "Crane-2"]
    assert re.fullmatch("[0-9a-f]{8}", names[5])
    assert len(names[6].encode()) <= MAX_PART_BYTES
    assert [name for _, name in ends("a", "b", parts=("x", "y"))] == [
        "x_a_x.png",
        "x_a_y.png",
        "x_b_x.png",
        "x_b_y.png",
    ]


def test_clean_keeps_everything_that_fits_one_line():
    assert clean("é \u202e\\%*\udce9") == "é \u202e\\%*\udce9"
    assert clean("a\r\n\x85\u2028b") == "a____b"
