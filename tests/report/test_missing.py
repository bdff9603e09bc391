"""What could not be computed is said with its reason, and never stands on a page as `nan`."""

import math
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from geomix.config.stages import PageParams
from geomix.data.packed import Packed, open_packed
from geomix.report.findings import Findings
from geomix.report.missing import describe_queries, list_missing
from geomix.report.page import build_page
from geomix.report.results import read_results
from tests.report.conftest import STUDIES

NAMES = ("recall_at_1", "recall_at_2", "reciprocal_rank", "map_at_r", "r_precision")


def test_nothing_is_said_where_all_is_there(found: dict[str, Findings], kept_packed: Path) -> None:
    packed = open_packed(kept_packed)
    assert not any(list_missing(packed, one) for one in found.values())


@pytest.mark.parametrize(
    ("labels", "finding", "said"),
    [
        (["a", "a", "b", "b"], [1, 1, 1, 1], []),
        (["a", "b", "c"], [0, 0, 0], ["No query of test has another sample of its class in the"]),
        (
            ["a", "a", "b", "b", "c"],
            [1, 1, 1, 1, 0],
            ["1 of 5 queries of test have no other sample"],
        ),
        (
            ["a", "a", "c"],
            [1, 1, 0],
            ["1 of 3 queries of test have", "All queries of test with a score are of class a, so"],
        ),
    ],
)
def test_queries_without_a_score_are_counted(
    labels: list[str], finding: list[int], said: list[str]
) -> None:
    reasons = list(describe_queries("test", np.array(labels), np.array(finding, bool)))
    assert len(reasons) == len(said)
    for reason, beginning in zip(reasons, said, strict=True):
        assert reason.startswith(beginning)


def test_val_needs_no_second_class() -> None:
    assert not list(describe_queries("val", np.array(["a", "a"]), np.array([True, True])))


def leave_alone(packed: Packed, rows: np.ndarray) -> Packed:
    """Give each of some samples a class of its own."""
    labels = packed.samples["label"].to_numpy().copy()
    labels[rows] = [f"alone {row}" for row in rows]
    return Packed(packed.samples.assign(label=labels), packed.images, packed.card)


def spoil(results: Path, name: str, packed: Packed, splits: list[str]) -> None:
    """Take the scores from queries that have nothing to find, as evaluate does."""
    found = read_results(results / name)
    metrics, arrays = found.metrics, dict(found.per_query)
    for split in splits:
        labels = packed.samples["label"].to_numpy()[packed.queries(split)]
        lone = pd.Series(labels).map(pd.Series(labels).value_counts()).to_numpy() == 1
        for key in [key for key in arrays if f"/{split}/" in key and "neighbours" not in key]:
            arrays[key] = np.where(lone, np.nan, arrays[key])
        if lone.all():
            scores = [column for column in metrics if column.startswith(NAMES)]
            metrics.loc[metrics["split"] == split, scores] = math.nan
    metrics.to_csv(results / name / "metrics.csv", index=False)
    np.savez(results / name / "per_query.npz", allow_pickle=False, **arrays)


KINDS = {  # how many samples of a split keep their class, and what is said
    "no positives in test": ({"test": 0}, "No query of test has another sample of its class"),
    "no positives in val": ({"val": 0}, "No query of val has another sample of its class"),
    "no positives": ({"val": 0, "test": 0}, "No query of val has another sample of its class"),
    "one class": ({"test": 5}, "All queries of test with a score are of class class 8, so that"),
    "lone queries": ({"test": 15}, "5 of 20 queries of test have no other sample of their class"),
}


@pytest.mark.parametrize("name", ["compare", "tau", "curvature", "grid"])
@pytest.mark.parametrize("kind", KINDS)
def test_a_page_of_a_small_odd_set_says_what_could_not_be_computed(
    results: Path, packed_folder: Path, params: PageParams, kind: str, name: str
) -> None:
    kept, said = KINDS[kind]
    packed = open_packed(packed_folder)
    for split, count in kept.items():
        packed = leave_alone(packed, packed.rows(split)[count:])
    packed.samples.to_csv(packed_folder / "samples.csv", index=False)
    for folder in (name, "baselines"):
        spoil(results, folder, packed, list(kept))
    folders = results / name, results / "baselines", packed_folder
    page = build_page(name, STUDIES[name], *folders, params)["README.md"].decode()
    text = page.partition("<details>")[0]
    assert not re.search(r"(?<![\w-])nan(?![\w-])", text, re.IGNORECASE)
    assert "Not everything could be computed, and a dash stands where" in text
    assert said in text
    first = next(line for line in text.splitlines() if line.startswith("**"))
    assert len(re.split(r"(?<=[.!?])\s", first)[0].split()) <= 30
    nothing = kept.get("test") == 0
    assert ("nothing can be compared: no geometry has a test R@1." in text) == nothing
    if "val" in kept and STUDIES[name].axes:
        assert "Validation has no scores and chose nothing" in text
        assert "that the validation classes chose for it" not in text
    if kind == "one class":
        assert "95 %" not in text
        assert ("one class, not tested" in text) == (name != "curvature")


def test_cells_without_a_number_are_counted(found: dict[str, Findings], kept_packed: Path) -> None:
    one = found["compare"]
    metrics = one.results.metrics.copy()
    test = (metrics["split"] == "test") & (metrics["geometry"] == "hybrid")
    metrics.loc[test, ["reciprocal_rank", "map_at_r", "rank_correlation"]] = math.nan
    metrics.loc[test & (metrics["seed"] == 0), "recall_at_1"] = math.nan
    spoiled = replace(one, results=replace(one.results, metrics=metrics))
    assert list_missing(open_packed(kept_packed), spoiled) == [
        "R@1 of test: no number in 1 of 8 cells.",
        "MRR, MAP@R of test: no number in 2 of 8 cells.",
        "Rank correlation with cosine: none in 2 of 8 cells, where all samples are equally similar"
        " to some query.",
    ]
