"""Numbers and tables as people read them."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from geomix.report.intervals import Difference


def number(value: float) -> str:
    """Write a setting as short as it is: 0.1, 3, 0.0125."""
    return f"{value:g}"


def percent(mean: float, sd: float = math.nan) -> str:
    """Write a share in percent, with its standard deviation where there is one: 63.1 ± 0.4."""
    if math.isnan(mean):
        return "-"
    return f"{100 * mean:.1f}" + ("" if math.isnan(sd) else f" ± {100 * sd:.1f}")


def share(mean: float, sd: float = math.nan) -> str:
    """Write a share of one: 0.631 ± 0.004."""
    return f"{mean:.3f}" + ("" if math.isnan(sd) else f" ± {sd:.3f}")


def gap(difference: Difference) -> str:
    """Write a difference of shares in percentage points with its interval, if it has one: +1.2 [+0.3, +2.1]."""
    if math.isnan(difference.low):
        return f"{100 * difference.mean:+.1f}"
    return (
        f"{100 * difference.mean:+.1f} [{100 * difference.low:+.1f}, {100 * difference.high:+.1f}]"
    )


def markdown_table(rows: Sequence[Mapping[str, Any]]) -> str:
    """Write rows as a Markdown table; all values are text already."""
    table = pd.DataFrame(list(rows))
    return str(table.to_markdown(index=False, disable_numparse=True, stralign="left"))


def join_words(words: Sequence[str]) -> str:
    """Join words as in a sentence: a, b and c."""
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"
