"""The page of hard negatives: its first sentence, its tables, and that bytes repeat."""

import io
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from geomix.analyze.negatives import analyze_negatives
from geomix.analyze.trained import Trained
from geomix.config.sections import Batch
from geomix.config.stages import NegativesPageParams
from geomix.config.studies import Report
from geomix.errors import InputError
from geomix.files import write_json
from geomix.report.gap import Gap, measure_gap
from geomix.report.hardest import build_blocks
from geomix.report.negatives import build_negatives, find_roles
from geomix.report.text import percent
from geomix.report.weights import Statement, divide
from tests.analyze.conftest import write_trained
from tests.report.conftest import GEOMETRIES

STUDIES = {"tuned": "tau", "beside": "compare"}


def page_params(trained: Trained) -> NegativesPageParams:
    return NegativesPageParams.model_construct(
        study=trained.studies, geometry=GEOMETRIES, report=Report(queries=3, answer="tau")
    )


def build(tmp_path: Path, packed_folder: Path, seeds: str) -> dict[str, bytes]:
    trained = write_trained(tmp_path / "runs", packed_folder, seeds)
    analyze_negatives(trained, Batch(classes=32, images=4), tmp_path)
    return build_negatives(tmp_path / "negatives", packed_folder, page_params(trained))


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory, kept_packed: Path) -> Trained:
    return write_trained(tmp_path_factory.mktemp("runs"), kept_packed, "0")


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory, kept_packed: Path) -> dict[str, bytes]:
    return build(tmp_path_factory.mktemp("three"), kept_packed, "0-2")


def test_the_first_sentence_is_the_answer(files: dict[str, bytes]) -> None:
    first = files["README.md"].decode().splitlines()[2]
    assert re.match(
        r"\*\*On patterns, the 10 hardest negatives .* between flat and hyperbolic than"
        r" between seeds: networks share \d+\.\d % against \d+\.\d % \(.*\)\.\*\*$",
        first,
    )
    assert len(first.split()) <= 30
    text = " ".join(files["README.md"].decode().split())
    assert "Both are of study compare, at one temperature." in text
    assert re.search(r"val chose for each, the 10 hardest .* between euclidean and hyp", text)


def test_tables_have_at_most_seven_columns_and_no_hole(files: dict[str, bytes]) -> None:
    rows = [line for line in files["README.md"].decode().splitlines() if line.startswith("|")]
    assert len(rows) > 40
    assert max(line.count("|") for line in rows) <= 8
    assert not re.search(r"\| *\||nan", "\n".join(rows))


def test_each_file_that_the_page_names_is_there(files: dict[str, bytes]) -> None:
    named = set(re.findall(r"\]\(([\w.]+)\)", files["README.md"].decode()))
    assert named == set(files) - {"README.md"}
    for name in named:
        if name.endswith(".png"):
            assert Image.open(io.BytesIO(files[name])).width <= 1500


def test_the_same_results_give_the_same_bytes(
    files: dict[str, bytes], tmp_path: Path, kept_packed: Path
) -> None:
    assert build(tmp_path, kept_packed, "0-2") == files


def test_one_seed_is_not_tested(tmp_path: Path, kept_packed: Path, files: dict[str, bytes]) -> None:
    page = build(tmp_path, kept_packed, "0")["README.md"].decode()
    for words in ("95 %", "is a test of its own"):
        assert words in files["README.md"].decode()
        assert words not in page
    assert "are not tested against those of seeds" in page.splitlines()[2]
    assert "one seed, not tested" in page


def test_cells_without_classes_have_a_page_that_says_so(
    tmp_path: Path, kept_packed: Path, trained: Trained
) -> None:
    write_json(tmp_path / "facts.json", STUDIES | {"task": "lineage"})
    files = build_negatives(tmp_path, kept_packed, page_params(trained))
    assert list(files) == ["README.md"]
    assert "cells are trained on lineages" in files["README.md"].decode()


def test_a_missing_file_is_named(tmp_path: Path, kept_packed: Path, trained: Trained) -> None:
    write_json(tmp_path / "facts.json", STUDIES | {"task": "class"})
    with pytest.raises(InputError, match=r"hardest\.npz: not found; expected it from an earlier"):
        build_negatives(tmp_path, kept_packed, page_params(trained))


def gap(mean: float, reach: float) -> Gap:
    """Return a gap of two seeds whose interval is about mean +- reach."""
    values = np.array([[mean] * 30, [mean] * 30]) + reach / 2 * np.random.default_rng(0).normal(
        size=(2, 30)
    )
    return measure_gap(values, np.zeros_like(values), np.arange(30))


@pytest.mark.parametrize(
    ("cosine", "flat", "verdict"),
    [
        (2, 1, "yes"),
        (2, 0, "yes, but not against flat"),
        (-2, 1, "no, it is smaller"),
        (0, 1, "not decided"),
    ],
)
def test_a_statement_holds_against_the_cosine_and_against_flat(
    cosine: float, flat: float, verdict: str
) -> None:
    gaps = {"euclidean": gap(cosine, 0.5), "flat": gap(flat, 0.5)}
    one = Statement("hardest", "at tau 1", True, {}, gaps, lambda gap: percent(gap.mean))
    assert one.verdict == verdict
    assert one.larger == (cosine > 0)


def test_values_of_a_ratio_of_means_have_it_as_their_mean_and_cover_it() -> None:
    random = np.random.default_rng(0)
    wholes = random.gamma(0.5, size=(400, 200))
    parts = wholes * random.uniform(0.2, 0.6, size=wholes.shape)
    values = divide(parts, wholes)
    assert values.mean(1) == pytest.approx(parts.mean(1) / wholes.mean(1))
    errors = values.std(1, ddof=1) / np.sqrt(values.shape[1])
    assert np.abs((values.mean(1) - 0.4) / errors < 1.96).mean() > 0.9
    assert np.isnan(divide(np.zeros((1, 3)), np.zeros((1, 3)))).all()


def test_the_share_of_the_hardest_is_its_p_over_the_sum_of_p(files: dict[str, bytes]) -> None:
    page = files["README.md"].decode()
    section = page.partition("### The hardest negative's share")[2].partition("###")[0]
    row = next(line for line in section.splitlines() if "val chose for each" in line)
    trained = page.partition("### As trained")[2].partition("###")[0]
    weights = [line.split("|")[1:-1] for line in trained.splitlines() if "| hyperbolic " in line]
    shares = [100 * float(one[4]) / float(one[3]) for one in weights]
    assert min(abs(float(row.split("|")[2]) - share) for share in shares) < 0.5
    assert "Of all the weight that the negatives of a term have, the hardest has more in" in page


def test_statements_are_about_the_first_ball_the_cosine_and_a_flat_distance() -> None:
    found = find_roles(["flat", "euclidean", "hybrid", "hyperbolic"], GEOMETRIES)
    assert found is not None
    assert (found.curved, found.reference, found.control) == ("hybrid", "euclidean", "flat")
    found = find_roles(["euclidean", "flat"], GEOMETRIES)
    assert found is not None
    assert (found.curved, found.reference, found.control) == ("flat", "euclidean", None)
    assert find_roles(["flat"], GEOMETRIES) is None


def test_a_negative_is_marked_where_no_other_row_has_it(trained: Trained) -> None:
    lists = [np.array([[3, 4, 5, 6, 7, 8, 9]]), np.array([[8, 9, 3, 4, 5, 10, 7]])]
    (block,) = build_blocks(trained.packed, np.array([0]), np.array([1]), lists)
    marks = [[alone for _, alone in row] for row in block.rows]
    assert marks == [
        [False, False, False, True, True, False],
        [False, True, False, False, False, True],
    ]
    assert block.anchor[1] == trained.packed.samples["label"].iloc[0]


def test_tables_are_those_of_the_analysis(files: dict[str, bytes]) -> None:
    table = pd.read_csv(io.BytesIO(files["statements.csv"]))
    assert set(table["against"]) == {"euclidean", "flat"}
    assert (table["low"] <= table["high"]).all()
