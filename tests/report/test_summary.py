"""The page of the default flow: the study that answers, then the others."""

import json
from pathlib import Path

import pytest

from geomix.report.findings import Findings
from geomix.report.summary import build_summary
from tests.report.conftest import GEOMETRIES, STUDIES


@pytest.fixture
def files(kept_results: Path, kept_packed: Path) -> dict[str, bytes]:
    """Return the files of the page."""
    return build_summary(kept_results, kept_packed, STUDIES, "tau", GEOMETRIES)


def test_numbers_are_those_that_each_study_found(
    files: dict[str, bytes], found: dict[str, Findings]
) -> None:
    numbers = json.loads(files["metrics.json"])
    assert list(numbers) == ["tau", "compare", "curvature", "rate", "grid"]
    for name, one in found.items():
        for geometry, row in one.chosen.items():
            said = numbers[name][geometry]
            assert said["test_recall_at_1"] == pytest.approx(row["recall_at_1"], abs=1e-6)
            assert {axis: said[axis] for axis in one.axes} == {axis: row[axis] for axis in one.axes}


def test_the_page_answers_and_leads_to_all_others(files: dict[str, bytes]) -> None:
    page = files["README.md"].decode()
    assert page.splitlines()[2].startswith("**On patterns, ")
    for name in STUDIES:
        assert f"({name}/README.md)" in page
    assert "(dataset/README.md)" in page
    assert "nan" not in page.partition("<details>")[0]
