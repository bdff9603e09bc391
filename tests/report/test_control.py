"""The calibration: curvature must be found on the tree, and only there, in each seed."""

import re
from collections.abc import Callable
from itertools import product
from pathlib import Path
from typing import TypeAlias

import numpy as np
import pandas as pd
import pytest

from geomix.config.read import load
from geomix.config.stages import StudyParams
from geomix.config.studies import Control
from geomix.data.packed import open_packed
from geomix.errors import InputError
from geomix.files import write_json
from geomix.report.calibration import calibrated, open_uncalibrated
from geomix.report.control import (
    Check,
    build_control,
    compare_repeats,
    draw_groups,
    find_limit,
    list_checks,
)
from geomix.report.render import write_files
from geomix.report.results import Results
from geomix.report.stresses import list_settings
from tests.conftest import ROOT
from tests.report.conftest import MACHINE

Table: TypeAlias = pd.DataFrame
# Test stress by data set and outputs: of euclidean, dot and flat, and of balls by rising curvature.
# The figures are those of a trial with one seed.
STRESS = {
    ("tree", 3): ([0.114, 0.119, 0.092], [0.092, 0.089, 0.066, 0.060, 0.079]),
    ("tree", 2): ([0.111, 0.149, 0.147], [0.147, 0.144, 0.121, 0.099, 0.112]),
    ("grid", 3): ([0.556, 0.046, 0.0005], [0.0005, 0.001, 0.012, 0.076, 0.133]),
    ("grid", 2): ([0.592, 0.174, 0.0005], [0.0005, 0.001, 0.016, 0.094, 0.141]),
}


@pytest.fixture(scope="module")
def control() -> Control:
    """Return the calibration of params.yaml."""
    return load(StudyParams, path=ROOT / "params.yaml").control


def make_rows(control: Control, dataset: str, part: str) -> Table:
    """Return the results of a part: learning rate 0.01 is the best, and seeds differ a little."""
    study, rows = control.parts[part], []
    for geometry, seed in product(study.geometries, study.seeds):
        for values in product(*study.axes.values()):
            setting = {**study.fixed, **dict(zip(study.axes, values, strict=True))}
            others, balls = STRESS[dataset, setting["head.outputs"]]
            if "curvature" in study.axes:
                level = balls[study.axes["curvature"].index(setting["curvature"])]
            else:
                level = others[study.geometries.index(geometry)]
            level *= 1 + 0.02 * seed + 0.5 * (setting["optim.learning_rate"] != 0.01)
            cell = {"cell": f"{geometry}-{values}/{seed}", "geometry": geometry, "seed": seed}
            cell |= {"curvature": np.nan} | setting
            rows += [
                cell | {"split": split, "vector": "head", "similarity": "own"} | {"stress": value}
                for split, value in (("train", level / 2), ("val", 1.1 * level), ("test", level))
            ]
    return pd.DataFrame(rows)


@pytest.fixture
def table(control: Control) -> Table:
    """Return the results of all parts, to be changed."""
    tables = [
        make_rows(control, dataset, part).assign(dataset=dataset)
        for dataset in control.of.sets
        for part in control.parts
    ]
    return pd.concat(tables, ignore_index=True)


def checks_of(table: Table, control: Control) -> dict[tuple[str, str], Check]:
    """Return the checks at 3 outputs by data set and name."""
    checks = list_checks(table, list_settings(table), 3, control)
    return {(check.dataset, check.name): check for check in checks}


def where(table: Table, **values: object) -> pd.Series:
    """Return which rows of 3 outputs and the best learning rate have given values."""
    rows = (table["head.outputs"] == 3) & (table["optim.learning_rate"] == 0.01)
    for key, value in values.items():
        rows &= table[key] == value
    return rows


def failing(table: Table, control: Control) -> list[tuple[str, str]]:
    """Return the checks that do not come out."""
    return [key for key, check in checks_of(table, control).items() if not check.passed]


def test_a_ball_that_wins_at_home_alone_passes(table: Table, control: Control) -> None:
    checks = checks_of(table, control)
    assert len(checks) == 3 + 2 + 1 + 4 + 1 + 1
    assert not failing(table, control)
    found = checks["tree", "the ball at c 1 is below dot in each seed"].found
    assert found == "0.0600 0.0612 0.0624 against 0.1190 0.1214 0.1238"


@pytest.mark.parametrize(
    ("rows", "stress", "failed"),
    [
        (
            {"dataset": "tree", "geometry": "dot", "seed": 1},
            0.061,
            ["the ball at c 1 is below dot in each seed"],
        ),
        (
            {"dataset": "tree", "curvature": 1, "seed": 2},
            0.096,
            ["the ball at c 1 is below flat_free in each seed"],
        ),
        # the mean at c 0 is 0.0938
        ({"dataset": "tree", "curvature": 0.01}, 0.0943, []),
        (
            {"dataset": "tree", "curvature": 0.01},
            0.0945,
            ["stress falls with c from 0 to an optimum"],
        ),
        (
            {"dataset": "tree", "curvature": 0.01},
            0.05,  # the smallest c is no dose
            ["stress falls with c from 0 to an optimum"],
        ),
        (
            {"dataset": "grid", "curvature": 0.1, "seed": 0},
            0.0004,
            ["flat_free is below the ball at c 0.1 in each seed"],
        ),
        ({"dataset": "grid", "curvature": 0.01, "seed": 0}, 0.0004, []),  # equal at this c
        ({"dataset": "grid", "curvature": 4}, 0.07, ["stress rises with c from 0"]),
        ({"dataset": "grid", "curvature": 0, "seed": 0}, 0.00051, ["the ball at c 0 is flat_free"]),
        ({"dataset": "grid", "curvature": 0, "seed": 0}, 0.0005 + 5e-7, []),
    ],
)
def test_what_does_not_come_out_fails(
    table: Table, control: Control, rows: dict[str, object], stress: float, failed: list[str]
) -> None:
    table.loc[where(table, split="test", **rows), "stress"] = stress
    assert failing(table, control) == [(str(rows["dataset"]), name) for name in failed]


def test_val_chooses_the_learning_rate_and_the_ball(table: Table, control: Control) -> None:
    better = (table["split"] == "test") & (table["optim.learning_rate"] == 0.03)
    table.loc[better, "stress"] /= 10  # test does not choose
    assert {one.rate for one in list_settings(table)} == {0.01}
    table.loc[where(table, split="val", dataset="tree", curvature=0.1), "stress"] = 0.01
    names = [name for _, name in checks_of(table, control)]
    assert names[0] == "the ball at c 0.1 is below euclidean in each seed"


def test_a_ball_without_a_flat_pair_is_not_equal_to_it(table: Table, control: Control) -> None:
    table.loc[table["geometry"] == "flat_free", "optim.learning_rate"] *= 7
    assert not checks_of(table, control)["tree", "the ball at c 0 is flat_free"].passed


def test_a_calibration_without_flat_space_is_refused(control: Control) -> None:
    bare = control.model_copy(update={"own": {"tree": {}}})
    with pytest.raises(InputError, match=r"control.own.tree.geometry: found no control of flat"):
        find_limit(bare, "tree")


@pytest.mark.parametrize(("seeds", "count"), [(6, 10), (7, 70), (8, 200)])
def test_groups_are_disjoint_and_drawn_once(seeds: int, count: int) -> None:
    groups = draw_groups(seeds)
    assert len({frozenset([first, second]) for first, second in groups}) == len(groups) == count
    assert all(len({*first, *second}) == 6 for first, second in groups)
    assert draw_groups(seeds) == groups


def make_repeats(hits: np.ndarray) -> Results:
    """Return repeats of one setting, hits (S, Q)."""
    cells = [f"flat_free-{seed}" for seed in range(len(hits))]
    search = {"split": "test", "vector": "head", "similarity": "own"}
    rows = [
        {"cell": cell, "geometry": "flat_free", "seed": seed} | search
        for seed, cell in enumerate(cells)
    ]
    keys = (f"{cell}/test/head/own/recall_at_1" for cell in cells)
    return Results(pd.DataFrame(rows), dict(zip(keys, hits, strict=True)), [MACHINE])


def test_repeats_that_differ_are_counted() -> None:
    classes = np.repeat(np.arange(10), 4)
    hits = np.zeros((6, 40))
    assert compare_repeats(make_repeats(hits), classes).share == 0
    hits[:3] = 1  # one of the ten pairs of groups has all of these on one side
    repeats = compare_repeats(make_repeats(hits), classes)
    assert (repeats.draws, repeats.differ) == (10, 1)
    assert (repeats.share, repeats.largest) == (0.1, 1)
    with pytest.raises(InputError, match="found 5 seeds of flat_free, expected at least 6"):
        compare_repeats(make_repeats(hits[:5]), classes)


Build = Callable[[Table], dict[str, bytes]]


@pytest.fixture
def build(tmp_path: Path, kept_packed: Path, control: Control) -> Build:
    """Return what builds the page of a table."""

    def build(table: Table) -> dict[str, bytes]:
        for dataset, part in product(control.of.sets, control.parts):
            rows = table[table["dataset"] == dataset]
            study = control.parts[part]
            rows = rows[rows["geometry"].isin(study.geometries)]
            rows = rows[rows["head.outputs"] == study.fixed["head.outputs"]]
            folder = tmp_path / "control" / dataset / part
            folder.mkdir(parents=True)
            rows.drop(columns="dataset").to_csv(folder / "metrics.csv", index=False)
            write_json(folder / "machine.json", [MACHINE])
        queries = len(open_packed(kept_packed).queries("test"))
        hits = (np.random.default_rng(0).random((8, queries)) < 0.7).astype(float)
        repeats, aa = make_repeats(hits), tmp_path / "aa"
        aa.mkdir()
        repeats.metrics.to_csv(aa / "metrics.csv", index=False)
        np.savez(aa / "per_query.npz", allow_pickle=False, **repeats.per_query)
        write_json(aa / "machine.json", [MACHINE])
        return build_control(tmp_path / "control", aa, kept_packed, control)

    return build


def first_line(page: bytes) -> str:
    """Return the first line below the title."""
    return page.decode().splitlines()[2]


def test_the_page_says_pass_and_has_every_figure(
    build: Build, table: Table, tmp_path: Path
) -> None:
    files = build(table)
    assert set(files) == {"control.md", "control.png", "control.csv"}
    page = files["control.md"].decode()
    assert first_line(files["control.md"]).startswith("**pass**: on tree the ball beats every ")
    assert len(first_line(files["control.md"]).split()) <= 30
    assert "not calibrated" not in page
    assert "nan" not in page.partition("<details>")[0]
    widths = [line.count("|") - 1 for line in page.splitlines() if line.startswith("|")]
    assert max(widths) <= 7
    assert set(re.findall(r"\]\(([^)]*)\)", page)) == {"control.png"}
    assert "0.0612 ± 0.0012" in page  # the ball at c 1 on the tree
    write_files(files, tmp_path / "reports")
    assert calibrated(tmp_path / "reports" / "control.csv")
    assert (pd.read_csv(tmp_path / "reports" / "control.csv")["outcome"] == "yes").all()


def test_the_page_says_fail_and_where(build: Build, table: Table, tmp_path: Path) -> None:
    table.loc[where(table, dataset="tree", geometry="dot", split="test"), "stress"] = 0.01
    files = build(table)
    assert first_line(files["control.md"]) == (
        "**fail**: 1 of 13 checks did not come out, first on tree: the ball at c 1 is below dot in"
        " each seed."
    )
    assert "**not calibrated**" in files["control.md"].decode()
    assert not calibrated(tmp_path / "reports" / "control.csv")  # there is no table
    write_files(files, tmp_path / "reports")
    assert not calibrated(tmp_path / "reports" / "control.csv")
    outcomes = pd.read_csv(tmp_path / "reports" / "control.csv").set_index("check")["outcome"]
    assert list(outcomes[outcomes == "no"].index) == ["the ball at c 1 is below dot in each seed"]


def test_other_pages_open_with_a_failed_calibration(tmp_path: Path) -> None:
    table, page = tmp_path / "control.csv", {"README.md": b"# Title\n\nAnswer.\n", "a.png": b"1"}
    warned = open_uncalibrated(page, table, tmp_path / "glyphs" / "tau")
    text = warned["README.md"].decode()
    assert text.startswith("# Title\n\n**Not calibrated: the [calibration](../../control.md) did")
    assert text.endswith("\n\nAnswer.\n")
    assert warned["a.png"] == b"1"
    table.write_text("check,dataset,outcome\na,tree,yes\nb,grid,no\n")
    assert open_uncalibrated(page, table, tmp_path) != page
    table.write_text("check,dataset,outcome\na,tree,yes\nb,grid,yes\n")
    assert open_uncalibrated(page, table, tmp_path) == page
