"""Numbers and tables as people read them."""

import math

from geomix.report.intervals import Difference
from geomix.report.text import gap, join_words, markdown_table, number, percent, share


def test_numbers() -> None:
    assert [number(value) for value in (0.1, 3.0, 0.0125)] == ["0.1", "3", "0.0125"]
    assert percent(0.63149, 0.0041) == "63.1 ± 0.4"
    assert percent(0.63149) == "63.1"
    assert percent(math.nan, math.nan) == "-"
    assert share(2.3, 0.0123) == "2.300 ± 0.012"
    assert gap(Difference(0.0123, -0.001, 0.02, (0.01, 0.0146))) == "+1.2 [-0.1, +2.0]"
    assert gap(Difference(0.0123, math.nan, math.nan, (0.0123,))) == "+1.2"


def test_words() -> None:
    assert join_words(["a"]) == "a"
    assert join_words(["a", "b", "c"]) == "a, b and c"


def test_a_table_keeps_text_as_it_is() -> None:
    lines = markdown_table([{"a": "0.10", "b": "x"}, {"a": "**3**", "b": "-"}]).splitlines()
    assert [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in lines
        if not line.startswith("|:")
    ] == [
        ["a", "b"],
        ["0.10", "x"],
        ["**3**", "-"],
    ]
