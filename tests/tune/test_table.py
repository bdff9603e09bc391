"""The first round: even, seeded, the same for keys that geometries share."""

import numpy as np
import pytest

from geomix.config.tuning import COLUMNS, Among, Range, Ranges
from geomix.tune.ranges import locate
from geomix.tune.table import draw_table, list_starts

TAU = Range(low=0.01, high=1, log=True)


def test_the_seed_fixes_the_table_and_another_one_changes_it(ranges: Ranges) -> None:
    assert draw_table(ranges, 8, 0) == draw_table(ranges, 8, 0)
    assert draw_table(ranges, 8, 0) != draw_table(ranges, 8, 1)


def test_geometries_that_share_their_first_keys_share_their_values(ranges: Ranges) -> None:
    fewer = {key: ranges[key] for key in list(ranges)[:2]}
    wide, narrow = draw_table(ranges, 8, 0), draw_table(fewer, 8, 0)
    assert [{key: row[key] for key in fewer} for row in wide] == narrow


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("count", [8, 16])
def test_each_equal_part_of_a_range_has_one_value(count: int, seed: int) -> None:
    rows = draw_table({"tau": TAU}, count, seed)
    places = np.array([locate(TAU, row["tau"]) for row in rows])
    parts = np.clip(np.round(places * count - 0.5), 0, count - 1)
    # rounding to three figures may carry a value over the edge of its part
    assert len(set(parts.tolist())) >= count - 1


def test_any_number_of_rows_is_the_beginning_of_a_longer_table(ranges: Ranges) -> None:
    assert draw_table(ranges, 5, 3) == draw_table(ranges, 8, 3)[:5]
    assert len(draw_table(ranges, 2, 3)) == 2
    assert draw_table(ranges, 0, 3) == []


def test_too_many_keys_are_a_misuse() -> None:
    many: Ranges = {f"key{number}": TAU for number in range(COLUMNS + 1)}
    with pytest.raises(ValueError, match="found 17 keys, expected at most 16"):
        draw_table(many, 4, 0)


def test_a_start_keeps_what_is_tuned_and_the_middle_of_what_it_leaves_out() -> None:
    ranges: Ranges = {"tau": TAU, "head.norm": Among(among=["none", "batch", "layer"])}
    starts = [{"head": {"norm": "layer"}, "lam": 2}, {"tau": 0.5, "head": {"norm": "none"}}]
    assert list_starts(ranges, starts) == [
        {"tau": 0.1, "head.norm": "layer"},
        {"tau": 0.5, "head.norm": "none"},
    ]
