"""The section on learned trees."""

from pathlib import Path

import pandas as pd

from geomix.report.trees import describe_trees


def test_there_is_no_section_without_a_learned_tree(tmp_path: Path) -> None:
    assert describe_trees(tmp_path) == ""


def test_a_learned_tree_stands_beside_a_random_one_and_k_means(tmp_path: Path) -> None:
    rows = [(0, "kind", 0.5, 0.3, 0.6), (1, "kind", 0.7, 0.3, 0.6), (0, "label", 0.1, 0.2, 0.3), (1, "label", 0.1, 0.2, 0.3)]
    trees = pd.DataFrame(rows, columns=["seed", "level", "learned", "random", "kmeans"]).assign(system="hier")
    other = trees.assign(system="other", kmeans=0.0)
    pd.concat([trees, other]).to_csv(tmp_path / "trees.csv", index=False)
    section = describe_trees(tmp_path)
    random = "purer than a random tree by kind; **not** purer than a random tree by label"
    assert f"- `hier`: {random}; **not** purer than k-means by kind and label." in section
    assert f"- `other`: {random}; purer than k-means by kind and label." in section
    row = next(line for line in section.splitlines() if line.startswith("| hier"))
    assert [cell.strip() for cell in row.strip("|").split("|")] == ["hier", "kind", "60.0 ± 14.1", "30.0 ± 0.0", "60.0 ± 0.0"]
