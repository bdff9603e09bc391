"""The page of training: which runs did not learn, what was recorded, and nothing made up."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from geomix.config.read import load
from geomix.config.stages import TrainingPageParams
from geomix.errors import InputError
from geomix.report.training import build_training, find_fault, list_panels, summarise_training
from tests.conftest import ROOT
from tests.report.conftest import make_study

EPOCHS = 5
RECORDED = ("loss", "spread", "effective_negatives", "radius_mean", "radius_sd")
STUDIES = {
    "compare": make_study(["euclidean", "mixed"], "0-1"),
    "tau": make_study(["euclidean", "mixed"], "0", tau=[0.1, 0.4]),
}


def make_epochs(geometry: str, seed: int, **others: Any) -> list[dict[str, Any]]:
    """Return the rows of a run that learns; a ball has radii and a curvature."""
    rows = []
    for epoch in range(1, EPOCHS + 1):
        row = {"geometry": geometry, "seed": seed, **others, "epoch": epoch}
        row |= {"loss": 4.0 / epoch + 0.1 * seed, "learning_rate": 0.002}
        row |= {"radius_mean": math.nan, "radius_sd": math.nan}
        row |= {"spread": 60.0 + epoch, "effective_negatives": 62.0 - epoch}
        if geometry == "mixed":
            curvatures = {"first.curvature": 0.1 * epoch, "second.curvature": 0.2 * epoch}
            row |= {"radius_mean": 2.0, "radius_sd": 0.5} | curvatures
        rows.append(row)
    return rows


def make_histories() -> dict[str, pd.DataFrame]:
    """Return a history for each study, of runs that all learn."""
    compare = [make_epochs(name, seed) for name in ("euclidean", "mixed") for seed in (0, 1)]
    tau = [make_epochs(name, 0, tau=tau) for name in ("euclidean", "mixed") for tau in (0.1, 0.4)]
    found = {}
    for study, runs in {"compare": compare, "tau": tau}.items():
        rows = [{"cell": f"{at}", **row} for at, run in enumerate(runs) for row in run]
        found[study] = pd.DataFrame(rows)
    return found


Build = Callable[[dict[str, pd.DataFrame]], dict[str, bytes]]


@pytest.fixture
def build(tmp_path: Path, kept_packed: Path) -> Build:
    """Return what builds the page of made-up histories."""
    params = load(TrainingPageParams, path=ROOT / "params.yaml")
    params = params.model_copy(update={"study": STUDIES})

    def build(histories: dict[str, pd.DataFrame]) -> dict[str, bytes]:
        for name, history in histories.items():
            (tmp_path / name).mkdir(exist_ok=True)
            history.to_csv(tmp_path / name / "history.csv", index=False)
        return build_training(tmp_path, kept_packed, params)

    return build


def first_sentence(files: dict[str, bytes]) -> str:
    sentence = files["README.md"].decode().splitlines()[2].strip("*")
    assert len(sentence.split()) <= 30
    return sentence


def test_runs_that_learned_are_said_to_have(build: Build) -> None:
    files = build(make_histories())
    answer = "On patterns, none of 8 runs collapsed, and the loss of each fell."
    assert first_sentence(files) == answer
    page = files["README.md"].decode()
    assert "compare (4), tau (4)." in page
    assert "nan" not in page.partition("<details>")[0]
    widths = [line.count("|") - 1 for line in page.splitlines() if line.startswith("|")]
    assert max(widths) == 7
    assert set(files) == {"README.md", "figure.png", "history.csv"}


def test_runs_that_did_not_learn_are_named(build: Build) -> None:
    histories = make_histories()
    compare, tau = histories["compare"], histories["tau"]
    compare.loc[(compare["cell"] == "3") & (compare["epoch"] == EPOCHS), "spread"] = 0.4
    tau.loc[tau["cell"] == "1", "loss"] = [4.1, 4.08, 4.09, 4.08, 4.07]
    files = build(histories)
    answer = "On patterns, 2 of 8 runs did not learn: 1 collapsed and 1 never left its start."
    assert first_sentence(files) == answer
    page = files["README.md"].decode()
    collapsed = "compare: mixed, seed 1, **collapsed**: spread 61 degrees in the first epoch, 0.4"
    assert f"- {collapsed} in the last." in page
    assert "- tau: euclidean (cosine), tau 0.4, seed 0, **never left its start**: loss 4.1" in page


@pytest.mark.parametrize(
    ("losses", "spreads", "kind"),
    [
        ([4.0, 3.0], [60.0, 60.0], None),
        ([4.0, 3.95], [60.0, 60.0], None),
        ([4.0, 3.97], [60.0, 60.0], "stuck"),
        ([4.0, 5.0], [60.0, 60.0], "stuck"),
        ([-4.0, -3.99], [60.0, 60.0], "stuck"),
        ([-4.0, -4.1], [60.0, 60.0], None),
        ([4.0], [60.0], None),
        ([4.0, 3.0], [0.5, 1.5], None),
        ([4.0, 3.0], [60.0, 0.9], "collapsed"),
        ([4.0], [0.9], "collapsed"),
        ([4.0, 3.0], [math.nan, math.nan], None),
    ],
)
def test_a_run_collapsed_or_never_left_its_start(
    losses: list[float], spreads: list[float], kind: str | None
) -> None:
    epochs = pd.DataFrame({"loss": losses, "spread": spreads})
    found = find_fault(epochs)
    assert (found and found[0]) == kind
    unwatched = find_fault(epochs.drop(columns="spread"))
    assert (unwatched and unwatched[0]) == (kind if kind == "stuck" else None)


def test_the_page_stands_where_a_column_is_absent(build: Build) -> None:
    histories = make_histories()
    dropped = ["spread", "effective_negatives"]
    files = build({name: one.drop(columns=dropped) for name, one in histories.items()})
    assert first_sentence(files) == (
        "On patterns, the loss of all 8 runs fell; whether embeddings collapsed was not recorded."
    )
    row = next(line for line in files["README.md"].decode().splitlines() if "| mixed" in line)
    cells = [cell.strip() for cell in row.split("|")[1:-1]]
    assert cells[3] == cells[5] == "-"
    assert "learned curvature" in list_panels(histories["compare"])
    assert "effective negatives of a term" not in list_panels(
        histories["compare"].drop(columns=dropped)
    )


def test_rows_are_means_over_seeds_of_the_last_epoch() -> None:
    rows = summarise_training(make_histories()["compare"])
    assert [row["geometry"] for row in rows] == ["euclidean", "mixed"]
    flat, mixed = rows
    assert (flat["runs"], flat["learned"]) == (2, {})
    assert flat["first_loss"] == pytest.approx(4.05)
    assert flat["loss"] == pytest.approx(4 / EPOCHS + 0.05)
    assert math.isnan(flat["radius_mean"])
    assert mixed["learned"] == pytest.approx({"first.curvature": 0.5, "second.curvature": 1.0})


def test_one_epoch_says_nothing_of_a_start(build: Build) -> None:
    histories = {name: one[one["epoch"] == 1] for name, one in make_histories().items()}
    answer = "On patterns, 8 runs of one epoch cannot say whether they left their start; none"
    assert first_sentence(build(histories)) == f"{answer} collapsed."


def test_a_missing_history_is_named(build: Build) -> None:
    with pytest.raises(InputError, match=r"compare/history\.csv: not found; expected it"):
        build({})


def test_the_same_histories_give_the_same_bytes(build: Build) -> None:
    assert build(make_histories()) == build(make_histories())
