"""What the page of a search says of its trials: the winner's place, edges, the plateau."""

import math
from dataclasses import replace

from geomix.config.tuning import Among, Range, Ranges
from geomix.tune.history import Trial
from geomix.tune.summary import place_winner, tabulate_trials

RANGES: Ranges = {
    "tau": Range(low=0.01, high=1, log=True),
    "lam": Range(low=0, high=10),
    "head.norm": Among(among=["none", "batch", "layer"]),
}


def history(*rows: tuple[float, float, str, float]) -> list[Trial]:
    """Return trials of tau, lam, norm and score, two in each round."""
    return [
        Trial(at // 2 + 1, f"{at % 2:02d}", dict(zip(RANGES, row[:3], strict=True)), row[3], 0.02)
        for at, row in enumerate(rows)
    ]


TRIALS = history(
    (0.1, 5, "none", 0.40),
    (0.011, 9.9, "layer", 0.50),
    (0.1, 5, "batch", 0.485),
    (1, 1, "none", 0.1),
)


def test_a_winner_near_an_end_lies_at_an_edge() -> None:
    tau, lam, norm = place_winner(RANGES, TRIALS)
    assert (tau.key, tau.value, tau.kind) == ("tau", "0.011", "edge")
    assert (lam.value, lam.kind) == ("9.9", "edge")
    assert (norm.value, norm.kind) == ("layer", "category")
    inside = place_winner(RANGES, [TRIALS[0], TRIALS[3]])
    assert [one.kind for one in inside] == ["inside", "inside", "category"]


def test_a_range_in_the_logarithm_has_its_edges_there() -> None:
    # a hundredth above the low end: 2 % of the range, but an eighth of its logarithm
    [tau, *_] = place_winner(RANGES, history((0.018, 5, "none", 0.4), (1, 5, "none", 0.1)))
    assert tau.kind == "inside"


def test_the_plateau_says_how_far_values_may_differ() -> None:
    tau, lam, norm = place_winner(RANGES, TRIALS)
    assert (tau.plateau, lam.plateau, norm.plateau) == ("0.011 to 0.1", "5 to 9.9", "batch, layer")
    [tau, *_] = place_winner(RANGES, [TRIALS[0], TRIALS[3]])
    assert tau.plateau == "0.1"


def test_what_is_searched_stands_beside() -> None:
    assert [one.searched for one in place_winner(RANGES, TRIALS)] == [
        "0.01 to 1, log",
        "0 to 10",
        "none, batch, layer",
    ]


def test_the_table_has_all_trials_in_their_order() -> None:
    failed = replace(TRIALS[2], score=math.nan, standard_error=math.nan, failure="loss nan")
    table = tabulate_trials(RANGES, [*TRIALS[:2], failed, TRIALS[3]])
    assert list(table["round"]) == [1, 1, 2, 2]
    assert list(table["tau"]) == ["0.1", "0.011", "0.1", "1"]
    assert list(table["winner"]) == [False, True, False, False]
    assert list(table["plateau"]) == [False, True, False, False]
    assert list(table["best_so_far"]) == [0.4, 0.5, 0.5, 0.5]
    assert list(table["failure"]) == ["", "", "loss nan", ""]
