"""Results: means over seeds are plain means, metrics are named in order."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from geomix.errors import InputError
from geomix.report.results import (
    find_ranks,
    list_settings,
    name_metrics,
    over_seeds,
    own,
    read_results,
    stack_queries,
)


def test_means_and_spreads_are_over_seeds(kept_results: Path) -> None:
    metrics = read_results(kept_results / "tau").metrics
    summary = over_seeds(own(metrics, "test"), ["geometry", "tau"]).set_index(["geometry", "tau"])
    rows = own(metrics, "test")
    rows = rows[rows["cell"].isin(["flat-0.1-0-1/0", "flat-0.1-0-1/1"])]
    assert len(name_metrics(metrics)) == 7
    for name in name_metrics(metrics):
        assert summary.loc[("flat", 0.1), name] == pytest.approx(rows[name].mean())
        assert summary.loc[("flat", 0.1), f"{name}_sd"] == pytest.approx(np.std(rows[name], ddof=1))
    assert summary.loc[("flat", 0.1), "seeds"] == 2
    geometries = list(summary.index.get_level_values(0).unique())
    assert geometries == ["euclidean", "flat", "hyperbolic", "hybrid"]


def test_metrics_are_named_by_rising_k_whatever_their_order_and_sds_and_levels_are_none() -> None:
    ranks = ["recall_at_100", "recall_at_1_kind", "recall_at_10", "recall_at_1", "recall_at_1_sd"]
    table = pd.DataFrame(columns=["map_at_r", *ranks, "cell"])
    assert find_ranks(table) == [1, 10, 100]
    names = ["R@1", "R@10", "R@100", "MRR", "MAP@R", "R-precision"]
    assert list(name_metrics(table).values()) == names


def test_settings_are_what_stands_before_the_scores_but_no_names(kept_results: Path) -> None:
    metrics = read_results(kept_results / "rate").metrics
    assert list_settings(metrics) == ["tau", "curvature", "lam", "optim.learning_rate"]


def test_values_of_each_query_are_those_of_the_cells(kept_results: Path) -> None:
    results = read_results(kept_results / "compare")
    cells = ["hybrid-0-1/0", "hybrid-0-1/1"]
    hits = stack_queries(results, cells)
    means = own(results.metrics, "test").set_index("cell").loc[cells, "recall_at_1"]
    assert hits.shape == (2, 20)
    assert hits.mean(1) == pytest.approx(means.to_numpy())


def test_a_missing_study_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="metrics.csv: not found; expected it from an earlier"):
        read_results(tmp_path)
