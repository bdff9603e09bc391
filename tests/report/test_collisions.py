"""How often a drawn negative has the class of its anchor."""

from pathlib import Path

import numpy as np
import pytest

from geomix.config.stages import PageParams
from geomix.config.studies import Study
from geomix.data.packed import Packed, open_packed
from geomix.evaluate.score import score_study
from geomix.report.collisions import list_collisions
from geomix.report.page import build_page
from tests.report.conftest import SPACES, list_cells, write_cell


def make_study(**pinned: object) -> Study:
    run = {"geometries": ["flat"], "seeds": ["0"]}
    over = {"negatives": {"count": [1, 3, 50]}}
    return Study.model_validate({"run": run, "over": over, "pinned": pinned})


def test_the_chance_is_that_of_draws_with_return(packed: Packed) -> None:
    found = list_collisions(make_study(labels="hidden"), packed, "given")
    random = np.random.default_rng(0)  # 4 classes of train, the anchor's is 0
    for count, chance in found.items():
        drawn = (random.integers(0, 4, (20_000, count)) == 0).any(1).mean()
        assert chance == pytest.approx(drawn, abs=0.01)


def test_given_labels_never_collide(packed: Packed) -> None:
    assert list_collisions(make_study(), packed, "given") == {1: 0, 3: 0, 50: 0}
    assert list_collisions(make_study(), packed, "hidden")[50] > 0.9


def test_other_studies_have_none(packed: Packed) -> None:
    run = {"geometries": ["flat"], "seeds": ["0"]}
    study = Study.model_validate({"run": run, "over": {"tau": [1, 2]}})
    assert list_collisions(study, packed, "hidden") == {}


def test_the_page_of_a_study_of_the_number_has_the_chances(
    tmp_path: Path, kept_packed: Path, kept_results: Path, params: PageParams
) -> None:
    study, packed = make_study(labels="hidden"), open_packed(kept_packed)
    for place, cell in list_cells(study):
        write_cell(tmp_path / "runs" / place, packed, cell, SPACES["flat"], 2.0)
    results = tmp_path / "results"
    axes = list(study.axes)
    score_study(tmp_path / "runs", study.cells(), packed, results, "counted", axes=axes)
    hidden = params.model_copy(update={"labels": "hidden"})
    files = build_page("counted", study, results, kept_results / "baselines", kept_packed, hidden)
    page = files["README.md"].decode()
    rows = [
        line.split("|")[1:3] for line in page.splitlines() if line.startswith(("| 1 ", "| 50 "))
    ]
    assert [row[1].strip() for row in rows if len(row) == 2][-2:] == ["25.0", "100.0"]
    assert "two views of each of 64 samples" in page
