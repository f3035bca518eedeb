from __future__ import annotations

import io
import os
import re
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from gradcam_cli.errors import UsageError
from gradcam_cli.plan import make as plan_module
from gradcam_cli.plan.make import OutputOptions, make_plan
from gradcam_cli.plan.name_template import parse_template
from gradcam_cli.records import Part

SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".gif"})
POSIX_NAMES = {
    "plain": "cat.jpg",
    "space": "my cat.jpg",
    "emoji": "\U0001f431.jpg",
    "dash": "-rf.jpg",
    "newline": "new\nline.jpg",
    "tab and quotes": "tab\t'\".jpg",
    "glob": "[a]*?.jpg",
    "percent": "100%d.jpg",
    "backslash": "back\\slash.jpg",
    "hidden": ".hidden.jpg",
    "upper": "UPPER.JPG",
    "no suffix": "nosuffix",
    "dots": "two.dots.tar.jpg",
    "nfd": "cafe\u0301.jpg",
    "long": "x" * 246 + ".jpg",
    "trailing space": "space.jpg ",
    "direction": "a\u202egpj.jpg",
    "latin-1": "caf\udce9.jpg",
}
posix_only = pytest.mark.skipif(os.name != "posix", reason="names and links that only POSIX systems have")


@pytest.fixture(autouse=True)
def _here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def touch(*names):
    for name in names:
        path = Path(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def plan(*inputs, from_file=None, recursive=False, second=(), out="out", **options):
    options = OutputOptions(Path(out), **{"kinds": ("overlay",), "containers": {"map": "npy"}, **options})
    second = frozenset(second)
    return make_plan(
        inputs, from_file=from_file, recursive=recursive, suffixes=SUFFIXES, second=second, options=options
    )


def outputs(result):
    return [output.path.as_posix() for job in result.jobs for output in job.outputs]


def names(result):
    return [job.input.as_posix() for job in result.jobs]


def reasons(result):
    return [error.message for _, error in result.failed]


class Stdin:
    def __init__(self, data):
        self.buffer = io.BytesIO(data)


# ---- inputs


def test_a_file_becomes_a_job_with_all_its_outputs():
    touch("cat.jpg")
    (job,) = plan("cat.jpg", kinds=("grayscale", "map"), format="webp").jobs
    assert (job.input, job.name, job.stem) == (Path("cat.jpg"), "cat.jpg", Path("out/cat"))
    assert job.files == {"grayscale": Path("out/cat_grayscale.webp"), "map": Path("out/cat_map.npy")}


def test_parts_give_each_kind_one_output_apiece():
    touch("dog.jpg")
    result = plan("dog.jpg", kinds=("overlay",), parts=(Part(name="golden retriever"), Part(name="layer4.2")))
    assert outputs(result) == ["out/dog_overlay_golden-retriever.png", "out/dog_overlay_layer4.2.png"]


def test_no_kinds_need_no_directory():
    touch("cat.jpg")
    result = plan("cat.jpg", kinds=(), policy="skip")
    assert (len(result.jobs), result.skipped) == (1, 0)
    assert not Path("out").exists()


def test_no_input_is_a_usage_error_with_an_example():
    with pytest.raises(UsageError, match="no input") as caught:
        plan()
    assert "cat.jpg" in caught.value.hint


def test_a_directory_is_sorted_naturally_without_what_is_no_picture():
    touch("d/10.jpg", "d/2.JPG", "d/1.png", "d/.hidden.jpg", "d/notes.txt", "d/sub/x.jpg", "d/folder.jpg/y")
    assert names(plan("d")) == ["d/1.png", "d/2.JPG", "d/10.jpg"]


def test_what_a_search_passes_over_is_counted():
    touch("d/1.png", "d/2.HEIC", "d/3.heic", "d/.hidden", "d/sub/4.dng", "d/sub/LICENSE", "d/sub/5.jpg", "e/6.mp4")
    assert plan("d").search.passed == {".heic": 2}
    assert plan("d", recursive=True).search.passed == {".heic": 2, ".dng": 1, "without suffix": 1}
    assert plan("d/**", "e").search.passed == {".heic": 2, ".dng": 1, "without suffix": 1, ".mp4": 1}
    assert plan("d/*.png", "d/2.HEIC").search.passed == {}, "what is named is judged by its reader"


@pytest.mark.parametrize(
    ("pattern", "found"),
    [
        ("holiday [2024]/*.jpg", ["holiday [2024]/a.jpg"]),
        ("holiday [2024]/sub [x]/?.jpg", ["holiday [2024]/sub [x]/b.jpg"]),
        ("holiday [234]/*.jpg", ["holiday 2/c.jpg"]),
        ("what?/*.jpg", ["what?/d.jpg"]),
        ("*/a.jpg", ["holiday [2024]/a.jpg"]),
        ("**/[!a].jpg", ["holiday 2/c.jpg", "holiday [2024]/sub [x]/b.jpg", "what?/d.jpg", "whats/e.jpg"]),
    ],
)
@posix_only
def test_a_piece_of_a_pattern_that_exists_is_literal(pattern, found):
    touch("holiday [2024]/a.jpg", "holiday [2024]/sub [x]/b.jpg", "holiday 2/c.jpg", "what?/d.jpg", "whats/e.jpg")
    assert names(plan(pattern)) == found


def test_a_tilde_is_expanded_unless_there_is_such_a_file(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("USERPROFILE", str(tmp_path / "home"))
    touch("home/a.jpg", "home/b.jpg", "~/c.jpg")
    Path("list").write_text("~/b.jpg\n~/c.jpg\n")
    result = plan("~/*.jpg", from_file="list")
    assert names(result) == [str(tmp_path / "home" / name) for name in ("a.jpg", "b.jpg")] + ["~/c.jpg"]


@pytest.mark.parametrize(
    ("name", "expected", "hint"),
    [
        ("cat.mp4", "picture", "use: gradcam video cat.mp4"),
        ("cat.mkv", "picture", "use: gradcam video cat.mkv"),
        ("cat.avi", "picture", "use: gradcam video cat.avi"),
        ("photo.png", "clip", "use: gradcam image photo.png"),
        ("photo.jpg", "clip", "use: gradcam image photo.jpg"),
        ("photo.tif", "clip", "use: gradcam image photo.tif"),
        ("photo", "clip", "use: gradcam image photo"),
        ("moves.apng", "clip", None),
        ("moves.gif", "clip", None),
        ("cat.gif", "picture", None),
        ("notes.txt", "picture", None),
        ("missing.mp4", "picture", "check the path for typing errors"),
    ],
)
def test_a_file_for_another_command_is_told_before_anything_is_loaded(name, expected, hint):
    png, jpeg = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", b"\xff\xd8\xff\xe0"
    heads = {
        ".mp4": b"\0\0\0\x18ftypisom", ".mkv": b"\x1a\x45\xdf\xa3", ".avi": b"RIFF1234AVI LIST", ".jpg": jpeg, "": jpeg,
        ".png": png + bytes(80), ".apng": png + bytes(21) + b"acTL", ".tif": b"II*\0", ".gif": b"GIF89a",
        ".txt": b"text",
    }  # fmt: skip
    if "missing" not in name:
        Path(name).write_bytes(heads[os.path.splitext(name)[1]])
    options = OutputOptions(Path("out"), ("overlay",))
    usual = frozenset({".mp4", ".mkv", ".avi"}) if expected == "clip" else SUFFIXES

    def planned():
        return make_plan([name], suffixes=usual, options=options, expected=expected)

    if hint is None:
        assert names(planned()) == [name]
        return
    with pytest.raises(UsageError) as caught:
        planned()
    assert caught.value.hint == hint


def test_what_directories_hold_is_not_looked_at():
    Path("d").mkdir()
    Path("d/video.jpg").write_bytes(b"\0\0\0\x18ftypisom")
    result = make_plan(["d"], suffixes=SUFFIXES, options=OutputOptions(Path("out"), ("overlay",)), expected="picture")
    assert names(result) == ["d/video.jpg"]


def test_a_directory_mirrors_its_subfolders():
    touch("photos/z.jpg", "photos/b/x.jpg", "photos/a/x.jpg", "photos/a/c/x.jpg", "photos/.git/x.jpg")
    result = plan("photos/", recursive=True)
    assert outputs(result) == [f"out/{name}_overlay.png" for name in ("z", "a/x", "a/c/x", "b/x")]


def test_an_explicit_file_is_taken_whatever_its_suffix():
    touch("data.bin", ".hidden")
    assert names(plan("data.bin", ".hidden")) == ["data.bin", ".hidden"]


@posix_only
def test_links_in_circles_end_and_real_names_come_first():
    touch("up/d/real/x.jpg", "elsewhere/y.jpg", "up/other.jpg")
    Path("up/d/a-loop").symlink_to(".")
    Path("up/d/real/back").symlink_to("..")
    Path("up/d/b-up").symlink_to("../..")
    Path("up/d/c-twin").symlink_to("real")
    Path("up/d/d-away").symlink_to("../../elsewhere")
    assert names(plan("up/d", recursive=True)) == ["up/d/real/x.jpg", "up/d/d-away/y.jpg"]


def test_the_output_directory_is_not_an_input():
    touch("d/x.jpg", "d/out/x_overlay.png")
    assert names(plan("d", recursive=True, out="d/out")) == ["d/x.jpg"]
    assert names(plan("**/*.*", out="d/out")) == ["d/x.jpg"]


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("*.jpg", ["a.jpg", "b.jpg"]),
        ("[b-z].jpg", ["b.jpg"]),
        ("*", ["a.jpg", "b.jpg", "d/c.jpg"]),
        ("*.dat", ["e.dat"]),
        ("*/c.jpg", ["d/c.jpg"]),
        ("**/*.jpg", ["a.jpg", "b.jpg", "d/c.jpg", "d/e/f.jpg"]),
        ("**", ["a.jpg", "b.jpg", "d/c.jpg", "d/e/f.jpg"]),
        ("**/**/**/f.*", ["d/e/f.jpg"]),
        ("d/**/*.jpg", ["d/c.jpg", "d/e/f.jpg"]),
        (".*.jpg", [".h.jpg"]),
        ("?", ["d/c.jpg"]),
    ],
)
def test_a_quoted_pattern_stands_for_what_it_matches(pattern, expected):
    touch("a.jpg", "b.jpg", "d/c.jpg", "d/e/f.jpg", ".h.jpg", "notes.txt", "e.dat")
    assert names(plan(pattern)) == expected


def test_an_absolute_pattern(tmp_path):
    touch("a.jpg")
    assert names(plan(f"{tmp_path}/*.jpg")) == [(tmp_path / "a.jpg").as_posix()]


@posix_only
def test_a_pattern_of_very_many_parts():
    touch("a.jpg")
    assert len(plan("./" * 1500 + "*.jpg").jobs) == 1


def test_a_pattern_does_not_follow_links_in_circles():
    touch("d/a.jpg")
    for name in "xyz":
        Path("d", name).symlink_to(".")
    assert names(plan("d/**/*.jpg")) == ["d/a.jpg"]


@pytest.mark.parametrize("pattern", ["*/.." * 12 + "/*.jpg", "**/.." * 9 + "/*.jpg", "*/" * 14 + "*.jpg"])
def test_ways_that_meet_again_are_not_gone_twice(pattern):
    touch(*(f"d/{k}/{k}.jpg" for k in range(4)))
    for name in "wxyz":
        Path("d", name).symlink_to(".")
    os.chdir("d")
    assert len(plan(pattern, "0/0.jpg").jobs) in (1, 4)  # folders only, or all that is below


@pytest.mark.slow
@posix_only
def test_a_pattern_in_very_deep_folders():
    here = Path.cwd()
    for _ in range(1200):
        os.mkdir("d")
        os.chdir("d")
    touch("a.jpg")
    os.chdir(here)
    try:
        assert len(plan("**/*.jpg").jobs) == 1
        assert len(plan(".", recursive=True).jobs) == 1
    finally:
        subprocess.run(["rm", "-rf", "d"], check=True)  # which Python's own way of removing folders is not up to


@posix_only
def test_a_file_that_looks_like_a_pattern_is_itself():
    touch("[a]*.jpg", "ax.jpg")
    assert names(plan("[a]*.jpg")) == ["[a]*.jpg"]


def test_standard_input_counts_once():
    (job,) = plan("-", "-").jobs
    assert (job.input, job.name, job.stem) == (None, "standard input", Path("out/stdin"))


def test_one_input_written_in_several_ways_is_done_once(tmp_path):
    touch("d/a.jpg")
    result = plan("d/a.jpg", "./d/a.jpg", str(tmp_path / "d/a.jpg"), "d", "d/../d/a.jpg", "d/*.jpg")
    assert names(result) == ["d/a.jpg"]


@posix_only
def test_a_link_to_the_folder_is_the_same_input_and_another_name_is_not():
    touch("d/a.jpg")
    Path("link").symlink_to("d")
    Path("d/latest.jpg").symlink_to("a.jpg")
    assert names(plan("d/a.jpg", "link/a.jpg", "d/latest.jpg")) == ["d/a.jpg", "d/latest.jpg"]


def test_what_cannot_be_used_is_recorded_and_the_rest_goes_on():
    touch("cat.jpg", "sub/deep/x.jpg", "a-file")
    Path("empty").mkdir()
    result = plan("gone.jpg", "cat.jpg", "empty", "sub", "*.tiff", "a-file/x.jpg", "", "nul\0.jpg")
    assert names(result) == ["cat.jpg"]
    assert [given for given, _ in result.failed] == [
        "gone.jpg", "empty", "sub", "*.tiff", "a-file/x.jpg", "", "nul\0.jpg"
    ]  # fmt: skip
    assert reasons(result)[0] == "gone.jpg: there is no such file"
    assert reasons(result)[1] == "empty: holds nothing to work on"
    assert reasons(result)[3] == "*.tiff: matches nothing"
    assert all(error.hint for _, error in result.failed)
    assert "recursive" not in result.failed[1][1].hint
    assert "recursive" in result.failed[2][1].hint


def test_nothing_left_is_an_error_that_names_the_first_few():
    with pytest.raises(UsageError, match=r"^gone\.jpg: there is no such file$"):
        plan("gone.jpg")
    with pytest.raises(UsageError, match=r"1\.jpg.*2\.jpg.*3\.jpg: there is no such file; and 2 more"):
        plan(*(f"{number}.jpg" for number in range(1, 6)))
    assert not Path("out").exists()


def test_a_name_too_long_for_the_file_system_costs_itself_alone():
    touch("cat.jpg")
    result = plan("cat.jpg", "x" * 5000)
    assert len(result.jobs) == len(result.failed) == 1


@posix_only
def test_special_files_are_left_to_the_reader_when_named_and_passed_over_when_found():
    touch("d/a.jpg")
    os.mkfifo("d/fifo.jpg")
    Path("d/dangling.jpg").symlink_to("nowhere")
    Path("d/round.jpg").symlink_to("round.jpg")
    Path("d/to-fifo.jpg").symlink_to("fifo.jpg")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("d/socket.jpg")
        named = ["d/fifo.jpg", "d/dangling.jpg", "d/round.jpg", "d/socket.jpg"]
        assert names(plan(*named, "/dev/null")) == [*named, "/dev/null"]
        assert names(plan("d")) == ["d/a.jpg", "d/dangling.jpg", "d/round.jpg"]


def test_a_folder_that_cannot_be_listed_is_named(monkeypatch):
    touch("d/a.jpg", "d/closed/b.jpg")
    scan = os.scandir

    def scandir(path):
        if os.fspath(path).endswith("closed"):
            raise PermissionError(13, "Permission denied", path)
        return scan(path)

    monkeypatch.setattr(os, "scandir", scandir)
    result = plan("d", recursive=True)
    assert names(result) == ["d/a.jpg"]
    assert "closed: cannot be listed: permission denied" in reasons(result)[0]


@posix_only
@pytest.mark.parametrize("kind", POSIX_NAMES)
def test_every_name_is_found_by_name_folder_and_list(kind):
    name = POSIX_NAMES[kind]
    try:
        touch(f"d/{name}")
    except (OSError, UnicodeError):
        pytest.skip("this file system cannot hold the name")
    Path("list").write_bytes(os.fsencode(f"d/{name}") + b"\0")
    found_in_folder = not name.startswith(".") and name.lower().endswith(".jpg")
    results = [plan(f"d/{name}"), plan(from_file="list"), *([plan("d")] if found_in_folder else [])]
    for result in results:
        (job,) = result.jobs
        assert job.input is not None
        assert job.input.exists()
        assert job.name.isprintable() or "\u202e" not in job.name
        (output,) = job.files.values()
        assert "\n" not in output.name
        assert len(os.fsencode(output.name)) <= 235
        output.touch()
        assert output.name in os.listdir("out")


# ---- the list of inputs


@pytest.mark.parametrize(
    "data",
    [
        b"a.jpg\nb c.jpg\n",
        b"a.jpg\r\n\r\n  \r\nb c.jpg",
        b"a.jpg\0b c.jpg\0",
        b"\xef\xbb\xbfa.jpg\nb c.jpg\n",
        "a.jpg\r\nb c.jpg\r\n".encode("utf-16"),
    ],
)
def test_lists_are_read_however_they_were_written(data, monkeypatch):
    touch("a.jpg", "b c.jpg", "d/e.jpg")
    Path("list.txt").write_bytes(data)
    assert names(plan("d", from_file="list.txt")) == ["d/e.jpg", "a.jpg", "b c.jpg"]
    monkeypatch.setattr(sys, "stdin", Stdin(data))
    assert names(plan(from_file="-")) == ["a.jpg", "b c.jpg"]


def test_lines_of_a_list_are_names_and_not_patterns():
    touch("a.jpg", "-")
    Path("list").write_text("*.jpg\n-\n")
    result = plan(from_file="list")
    assert names(result) == ["-"]
    assert reasons(result) == ["*.jpg: there is no such file"]


@pytest.mark.parametrize("source", ["gone", ".", "nul\0"])
def test_a_list_that_cannot_be_read(source):
    with pytest.raises(UsageError, match="list cannot be read"):
        plan(from_file=source)


def test_an_empty_list():
    touch("list")
    with pytest.raises(UsageError, match="empty"):
        plan(from_file="list")


def test_standard_input_cannot_be_two_things():
    with pytest.raises(UsageError, match="both"):
        plan("-", from_file="-")


# ---- outputs


@pytest.mark.parametrize("pair", [("a/cat.jpg", "b/cat.jpg"), ("c/cat.jpg", "c/cat.png")])
def test_two_inputs_never_write_one_name(pair):
    touch(*pair)
    with pytest.raises(UsageError, match=r"'a?c?/cat\.jpg' and '.*cat\.") as caught:
        plan(*pair, kinds=("grayscale", "overlay"))
    assert ("name_template" if pair[0][0] == pair[1][0] else "name_from path") in caught.value.hint
    assert "more" not in caught.value.message
    assert not Path("out").exists()
    result = plan(*pair, name_from="path")
    assert outputs(result) == [f"out/{name.replace('/', '-').replace('.', '-')}_overlay.png" for name in pair]


def test_the_remedy_for_names_that_differ_in_their_suffix_works():
    touch("cat.jpg", "cat.png", "sub/cat.jpg")
    with pytest.raises(UsageError) as caught:
        plan("cat.jpg", "cat.png")
    template = re.search(r"'(.*)'", caught.value.hint)[1]
    result = plan("cat.jpg", "cat.png", template=parse_template(template))
    assert outputs(result) == ["out/cat_jpg_overlay.png", "out/cat_png_overlay.png"]
    with pytest.raises(UsageError, match="same name") as caught:
        plan("cat.jpg", "cat.png", "sub/cat.jpg", template=parse_template(template))
    assert "name_from path" in caught.value.hint


def test_a_template_that_makes_folders(tmp_path):
    touch("d/a.jpg", "d/sub/b.jpg")
    parts = tuple(Part(method=method, name=method) for method in ("gradcam", "layercam"))
    result = plan("d", recursive=True, parts=parts, template=parse_template("{method}/{stem}"))
    assert outputs(result) == [
        "out/gradcam/a.png",
        "out/layercam/a.png",
        "out/sub/gradcam/b.png",
        "out/sub/layercam/b.png",
    ]
    touch("out/layercam")
    with pytest.raises(UsageError, match="a part of its path is a file"):
        plan("d", recursive=True, parts=parts, template=parse_template("{method}/{stem}"))


@pytest.mark.parametrize(
    ("template", "kinds", "parts", "field"),
    [
        ("{stem}", ("overlay", "heatmap"), ("",), "{kind}"),
        ("{stem}_{kind}", ("overlay",), ("a", "b"), "{part}"),
        ("{stem}_{layer}", ("overlay",), ("a", "b"), "{part}"),
    ],
)
def test_a_template_tells_an_inputs_results_apart(template, kinds, parts, field):
    touch("cat.jpg")
    parts = tuple(Part(name=name) for name in parts)
    with pytest.raises(UsageError, match="the same name") as caught:
        plan("cat.jpg", kinds=kinds, parts=parts, template=parse_template(template))
    assert caught.value.hint == f"add {field} to name_template"


def test_a_template_without_the_stem_is_for_one_input():
    touch("cat.jpg", "dog.jpg")
    assert outputs(plan("cat.jpg", template=parse_template("{kind}"))) == ["out/overlay.png"]
    with pytest.raises(UsageError, match=r"same name: 'cat\.jpg' and 'dog\.jpg'") as caught:
        plan("cat.jpg", "dog.jpg", template=parse_template("{kind}"))
    assert caught.value.hint == "add {stem} to name_template"


def test_a_remedy_works_before_the_parts_are_known():
    touch("cat.jpg", "cat.png")
    with pytest.raises(UsageError) as caught:
        plan("cat.jpg", "cat.png", parts=None)
    template = re.search(r"'(.*)'", caught.value.hint)[1]
    assert template == "{stem}_{suffix}_{kind}_{part}"
    result = plan("cat.jpg", "cat.png", parts=None, template=parse_template(template))
    assert [job.outputs for job in result.jobs] == [(), ()]


def test_no_result_lies_among_the_records():
    touch(".gradcam.jpg")
    assert outputs(plan(".gradcam.jpg", template=parse_template("{stem}/{kind}"))) == ["out/_.gradcam/overlay.png"]


def test_a_name_from_a_path_does_not_depend_on_the_other_inputs():
    touch("a/cat.jpg", "a-cat.jpg")
    together = plan("a/cat.jpg", "a-cat.jpg", name_from="path")
    alone = [plan(name, name_from="path") for name in ("a/cat.jpg", "a-cat.jpg")]
    assert outputs(together) == [path for result in alone for path in outputs(result)]


def test_directories_told_apart_by_path_are_flat():
    touch("p/a/x.jpg", "q/a/x.jpg")
    with pytest.raises(UsageError, match="same name"):
        plan("p", "q", recursive=True)
    assert outputs(plan("p", "q", recursive=True, name_from="path")) == [
        "out/p-a-x-jpg_overlay.png",
        "out/q-a-x-jpg_overlay.png",
    ]


def test_an_output_of_one_kind_does_not_meet_another_input_of_that_name():
    touch("cat.jpg", "cat_overlay.jpg")
    assert outputs(plan("cat.jpg", "cat_overlay.jpg")) == ["out/cat_overlay.png", "out/cat_overlay_overlay.png"]


@pytest.mark.parametrize("ignores", [False, True])
def test_names_that_differ_in_case_only_clash_where_the_output_directory_ignores_case(ignores, monkeypatch):
    touch("a/cat.jpg", "b/CAT.jpg")
    monkeypatch.setattr(plan_module, "_ignores_case", lambda directory: ignores)
    if not ignores:
        assert len(plan("a/cat.jpg", "b/CAT.jpg").jobs) == 2
        return
    with pytest.raises(UsageError, match=r"'a/cat\.jpg' and 'b/CAT\.jpg'"):
        plan("a/cat.jpg", "b/CAT.jpg", out="new/out")
    assert not Path("new").exists()


def test_whether_case_is_ignored_is_tried_and_leaves_nothing(tmp_path):
    touch("probe")
    expected = Path("PROBE").exists()
    before = os.listdir()
    assert plan_module._ignores_case(tmp_path) == expected or sys.platform == "darwin"
    assert os.listdir() == before
    assert plan_module._ignores_case(tmp_path / "gone")


def test_an_input_is_never_overwritten():
    touch("cat.jpg", "cat_overlay.png")
    with pytest.raises(UsageError, match=r"cat_overlay\.png: a result of 'cat\.jpg' would overwrite"):
        plan("cat.jpg", "cat_overlay.png", out=".")
    with pytest.raises(UsageError, match="overwrite"):
        plan(".", out=".", policy="skip")


@posix_only
@pytest.mark.parametrize("how", ["hard", "symbolic", "folder"])
@pytest.mark.parametrize("given", ["in", "in/x.jpg"])
def test_an_input_is_never_overwritten_through_a_link(how, given):
    touch("in/x.jpg", "out/other")
    if how == "hard":
        os.link("in/x.jpg", "out/x_overlay.png")
    elif how == "symbolic":
        Path("out/x_overlay.png").symlink_to("../in/x.jpg")
    else:
        touch("in/x_overlay.png")
        Path("link").symlink_to("in")
    with pytest.raises(UsageError, match="overwrite"):
        plan(given, "in", out="link" if how == "folder" else "out")


@posix_only
def test_a_dangling_link_in_an_outputs_place_is_replaced():
    touch("x.jpg", "out/other")
    Path("out/x_overlay.png").symlink_to("nowhere")
    assert len(plan("x.jpg").jobs) == 1


def test_the_output_directory_is_created_and_one_below_a_file_is_refused():
    touch("cat.jpg", "file")
    plan("cat.jpg", out="new/deep/out")
    assert Path("new/deep/out").is_dir()
    for out in ("file", "file/below", "cat.jpg"):
        with pytest.raises(UsageError, match="cannot be written"):
            plan("cat.jpg", out=out)
    with pytest.raises(UsageError, match="cannot be written"):
        plan("cat.jpg", out=f"other/{'x' * 300}")
    assert not Path("other").exists()


@pytest.mark.parametrize("blocked", ["out/x_overlay.png/", "out/a"])
def test_an_output_in_the_place_of_something_else(blocked):
    touch("in/x.jpg", "in/a/b/y.jpg", "out/other")
    if blocked.endswith("/"):
        Path(blocked).mkdir()
    else:
        touch(blocked)
    with pytest.raises(UsageError, match="cannot be written"):
        plan("in", recursive=True)


@pytest.mark.parametrize("closed", ["out", "out/a"])
def test_a_directory_that_cannot_be_written(closed, monkeypatch):
    touch("in/x.jpg", "in/a/b/y.jpg", "out/a/other")
    monkeypatch.setattr(os, "access", lambda path, mode: Path(path) != Path(closed))
    with pytest.raises(UsageError, match="permission denied"):
        plan("in", recursive=True)


def test_skip_passes_over_inputs_that_have_all_their_results():
    touch("a.jpg", "b.jpg", "c.jpg", "out/a_overlay.png", "out/a_map.npy", "out/b_overlay.png")
    result = plan("a.jpg", "b.jpg", "c.jpg", kinds=("overlay", "map"), policy="skip")
    assert (names(result), result.skipped) == (["b.jpg", "c.jpg"], 1)
    assert plan("a.jpg", "b.jpg", "c.jpg", kinds=("overlay", "map")).skipped == 0


def test_all_done_is_no_error():
    touch("a.jpg", "out/a_overlay.png")
    result = plan("a.jpg", policy="skip")
    assert (result.jobs, result.skipped) == ([], 1)


def test_refuse_names_the_first_few_results_that_exist():
    touch(*(f"{number}.jpg" for number in range(6)))
    assert len(plan("*.jpg", policy="refuse").jobs) == 6
    touch(*(f"out/{number}_overlay.png" for number in range(5)))
    with pytest.raises(UsageError, match=r"0_overlay\.png.*2_overlay\.png'; and 2 more"):
        plan("*.jpg", policy="refuse")


# ---- cost


def test_thousands_of_inputs_are_planned_without_asking_for_each(monkeypatch):
    touch(*(f"in/{number}.jpg" for number in range(1000)))
    asked = []
    real_stat = os.stat
    monkeypatch.setattr(os, "stat", lambda path, **kwargs: asked.append(path) or real_stat(path, **kwargs))
    start = time.perf_counter()
    result = plan("in", kinds=("grayscale", "heatmap", "overlay"))
    assert time.perf_counter() - start < 5
    assert len(result.jobs) == 1000
    assert len(asked) < 50


def test_planning_loads_nothing_heavy():
    code = (
        "import sys, gradcam_cli.plan.make\n"
        "print(*sorted({name.partition('.')[0] for name in sys.modules} & {'torch', 'cv2', 'numpy', 'PIL', 'click'}))"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=True)
    assert done.stdout.strip() == ""


@posix_only
def test_what_killed_runs_have_left_is_removed():
    """Also where nothing remains to be done, and in the folders that mirror the inputs'."""
    touch("d/a.jpg", "d/sub/b.jpg", "out/a_overlay.png", "out/sub/b_overlay.png")
    code = "from pathlib import Path; from gradcam_cli.media.atomic import _part; print(_part(Path('a.png')))"
    environment = dict(os.environ)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment)
    name = done.stdout.strip()
    touch(f"out/{name}", f"out/sub/{name}", f"d/{name}")
    assert plan("d", recursive=True, policy="skip").skipped == 2
    assert not list(Path("out").rglob("*.part"))
    assert Path("d", name).exists(), "not in a folder of inputs"


def test_animations_are_left_out_beside_pictures():
    """A directory's, not those that are named or matched: 'gradcam gif' takes them."""
    touch("all/cat.jpg", "all/cat.gif", "all/dog.GIF", "all/below/x.gif", "moving/b.gif", "moving/a.gif")
    found = plan("all", second={".gif"})
    assert [job.name for job in found.jobs] == ["all/cat.jpg"]
    assert found.search.left == ["all/cat.gif", "all/dog.GIF"]
    assert plan("all", second={".gif"}, recursive=True).search.left[2:] == ["all/below/x.gif"]
    assert [job.name for job in plan("moving", second={".gif"}).jobs] == ["moving/a.gif", "moving/b.gif"]
    named = plan("all", "all/dog.GIF", second={".gif"})
    assert [job.name for job in named.jobs] == ["all/cat.jpg", "all/dog.GIF"]
    with pytest.raises(UsageError, match="the same name"):
        plan("all/*", second={".gif"})
