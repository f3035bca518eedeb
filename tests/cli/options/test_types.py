"""Values of options: what is no number to work with is a usage error, and told at once."""

from __future__ import annotations

from fractions import Fraction

import click
import pytest

from gradcam_cli.cli.main import run
from gradcam_cli.cli.options.types import Finite, exact, rate
from gradcam_cli.errors import UsageError


@pytest.mark.parametrize(
    ("text", "number"),
    [("2.5", Fraction(5, 2)), ("30000/1001", Fraction(30000, 1001)), ("1e3", 1000), (" .5 ", Fraction(1, 2)), ("0", 0)],
)
def test_exact_numbers(text, number):
    assert exact(text) == number


@pytest.mark.parametrize("text", ["1e99999999", "1e-99999999", "1e10", "-1", "nan", "inf", "", "1/0", "9" * 5000, "²"])
def test_what_is_no_exact_number(text):
    with pytest.raises(UsageError, match="not a number of that kind"):
        exact(text)


@pytest.mark.parametrize("text", ["0", "1e-9", "1/3601", "1e9", "1001"])
def test_rates_that_no_clip_has(text):
    with pytest.raises(UsageError, match="no rate from 1/3600 to 1000"):
        rate(text)
    assert rate("1/3600") == Fraction(1, 3600)


@pytest.mark.parametrize("text", ["nan", "inf", "-inf", "1e400"])
def test_infinity_and_nan_are_in_no_range(text):
    with pytest.raises(click.BadParameter):
        Finite(0).convert(text, None, None)
    assert Finite(0).convert("1.5", None, None) == 1.5


@pytest.mark.parametrize("arguments", [("compare", "--width"), ("gif", "--smooth"), ("image", "--budget")])
def test_nan_on_the_command_line(arguments, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert run([arguments[0], "a.png", "-m", "tiny", f"{arguments[1]}=nan"]) == 2
    assert "nan" in capsys.readouterr().err
