"""Studies: means over seeds are plain means, and val alone chooses."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from geomix.errors import InputError
from geomix.report.studies import (
    choose,
    find_ranks,
    name_metrics,
    over_seeds,
    own,
    per_query,
    read_study,
)


def test_means_and_spreads_are_over_seeds(results: Path) -> None:
    metrics = read_study(results / "tau").metrics
    summary = over_seeds(own(metrics, "test"), ["geometry", "tau"]).set_index(["geometry", "tau"])
    rows = metrics[
        metrics["cell"].isin(["flat-0.1-0", "flat-0.1-1"])
        & (metrics["split"] == "test")
        & (metrics["similarity"] == "own")
    ]
    assert len(name_metrics(metrics)) == 7
    for name in name_metrics(metrics):
        assert summary.loc[("flat", 0.1), name] == pytest.approx(rows[name].mean())
        assert summary.loc[("flat", 0.1), f"{name}_sd"] == pytest.approx(np.std(rows[name], ddof=1))
    assert summary.loc[("flat", 0.1), "seeds"] == 2
    assert list(summary.index.get_level_values(0).unique()) == [
        "euclidean",
        "flat",
        "hyperbolic",
        "hybrid",
    ]


def test_metrics_are_named_by_rising_k_whatever_their_order_and_sds_and_levels_are_none() -> None:
    columns = [
        "map_at_r",
        "recall_at_100",
        "recall_at_1_kind",
        "recall_at_10",
        "recall_at_1",
        "recall_at_1_sd",
        "cell",
    ]
    table = pd.DataFrame(columns=columns)
    assert find_ranks(table) == [1, 10, 100]
    assert list(name_metrics(table).values()) == [
        "R@1",
        "R@10",
        "R@100",
        "MRR",
        "MAP@R",
        "R-precision",
    ]


def test_the_highest_val_score_chooses_and_edges_are_told() -> None:
    rows = [
        ("a", 0.1, 0.5),
        ("a", 0.2, 0.7),
        ("a", 0.4, 0.7),
        ("b", 0.1, 0.9),
        ("b", 0.2, 0.3),
        ("b", 0.4, 0.1),
    ]
    table = pd.DataFrame(rows, columns=["geometry", "tau", "recall_at_1"]).assign(
        recall_at_1_sd=0.01
    )
    summary = table.sample(frac=1, random_state=0).sort_values("geometry")
    named = ["geometry", "tau", "at_edge", "inner", "inner_score"]
    assert choose(summary, "tau")[named].to_numpy().tolist() == [
        ["a", 0.2, False, 0.2, 0.7],
        ["b", 0.1, True, 0.2, 0.3],
    ]
    nothing_lies_below = choose(summary.replace({"tau": {0.1: 0.0}}), "tau")
    assert nothing_lies_below[named[:3]].to_numpy().tolist() == [
        ["a", 0.2, False],
        ["b", 0.0, False],
    ]
    at_the_end = choose(summary[summary["tau"] < 0.4], "tau")
    assert at_the_end[named].to_numpy().tolist() == [
        ["a", 0.2, True, 0.1, 0.5],
        ["b", 0.1, True, 0.2, 0.3],
    ]
    alone = choose(summary[summary["tau"] == 0.1], "tau")
    assert alone[named].to_numpy().tolist() == [
        ["a", 0.1, True, 0.1, 0.5],
        ["b", 0.1, True, 0.1, 0.9],
    ]


def test_values_of_each_query_are_those_of_the_cells(results: Path) -> None:
    study = read_study(results / "compare")
    hits = per_query(study, ["hybrid-0", "hybrid-1"], "test", "recall_at_1")
    means = (
        own(study.metrics, "test").set_index("cell").loc[["hybrid-0", "hybrid-1"], "recall_at_1"]
    )
    assert hits.shape == (2, 20)
    assert hits.mean(1) == pytest.approx(means.to_numpy())


def test_a_missing_study_is_named(tmp_path: Path) -> None:
    with pytest.raises(
        InputError, match="metrics.csv: not found; expected it from an earlier stage"
    ):
        read_study(tmp_path)
