"""Choices: val alone chooses, the lowest value in a tie, and edges of the grid are told."""

import math

import pandas as pd

from geomix.report.choices import choose, place_choices

ROWS = [
    ("a", 0.1, 0.5),
    ("a", 0.2, 0.7),
    ("a", 0.4, 0.7),
    ("b", 0.1, 0.9),
    ("b", 0.2, 0.3),
    ("b", 0.4, 0.1),
]


def summary(rows: list[tuple], *axes: str) -> pd.DataFrame:
    """Return mean val rows, out of order."""
    table = pd.DataFrame(rows, columns=["geometry", *axes, "recall_at_1"])
    shuffled = table.sample(frac=1, random_state=0).sort_values("geometry", ignore_index=True)
    return shuffled.assign(recall_at_1_sd=0.01)


def places(table: pd.DataFrame, *axes: str) -> list[tuple]:
    """Return where the choices of a table lie."""
    found = place_choices(table, choose(table, axes), axes)
    return [(one.geometry, one.axis, one.value, one.kind, one.inner) for one in found]


def test_the_highest_val_score_chooses_and_edges_are_told() -> None:
    table = summary(ROWS, "tau")
    assert places(table, "tau") == [
        ("a", "tau", 0.2, "inside", None),
        ("b", "tau", 0.1, "edge", 0.2),
    ]
    at_the_end = table[table["tau"] < 0.4]
    assert places(at_the_end, "tau")[0] == ("a", "tau", 0.2, "edge", 0.1)
    alone = table[table["tau"] == 0.1]
    assert places(alone, "tau")[0] == ("a", "tau", 0.1, "edge", None)


def test_nothing_lies_below_0() -> None:
    table = summary(ROWS, "curvature").replace({"curvature": {0.1: 0.0}})
    assert places(table, "curvature")[1] == ("b", "curvature", 0.0, "limit", None)


def test_words_have_no_edge() -> None:
    table = summary([("a", "batch", 0.5), ("a", "none", 0.6)], "head.norm")
    assert places(table, "head.norm") == [("a", "head.norm", "none", "category", None)]


def test_an_edge_has_the_score_of_the_value_next_to_it() -> None:
    table = summary(ROWS, "tau")
    inside, edge = place_choices(table, choose(table, ["tau"]), ["tau"])
    assert (edge.score, edge.score_sd, edge.inner_score, edge.inner_sd) == (0.9, 0.01, 0.3, 0.01)
    assert math.isnan(inside.inner_score)


def test_of_two_axes_each_has_its_place_with_the_other_at_its_choice() -> None:
    grid = {(1, 8): 0.3, (2, 8): 0.9, (3, 8): 0.2, (1, 16): 0.8, (2, 16): 0.7, (3, 16): 0.9}
    table = summary([("a", *values, score) for values, score in grid.items()], "c", "d")
    chosen = choose(table, ["c", "d"])
    assert chosen[["c", "d"]].to_numpy().tolist() == [[2, 8]]  # the lowest of a tie
    across, down = place_choices(table, chosen, ["c", "d"])
    assert (across.axis, across.kind) == ("c", "inside")
    assert (down.axis, down.kind, down.inner, down.inner_score) == ("d", "edge", 16, 0.7)


def test_without_an_axis_every_geometry_is_chosen_as_it_is() -> None:
    table = summary([("b", 0.5), ("a", 0.6)])
    assert list(choose(table, [])["geometry"]) == ["a", "b"]
    assert list(place_choices(table, choose(table, []), [])) == []
