"""Winners beside references tuned alike: crossed intervals, corrected by Holm over the rows."""

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from geomix.data.packed import open_packed
from geomix.report.contrasts import adjust_holm
from geomix.report.gap import measure_gap
from geomix.report.results import Results, read_results, stack_queries
from geomix.report.settled import System, read_system
from geomix.report.winning_systems import (
    Compared,
    Row,
    Scores,
    compare_fused,
    compare_winners,
    correct_rows,
    two_sided,
)
from tests.conftest import ROOT
from tests.report.conftest import SEEDS
from tests.report.made_systems import TUNED, winner, write_systems

METRIC = "map_at_r"


@pytest.fixture(scope="module")
def scored(tmp_path_factory: pytest.TempPathFactory, kept_packed: Path) -> Path:
    """Return the folder of the made-up systems."""
    return write_systems(tmp_path_factory.mktemp("systems"), open_packed(kept_packed), ROOT)


@pytest.fixture(scope="module")
def results(scored: Path) -> Results:
    """Return the results of the winners."""
    return read_results(scored / "results" / "tuned")


@pytest.fixture(scope="module")
def classes(kept_packed: Path) -> np.ndarray:
    """Return the class of each test query."""
    packed = open_packed(kept_packed)
    labels: np.ndarray = packed.samples["label"].to_numpy()[packed.queries("test")]
    return labels


@pytest.fixture(scope="module")
def scores(results: Results, classes: np.ndarray) -> Scores:
    """Return the scores with labels given."""
    return Scores(results, "given", METRIC, classes)


def list_tuned(scored: Path, labels: str) -> list[System]:
    names = [key.split("/")[1] for key in TUNED if key.startswith(labels)]
    return [read_system(scored / "settled", name, labels) for name in names]


@pytest.fixture(scope="module")
def rows(scored: Path, scores: Scores) -> dict[str, Row]:
    """Return the rows with labels given, before they are corrected."""
    found = compare_winners(scores, list_tuned(scored, "given"), "euclidean", {"flat": 0.25})
    return {row.name: row for row in found}


def test_a_row_is_beside_its_reference_and_its_flat_twin(rows: dict[str, Row]) -> None:
    beside = {
        name: (row.reference and row.reference.name, row.twin and row.twin.name)
        for name, row in rows.items()
    }
    assert beside == {
        "euclidean": (None, None),
        "sphvit": (None, None),  # the settings of the reference: its numbers too
        "euclidean_long": (None, None),
        "hypvit": ("euclidean", "flat"),
        "flat": ("euclidean", None),
        "proxies": ("euclidean_long", None),
    }
    assert list(rows) == sorted(rows, key=lambda name: -rows[name].score)


def test_a_difference_is_the_crossed_one_of_the_same_seeds(
    rows: dict[str, Row], scores: Scores, results: Results, classes: np.ndarray
) -> None:
    def stack(name: str) -> np.ndarray:
        places = [winner(f"given/{name}", seed) for seed in SEEDS]
        return stack_queries(results, places, METRIC).astype(float)

    pooled = np.stack(
        [np.nanmean(stack(key.split("/")[1]), axis=1) for key in TUNED if "given" in key]
    )
    expected = measure_gap(stack("hypvit"), stack("flat"), classes, pooled)
    found = rows["hypvit"].twin
    assert found
    assert found.gap == expected
    assert rows["hypvit"].score == pytest.approx(np.nanmean(stack("hypvit")))
    assert rows["hypvit"].spread == pytest.approx(np.nanmean(stack("hypvit"), axis=1).std(ddof=1))
    assert rows["flat"].published == 0.25
    assert math.isnan(rows["hypvit"].published)


def test_p_is_two_sided_and_corrected_over_all_rows(rows: dict[str, Row]) -> None:
    before = [row.reference for row in rows.values() if row.reference]
    assert all(one.p == two_sided(one.gap) for one in before)
    gap = before[0].gap
    assert two_sided(gap) == pytest.approx(2 * min(gap.p_above(0), gap.p_below(0)))
    after = correct_rows(list(rows.values()))
    expected = adjust_holm([one.p for one in before])
    assert [row.reference.p for row in after if row.reference] == expected
    assert min(expected) == pytest.approx(3 * min(one.p for one in before))
    twins = [row.twin.p for row in after if row.twin]
    assert twins == [rows["hypvit"].twin.p]  # type: ignore[union-attr]  # a family of its own


def test_a_verdict_follows_p_and_the_side(rows: dict[str, Row]) -> None:
    found = rows["hypvit"].reference
    assert found
    words = {p: replace(found, p=p).verdict for p in (0.01, 0.06)}
    assert words == {0.01: "higher", 0.06: "not shown"}
    below = replace(found.gap, mean=-0.1)
    assert Compared("a", below, 0.01).verdict == "lower"
    assert Compared("a", below, math.nan).verdict == "one seed, not tested"
    assert rows["euclidean"].verdict == "reference"


def test_one_seed_has_no_p(results: Results, scored: Path, classes: np.ndarray) -> None:
    first = results.metrics[results.metrics["seed"] == 0]
    alone = Scores(replace(results, metrics=first), "given", METRIC, classes)
    rows = compare_winners(alone, list_tuned(scored, "given"), "euclidean", {})
    corrected = {row.name: row for row in correct_rows(rows)}
    assert corrected["hypvit"].verdict == "one seed, not tested"
    assert math.isnan(corrected["hypvit"].spread)


def test_an_ensemble_is_beside_the_reference_and_two_seeds_of_it(
    scores: Scores, results: Results
) -> None:
    geometry, seed = compare_fused(scores, results.metrics, "euclidean")
    assert (geometry.kind, geometry.pair, geometry.weight) == ("similarities", "geometry", 0.4)
    assert geometry.members == ["euclidean", "hypvit"]
    names = [f"ensemble: similarities, {pair}" for pair in ("geometry", "seed")]
    assert geometry.same == scores.compare(*names)
    assert seed.same is None
    assert seed.reference == scores.compare(names[1], "euclidean")
    without = results.metrics.drop(columns="weight")
    assert compare_fused(scores, without, "euclidean") == []
