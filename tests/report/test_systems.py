"""The page of the study over systems."""

from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from geomix.data.packed import open_packed
from geomix.evaluate.cells import system_cells
from geomix.evaluate.ensembles import build_ensembles
from geomix.evaluate.score import score_study
from geomix.report.figures import draw_systems
from geomix.report.intervals import paired_difference
from geomix.report.studies import per_query, read_study
from geomix.report.systems import build_systems
from geomix.report.text import gap
from tests.report.conftest import BALL, SEEDS, SPHERE, write_cell

UNIT = BALL | {"normalize": True}
SPACES = {
    "euclidean": [SPHERE],
    "ball_tuned": [BALL],
    "hypvit": [BALL],
    "hypmix": [SPHERE, UNIT],
    "infonce": [SPHERE],
}
SPACES["ball_hidden"] = [BALL]
PLAIN = {"geometry": "euclidean", "tau": 0.1, "curvature": None, "lam": None}
PLAIN |= {"labels": None, "loss": None, "negatives": None, "batch": None, "augment": None}


def entry(about: str, claim: str | None = None, **settings: Any) -> dict[str, Any]:
    """Give an entry of section `system`."""
    return {"about": about, "claim": claim, "settings": PLAIN | settings}


@pytest.fixture
def params() -> dict[str, Any]:
    """Give what trained the systems, as far as the page reads it."""
    curved: dict[str, Any] = {"geometry": "hyperbolic", "tau": 0.2, "curvature": 0.5}
    return {
        "epochs": 3,
        "backbone": {"name": "vit", "pretrained": False, "checkpoint": None, "patch": 8},
        "batch": {"classes": 2, "images": 2},
        "loss": {"name": "pairwise_cross_entropy"},
        "negatives": {"rule": "uniform"},
        "labels": "given",
        "augment": {"rotate": 0},
        "sweep.tau": {"values": [0.05, 0.1, 0.2]},
        "ensemble": {"systems": ["euclidean", "hypvit"], "weights": [0, 0.5, 1]},
        "system": {
            "euclidean": entry("Plain."),
            "ball_tuned": entry("Tuned.", **curved),
            "hypvit": entry("A ball.", "R@1 99", **curved),
            "hypmix": entry("Released.", negatives={"rule": "debiased", "tau_plus": 0.1}),
            "infonce": entry("No labels.", labels="hidden"),
            "ball_hidden": entry("A ball without labels.", labels="hidden", **curved),
        },
    }


@pytest.fixture
def scored(tmp_path: Path, results: Path, kept_packed: Path) -> Path:
    """Give results of the systems beside those of the baselines; systems with a ball have less noise."""
    packed, runs = open_packed(kept_packed), tmp_path / "runs"
    for name, spaces in SPACES.items():
        for seed in SEEDS:
            cell = {
                "system": name,
                "geometry": name,
                "seed": seed,
                "tau": 0.1,
                "curvature": 0.5,
                "lam": None,
            }
            write_cell(
                runs / name / str(seed), packed, cell, spaces, 2.7 if BALL in spaces else 3.5
            )
    ensembles = build_ensembles(runs, ["euclidean", "hypvit"], [0, 0.5, 1], SEEDS, packed)
    score_study(
        runs, system_cells(SPACES, SEEDS), packed, results / "systems", "systems", ensembles
    )
    return results


@pytest.fixture
def page(scored: Path, kept_packed: Path, params: dict[str, Any], tmp_path: Path) -> str:
    return build_systems(scored, kept_packed, params, tmp_path / "none.csv")["systems.md"].decode()


def table(page: str, heading: str) -> dict[str, dict[str, str]]:
    """Give the rows of the first table after a heading, by system."""
    lines = [
        line
        for line in page.split(f"## {heading}\n")[1].split("\n## ")[0].splitlines()
        if line.startswith("|")
    ]
    head, _, *rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    return {row[0]: dict(zip(head, row, strict=True)) for row in rows}


def test_each_system_is_in_the_table_of_its_labels(page: str) -> None:
    baselines = ["raw pixels", "untrained network"]
    ensembles = ["ensemble: similarities", "ensemble: features"]
    assert list(table(page, "Labels given")) == [
        "euclidean",
        "ball_tuned",
        "hypvit",
        "hypmix",
        *ensembles,
        *baselines,
    ]
    assert list(table(page, "Labels hidden")) == [
        "infonce",
        "ball_hidden",
        "ball_tuned, labels given",
        *baselines,
    ]


def test_tuned_references_are_not_compared_where_labels_are_hidden(page: str) -> None:
    row, own = (
        table(page, "Labels hidden")["ball_tuned, labels given"],
        table(page, "Labels given")["ball_tuned"],
    )
    assert (row["verdict"], row["R@1 minus infonce's, points [95 % interval]"]) == (
        "not comparable",
        "-",
    )
    assert (
        row["changes against infonce"]
        == "geometry hyperbolic, tau 0.2, curvature 0.5, labels given"
    )
    assert row["test R@1, %"] == own["test R@1, %"]
    assert "The tau of `ball_tuned` (0.2) is **at an edge of its grid**" in page


def test_scores_are_those_of_the_results(page: str, scored: Path, kept_packed: Path) -> None:
    metrics = pd.read_csv(scored / "systems" / "metrics.csv")
    rows = metrics[
        (metrics["system"] == "hypvit")
        & (metrics["split"] == "test")
        & (metrics["similarity"] == "own")
    ]
    row = table(page, "Labels given")["hypvit"]
    assert row["test R@1, %"].startswith(f"{100 * rows['recall_at_1'].mean():.1f} ±")
    assert row["test MAP@R, %"].startswith(f"{100 * rows['map_at_r'].mean():.1f} ±")
    study = read_study(scored / "systems")
    hits = [
        per_query(study, system_cells([name], SEEDS), "test", "recall_at_1")
        for name in ("hypvit", "euclidean")
    ]
    packed = open_packed(kept_packed)
    classes = packed.samples["label"].to_numpy()[packed.queries("test")]
    difference = paired_difference(hits[0], hits[1], classes)
    assert row["R@1 minus euclidean's, points [95 % interval]"] == gap(difference)
    assert row["verdict"] == difference.verdict


def test_the_reference_is_not_compared_with_itself(page: str) -> None:
    for heading, name in (("Labels given", "euclidean"), ("Labels hidden", "infonce")):
        row = table(page, heading)[name]
        assert (row["verdict"], row[f"changes against {name}"]) == ("reference", "nothing")


def test_claims_and_changes_stand_beside_the_scores(page: str) -> None:
    rows = table(page, "Labels given")
    assert (
        rows["hypvit"]["changes against euclidean"] == "geometry hyperbolic, tau 0.2, curvature 0.5"
    )
    assert rows["hypvit"]["the paper's claim"] == "R@1 99"
    assert rows["euclidean"]["the paper's claim"] == "-"
    assert rows["ensemble: features"]["changes against euclidean"].startswith(
        "features of euclidean and hypvit, weight "
    )


def test_released_hypmix_ranks_as_the_cosine(page: str) -> None:
    assert table(page, "Labels given")["hypmix"]["rank correlation with cosine"] == "1.0000"
    assert "HypMix as released has a rank correlation of 1.0000 with cosine, as it must be" in page


def test_rows_that_correct_for_what_is_not_there_are_named(page: str) -> None:
    assert "They can matter where labels are hidden. Here that is hypmix." in page


def test_the_table_of_costs_is_that_which_was_measured(
    page: str, scored: Path, kept_packed: Path, params: dict[str, Any], tmp_path: Path
) -> None:
    assert table(page, "Labels given")["hypvit"]["time of the loss"] == "not measured"
    path = tmp_path / "costs.csv"
    measures = {
        "implementation": ["hypvit"],
        "ratio": [1.234],
        "extra_mib": [1.5],
        "baseline_extra_mib": [0.25],
    }
    pd.DataFrame(measures).to_csv(path)
    measured = table(
        build_systems(scored, kept_packed, params, path)["systems.md"].decode(), "Labels given"
    )
    assert (
        measured["hypvit"]["time of the loss"],
        measured["hypvit"]["memory of the loss, MiB"],
    ) == ("1.23", "+1.2")


def test_a_study_without_hidden_labels_has_no_such_table(
    scored: Path, kept_packed: Path, params: dict[str, Any]
) -> None:
    for name in ("infonce", "ball_hidden"):
        del params["system"][name]
    page = build_systems(scored, kept_packed, params, Path("none.csv"))["systems.md"].decode()
    assert "## Labels hidden" not in page
    assert "## Labels given" in page


def test_links_of_the_page_lead_somewhere(
    scored: Path, kept_packed: Path, params: dict[str, Any]
) -> None:
    files = build_systems(scored, kept_packed, params, Path("none.csv"))
    assert {part.split(")")[0] for part in files["systems.md"].decode().split("](")[1:]} == set(
        files
    ) - {"systems.md"}


def test_the_figure_has_a_panel_for_each_kind_of_labels_and_the_same_bytes_every_time() -> None:
    rows = pd.DataFrame(
        {"recall_at_1": [0.2, 0.6], "recall_at_1_sd": [0.1, float("nan")]}, index=["a", "b"]
    )
    one, two, again = (
        draw_systems(groups, {"pixels": 0.4})
        for groups in ({"given": rows}, {"given": rows, "hidden": rows}, {"given": rows})
    )
    assert one == again
    assert len(two) > len(one)
