"""The learned trees: purer than another where they are so in every seed."""

from pathlib import Path

import pandas as pd
import pytest

from geomix.report.trees import read_trees

ROWS = [
    (0, "kind", 0.5, 0.3, 0.6, 3),
    (1, "kind", 0.7, 0.3, 0.6, 5),
    (0, "label", 0.1, 0.2, 0.3, 3),
    (1, "label", 0.1, 0.2, 0.3, 5),
]


@pytest.fixture
def trees() -> pd.DataFrame:
    """Return results of a tree that is purer than one of k-means in one of two seeds."""
    columns = ["seed", "level", "learned", "random", "kmeans", "holding"]
    return pd.DataFrame(ROWS, columns=columns).assign(system="hier", fullest=0.4)


def test_there_may_be_no_learned_tree(tmp_path: Path) -> None:
    assert read_trees(tmp_path) == []


def test_a_tree_is_purer_where_it_is_in_every_seed(tmp_path: Path, trees: pd.DataFrame) -> None:
    other = trees.assign(system="other", kmeans=0.0)
    pd.concat([trees, other]).to_csv(tmp_path / "trees.csv", index=False)
    first, second = read_trees(tmp_path)
    assert (first.system, first.holding, first.fullest) == ("hier", [3, 5], [0.4, 0.4])
    assert first.purer["a random tree"] == {"every": ["kind"], "some": [], "none": ["label"]}
    assert first.purer["k-means"] == {"every": [], "some": ["kind"], "none": ["label"]}
    assert second.purer["k-means"] == {"every": ["kind", "label"], "some": [], "none": []}
    assert first.purity["kind"]["learned"] == pytest.approx((0.6, 0.1414214))
    assert first.purity["label"]["kmeans"] == pytest.approx((0.3, 0))
    assert not first.says_nothing


def test_nothing_is_claimed_of_a_tree_with_nearly_all_images_at_one_node(
    tmp_path: Path, trees: pd.DataFrame
) -> None:
    full = trees.assign(fullest=[0.5, 0.98, 0.5, 0.98])
    full.to_csv(tmp_path / "trees.csv", index=False)
    assert read_trees(tmp_path)[0].says_nothing
