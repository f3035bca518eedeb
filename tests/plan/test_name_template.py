from __future__ import annotations

import os

import pytest

from gradcam_cli.errors import UsageError
from gradcam_cli.plan.name_template import FIELDS, USUAL, parse_template
from gradcam_cli.plan.output_names import MAX_NAME_BYTES, OutputOptions, build_jobs

VALUES = {
    "stem": "my cat",
    "suffix": "jpg",
    "kind": "overlay",
    "part": "",
    "layer": "layer4.1",
    "target": "top1",
    "method": "gradcam",
}


@pytest.mark.parametrize(
    ("template", "name"),
    [
        (USUAL, "my cat_overlay"),
        ("{stem}_{method}_{target}_{kind}", "my cat_gradcam_top1_overlay"),
        ("{method}/{stem}.{suffix}", "gradcam/my cat.jpg"),
        ("{part}_{stem}", "my cat"),
        ("a/{part} - {stem}", "a/my cat"),
        ("{stem} - {part} - {kind}", "my cat - overlay"),
        ("{part}{kind}", "overlay"),
        ("{{{kind}}}", "{overlay}"),
        ("_{kind}_", "_overlay_"),
        ("{kind}", "overlay"),
    ],
)
def test_names(template, name):
    assert parse_template(template).filled(VALUES) == name


def test_a_separator_of_the_input_itself_stays():
    """Otherwise ``a.jpg`` and ``a_.jpg`` would have one name."""
    template = parse_template("{stem}_{part}")
    assert template.filled({**VALUES, "stem": "a_."}) == "a_."


@pytest.mark.parametrize("template", ["{name}", "{0}", "{}", "{stem.real}", "{stem[0]}", "{model}"])
def test_unknown_fields_are_refused_with_the_list(template):
    with pytest.raises(UsageError, match="unknown field") as caught:
        parse_template(template)
    assert all(field in caught.value.hint for field in FIELDS)


@pytest.mark.parametrize("template", ["{stem!r}_{kind}", "{stem:>9}"])
def test_fields_are_plain_names(template):
    with pytest.raises(UsageError, match="more than a name in the braces"):
        parse_template(template)


@pytest.mark.parametrize("template", ["{stem", "stem}", "{stem}}_{"])
def test_a_brace_has_a_partner(template):
    with pytest.raises(UsageError, match="brace"):
        parse_template(template)


@pytest.mark.parametrize(
    "template",
    [
        "",
        "..",
        "../{stem}",
        "/{stem}",
        "a//{stem}",
        "{stem}/",
        "./{stem}",
        "{part}",
        "{suffix}/{stem}",
        "{stem}/ ",
        ".gradcam/{stem}",
        "{stem}\n{kind}",
        "{stem}\\{kind}",
        "C:{stem}",
        "{stem}\0",
    ],
)
def test_every_result_has_a_name_in_the_output_directory(template):
    with pytest.raises(UsageError):
        parse_template(template)


@pytest.mark.parametrize(
    "template", [USUAL, "{stem}_{suffix}_{kind}", "{method}/{stem}_{layer}_{target}", "{stem}", "{stem}_{stem}"]
)
@pytest.mark.parametrize("suffix", [".jpg", "." + "ü" * 100])
def test_long_names_leave_room_for_the_rest(template, suffix, tmp_path):
    options = OutputOptions(tmp_path, ("overlay",), template=parse_template(template))
    name = "é" * 200 + suffix
    (job,) = build_jobs([(name, "")], options)
    for part in job.outputs[0].path.relative_to(tmp_path).parts:
        assert len(os.fsencode(part)) <= MAX_NAME_BYTES


def test_a_template_that_is_too_long():
    options = OutputOptions("out", ("overlay",), template=parse_template("{stem}" + "x" * 220))
    with pytest.raises(UsageError, match="too long"):
        build_jobs([("cat.jpg", "")], options)
