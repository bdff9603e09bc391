"""The section on learned trees."""

from pathlib import Path

import pandas as pd
import pytest

from geomix.report.trees import describe_trees

ROWS = [
    (0, "kind", 0.5, 0.3, 0.6, 3),
    (1, "kind", 0.7, 0.3, 0.6, 5),
    (0, "label", 0.1, 0.2, 0.3, 3),
    (1, "label", 0.1, 0.2, 0.3, 5),
]


@pytest.fixture
def trees() -> pd.DataFrame:
    """Give the results of a tree that is purer than one of k-means in one of two seeds."""
    columns = ["seed", "level", "learned", "random", "kmeans", "holding"]
    return pd.DataFrame(ROWS, columns=columns).assign(system="hier", fullest=0.4)


def test_there_is_no_section_without_a_learned_tree(tmp_path: Path) -> None:
    assert describe_trees(tmp_path) == ""


def test_a_tree_is_purer_where_it_is_in_every_seed(tmp_path: Path, trees: pd.DataFrame) -> None:
    other = trees.assign(system="other", kmeans=0.0)
    pd.concat([trees, other]).to_csv(tmp_path / "trees.csv", index=False)
    section = describe_trees(tmp_path)
    places = "test images lie at 3 and 5 of its nodes, by seed"
    random = "purer than a random tree by kind; **not** purer than a random tree by label"
    kmeans = "purer than k-means in some seeds only by kind; **not** purer than k-means by label"
    assert f"- `hier`: {places}; {random}; {kmeans}." in section
    assert f"- `other`: {places}; {random}; purer than k-means by kind and label." in section
    row = next(line for line in section.splitlines() if line.startswith("| hier"))
    assert [cell.strip() for cell in row.strip("|").split("|")] == [
        "hier",
        "kind",
        "60.0 ± 14.1",
        "30.0 ± 0.0",
        "60.0 ± 0.0",
    ]


def test_nothing_is_claimed_of_a_tree_with_nearly_all_images_at_one_node(
    tmp_path: Path, trees: pd.DataFrame
) -> None:
    trees.assign(fullest=[0.5, 0.98, 0.5, 0.98], random=0.0).to_csv(
        tmp_path / "trees.csv", index=False
    )
    section = describe_trees(tmp_path)
    assert (
        "the fullest holds 50.0 % and 98.0 % of them, so **nothing is claimed of this tree**."
        in section
    )
    assert "purer than" not in section
