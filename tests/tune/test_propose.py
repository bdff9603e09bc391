"""Later rounds: seeded, in the ranges, different from each other, and better than the table."""

import math
from dataclasses import replace

import numpy as np
import pytest

from geomix.config.tuning import Among, Range, Ranges
from geomix.errors import InputError
from geomix.tune.importance import measure_importance
from geomix.tune.propose import propose
from geomix.tune.table import draw_table
from tests.tune.conftest import make_trials, score_of


def test_the_same_history_and_seed_propose_the_same_and_another_seed_does_not(
    ranges: Ranges,
) -> None:
    history = make_trials(draw_table(ranges, 8, 0))
    first = propose(ranges, history, 4, 1)
    assert propose(ranges, history, 4, 1) == first
    assert propose(ranges, history, 4, 2) != first


def test_proposals_differ_lie_in_the_ranges_and_have_three_figures(ranges: Ranges) -> None:
    found = propose(ranges, make_trials(draw_table(ranges, 8, 0)), 6, 0)
    assert len({str(one) for one in found}) == 6
    for one in found:
        assert list(one) == list(ranges)
        for key, values in ranges.items():
            if isinstance(values, Among):
                assert one[key] in values.among
            else:
                assert values.low <= one[key] <= values.high
                assert one[key] == float(f"{one[key]:.3g}")


def test_proposals_beat_the_table_of_the_same_number_of_trials(ranges: Ranges) -> None:
    table = draw_table(ranges, 16, 0)
    history = make_trials(table[:8])
    found = propose(ranges, history, 8, 0)
    assert np.mean([score_of(one) for one in found]) > np.mean([score_of(one) for one in table])
    assert max(map(score_of, found)) > max(map(score_of, table))


def test_a_failure_counts_as_the_worst_of_the_others(ranges: Ranges) -> None:
    history = make_trials(draw_table(ranges, 8, 0))
    worst = min(one.score for one in history)
    failed = replace(history[2], score=math.nan, standard_error=math.nan, failure="loss nan")
    same = replace(history[2], score=min(one.score for one in history if one is not history[2]))
    assert same.score >= worst
    found = propose(ranges, [*history[:2], failed, *history[3:]], 3, 0)
    assert found == propose(ranges, [*history[:2], same, *history[3:]], 3, 0)


def test_without_a_trial_that_was_trained_nothing_is_proposed(ranges: Ranges) -> None:
    failed = [replace(one, score=math.nan) for one in make_trials(draw_table(ranges, 2, 0))]
    with pytest.raises(InputError, match="found no trial that could be trained"):
        propose(ranges, failed, 2, 0)


def test_what_moves_the_score_is_important_and_what_does_not_is_not() -> None:
    ranges: Ranges = {
        "still": Range(low=1, high=2),
        "tau": Range(low=0.01, high=1, log=True),
        "head.norm": Among(among=["none", "batch", "layer"]),
    }
    found = measure_importance(ranges, make_trials(draw_table(ranges, 32, 0)))
    assert list(found) == list(ranges)
    assert sum(found.values()) == pytest.approx(1)
    assert found["tau"] > 0.6
    assert found["still"] < 0.1


def test_importance_is_the_same_on_every_run(ranges: Ranges) -> None:
    history = make_trials(draw_table(ranges, 8, 0))
    assert measure_importance(ranges, history) == measure_importance(ranges, history)
