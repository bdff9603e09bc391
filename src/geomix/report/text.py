"""Numbers, words and tables as people read them."""

import math
import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby, zip_longest
from typing import Any

from geomix.report.difference import Difference

HEADING_PADDING = 2  # a column is at least this much wider than its heading
PIPE = re.compile(r"(?<!\\)\|")  # that ends a cell


def number(value: Any) -> str:
    """Write a setting as short as it is: 0.1, 3, 0.0125; a dash where there is none."""
    if not isinstance(value, int | float):
        return "-" if value is None else str(value)
    return "-" if math.isnan(value) else f"{value:g}"


def percent(mean: float, sd: float = math.nan) -> str:
    """Write a share in percent, with its standard deviation if it has one: 63.1 ± 0.4."""
    if math.isnan(mean):
        return "-"
    return f"{100 * mean:.1f}" + ("" if math.isnan(sd) else f" ± {100 * sd:.1f}")


def share(mean: float, sd: float = math.nan) -> str:
    """Write a quantity to three decimals: 0.631 ± 0.004."""
    if math.isnan(mean):
        return "-"
    return f"{mean:.3f}" + ("" if math.isnan(sd) else f" ± {sd:.3f}")


def stress(mean: float, sd: float = math.nan) -> str:
    """Write a stress to four decimals, below 0.01 to five: 0.0603 ± 0.0021, 0.00052 ± 0.00003."""
    if math.isnan(mean):
        return "-"
    digits = 4 if mean >= 0.01 else 5
    return f"{mean:.{digits}f}" + ("" if math.isnan(sd) else f" ± {sd:.{digits}f}")


def figures(value: float) -> str:
    """Write a quantity to three figures: 1,452, 45.2, 0.0563, 2e-08; a dash where there is none."""
    if math.isnan(value):
        return "-"
    return f"{value:.3g}" if abs(value) < 999.5 else f"{value:,.0f}"


def correlation(value: float) -> str:
    """Write a correlation: 0.9991."""
    return "-" if math.isnan(value) else f"{value:.4f}"


def gap(difference: Difference) -> str:
    """Write a difference of shares in percentage points with its interval: +1.2 [+0.3, +2.1]."""
    if math.isnan(difference.low):
        return points([difference.mean])
    mean, low, high = (
        f"{100 * value:+.1f}" for value in (difference.mean, difference.low, difference.high)
    )
    return f"{mean} [{low}, {high}]"


def points(differences: Sequence[float]) -> str:
    """Write differences of shares in percentage points: +1.2, -0.3; a dash where there is none."""
    signed = (f"{round(100 * one, 1) + 0:+.1f}" for one in differences)  # never -0.0
    return ", ".join("-" if number == "+nan" else number for number in signed)


def interval(ends: Mapping[str, float | None]) -> str:
    """Write a difference with `mean`, `low` and `high` as `gap` does; without ends the mean."""
    mean, low, high = (ends[key] for key in ("mean", "low", "high"))
    if mean is None or low is None or high is None:
        return "-" if mean is None else points([mean])
    return f"{points([mean])} [{points([low, high])}]"


def settings(row: Mapping[str, Any], keys: Sequence[str]) -> str:
    """Write the settings of a row with their keys: tau 0.1 and curvature 3."""
    return list_words([f"{key} {number(row[key])}" for key in keys])


def values(row: Mapping[str, Any], keys: Sequence[str]) -> str:
    """Write the settings of a row in the order of their keys: 0.1, 3."""
    return ", ".join(number(row[key]) for key in keys)


def list_words(words: Iterable[str]) -> str:
    """Join words as in a sentence: a, b and c."""
    *others, last = words
    return f"{', '.join(others)} and {last}" if others else last


def quote(words: Iterable[str]) -> list[str]:
    """Set words as code: `a`."""
    return [f"`{word}`" for word in words]


def named(geometry: object) -> str:
    """Write the name of a geometry, with what it is where the name alone misleads.

    `euclidean` follows the literature, where it is the cosine and not Euclidean distance.
    """
    return "euclidean (cosine)" if geometry == "euclidean" else str(geometry)


def join_lines(text: str) -> str:
    """Write a text on one line."""
    return " ".join(text.split())


def literal(name: object) -> str:
    """Write a name of people so that Markdown, tables and formulas in it show it as it is."""
    line = re.sub(r"&(?=#?\w+;)", "&amp;", join_lines(str(name)))
    line = line.replace("<", "&lt;").replace(">", "&gt;")
    return re.sub(r"([\\`*_{}\[\]|$~])", r"\\\1", line)


def align_tables(page: str) -> str:
    """Pad the cells of each table of a Markdown page, so that its columns are straight as text."""
    lines: list[str] = []
    for is_table, group in groupby(page.split("\n"), key=lambda line: line.startswith("|")):
        block = list(group)
        lines += _align(block) if is_table else block
    return "\n".join(lines)


def _pad(cell: str, width: int) -> str:
    return cell + " " * (width - _width(cell))


def _width(cell: str) -> int:
    """Return how wide a cell is as text: signs of East Asia take two places, marks above none."""
    return sum(
        0 if unicodedata.combining(sign) else 1 + (unicodedata.east_asian_width(sign) in "WF")
        for sign in cell
    )


def _align(lines: Sequence[str]) -> list[str]:
    """Pad the cells of one table, whose second line is the rule under the headings."""
    cells = ([cell.strip() for cell in PIPE.split(line.strip()[1:-1])] for line in lines)
    head, _, *body = cells
    columns = list(zip_longest(head, *body, fillvalue=""))
    widths = [max(_width(names[0]) + HEADING_PADDING, *map(_width, names)) for names in columns]
    rows = ["| " + " | ".join(map(_pad, row, widths)) + " |" for row in zip(*columns, strict=True)]
    rule = "|" + "|".join(f":{'-' * (width + 1)}" for width in widths) + "|"
    return [rows[0], rule, *rows[1:]]


def markdown_table(rows: Sequence[Mapping[str, str]]) -> str:
    """Write rows of text as a Markdown table."""
    lines = [" | ".join(cells) for cells in (rows[0], rows[0], *(row.values() for row in rows))]
    return "\n".join(_align([f"| {line} |" for line in lines]))
