"""Numbers, words and tables as people read them."""

import math
import re

import pytest

from geomix.report.difference import Difference
from geomix.report.text import (
    align_tables,
    correlation,
    figures,
    gap,
    interval,
    join_lines,
    list_words,
    literal,
    markdown_table,
    number,
    percent,
    points,
    quote,
    settings,
    share,
    stress,
    values,
)


def test_numbers() -> None:
    written = [number(value) for value in (0.1, 3.0, 0.0125, math.nan, None, "none")]
    assert written == ["0.1", "3", "0.0125", "-", "-", "none"]
    assert percent(0.63149, 0.0041) == "63.1 ± 0.4"
    assert percent(0.63149) == "63.1"
    assert percent(math.nan, math.nan) == "-"
    assert share(2.3, 0.0123) == "2.300 ± 0.012"
    assert share(math.nan) == "-"
    assert correlation(0.99914) == "0.9991"
    values = (1452.3, 999.7, 45.23, 0.056263, 2e-8, math.nan)
    assert list(map(figures, values)) == ["1,452", "1,000", "45.2", "0.0563", "2e-08", "-"]
    assert points([0.0123, -0.001, math.nan]) == "+1.2, -0.1, -"
    assert gap(Difference(0.0123, -0.001, 0.02, (0.01, 0.0146))) == "+1.2 [-0.1, +2.0]"
    assert gap(Difference(0.0123, math.nan, math.nan, (0.0123,))) == "+1.2"
    assert gap(Difference(math.nan, math.nan, math.nan, (math.nan,))) == "-"


def test_words() -> None:
    assert list_words(["a"]) == "a"
    assert list_words(["a", "b", "c"]) == "a, b and c"
    assert quote(["a", "b"]) == ["`a`", "`b`"]
    assert join_lines("  a\n  b\n") == "a b"
    assert settings({"tau": 0.1, "c": 3, "x": 1}, ["tau", "c"]) == "tau 0.1 and c 3"
    assert values({"tau": 0.1, "c": 3}, ["tau", "c"]) == "0.1, 3"


def test_columns_of_a_table_are_straight_and_the_rest_of_a_page_is_as_it_was() -> None:
    page = "# x\n\n| a | b |\n|-|\n| long cell | |\n| | c |\n\nend |\n"
    assert align_tables(page).splitlines() == [
        "# x",
        "",
        "| a         | b   |",
        "|:----------|:----|",
        "| long cell |     |",
        "|           | c   |",
        "",
        "end |",
    ]


@pytest.mark.parametrize(
    ("name", "written"),
    [
        ("plain name-1 (x)", "plain name-1 (x)"),
        ("a|b", r"a\|b"),
        ("_a_ *b* `c`", r"\_a\_ \*b\* \`c\`"),
        ("Ba$$in ~x~", r"Ba\$\$in \~x\~"),
        ("<b>x</b>", "&lt;b&gt;x&lt;/b&gt;"),
        ("[x](y) {z}", r"\[x\](y) \{z\}"),
        ("a\\|b", r"a\\\|b"),
        ("A & B &lt; &#60;", "A & B &amp;lt; &amp;#60;"),
        ("two\nlines", "two lines"),
        ("猫 ألفا 🙂", "猫 ألفا 🙂"),
    ],
)
def test_a_name_is_written_so_that_markdown_shows_it(name: str, written: str) -> None:
    assert literal(name) == written


def test_a_pipe_in_a_name_ends_no_cell() -> None:
    page = f"| {literal('a|b')} | x |\n|-|\n| 1 | {literal('c|')} |\n"
    lines = align_tables(page).splitlines()
    cells = [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines]
    assert [cells[0], cells[2]] == [[r"a\|b", "x"], ["1", r"c\|"]]
    assert len({len(line) for line in lines}) == 1


def test_wide_signs_take_two_places_and_marks_none() -> None:
    lines = align_tables("| a | b |\n|-|\n| 猫猫猫 | x |\n| e\u0301 | y |\n").splitlines()
    assert lines[2:] == ["| 猫猫猫 | x   |", "| e\u0301      | y   |"]


def test_a_table_keeps_text_as_it_is() -> None:
    lines = markdown_table([{"a": "0.10", "b": "x"}, {"a": "**3**", "b": "-"}]).splitlines()
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    assert [cells[0], *cells[2:]] == [["a", "b"], ["0.10", "x"], ["**3**", "-"]]


def test_a_small_stress_has_more_decimals() -> None:
    assert stress(0.06, 0.0021) == "0.0600 ± 0.0021"
    assert stress(0.000516) == "0.00052"
    assert stress(float("nan")) == "-"


def test_an_interval_without_ends_is_its_mean() -> None:
    assert interval({"mean": 0.012, "low": -0.0004, "high": 0.021}) == "+1.2 [+0.0, +2.1]"
    assert interval({"mean": 0.012, "low": None, "high": 0.021}) == "+1.2"
    assert interval({"mean": None, "low": None, "high": None}) == "-"
