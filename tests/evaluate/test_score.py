"""Scores of a study: right where neighbours are known, complete, refused when they do not fit."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from torch import Tensor

from geomix.data.packed import Packed
from geomix.errors import InputError
from geomix.evaluate import classes, score
from geomix.evaluate.acted import describe_acted, other_class
from geomix.evaluate.choose import choose_values
from geomix.evaluate.classes import choose_ranks
from geomix.evaluate.rounded import recall_rounded
from geomix.evaluate.score import find_task, remove_strays, score_study
from geomix.evaluate.workers import map_in_order
from geomix.files import read_json, write_json
from geomix.geometry.geometry import geometry_from
from geomix.retrieval.search import nearest

MACHINE = {"torch": "2", "device": "CPU"}
BALL = [
    {
        "name": "ball",
        "weight": 1.0,
        "space": "ball",
        "curvature": 1.0,
        "scale": 1.0,
        "clip_radius": None,
    }
]


def write_cell(folder: Path, packed: Packed, spaces: list[dict[str, Any]], spread: float) -> None:
    """Write a cell whose head tells classes apart for a small spread; its backbone is noise."""
    random = np.random.default_rng(0)
    folder.mkdir(parents=True)
    vectors = {}
    for split in ("val", "test"):
        labels = pd.factorize(packed.samples["label"].to_numpy()[packed.rows(split)])[0]
        centres = np.eye(6)[labels] * (1 + labels[:, None] % 3)  # radii differ between classes
        vectors[f"{split}_head"] = (centres + spread * random.normal(size=centres.shape)).astype(
            np.float32
        )
        vectors[f"{split}_backbone"] = random.normal(size=(len(labels), 9)).astype(np.float32)
    np.savez(folder / "embeddings.npz", **vectors)
    cell = {"geometry": "ball", "seed": 0, "tau": 0.1, "curvature": 1.0, "lam": None}
    write_json(
        folder / "geometry.json", {"cell": cell, "tau": 0.1, "spaces": spaces, "machine": MACHINE}
    )


def test_a_study_is_scored_cell_by_cell_split_by_split(packed: Packed, tmp_path: Path) -> None:
    write_cell(tmp_path / "runs" / "good", packed, BALL, 1e-3)
    write_cell(tmp_path / "runs" / "bad", packed, BALL, 30.0)
    write_cell(tmp_path / "runs" / "left over", packed, BALL, 1e-3)
    score_study(tmp_path / "runs", ["good", "bad"], packed, tmp_path / "out", "study")
    metrics = pd.read_csv(tmp_path / "out" / "metrics.csv").set_index(
        ["cell", "split", "vector", "similarity"]
    )
    assert len(metrics) == 2 * 2 * 3
    assert metrics.loc["good", "test", "head", "own"]["recall_at_1"] == 1
    assert metrics.loc["good", "test", "head", "own"]["map_at_r"] == 1
    assert metrics.loc["bad", "test", "head", "own"]["recall_at_1"] < 0.7
    assert metrics.loc["good", "val", "backbone", "cosine"]["recall_at_1"] < 0.7
    own = metrics.loc["good", "test", "head", "own"]
    assert own["radius_mean"] == pytest.approx(1.75, abs=0.01)  # radii 1, 2, 3, 1
    assert own["clipped_share"] == 0
    assert 0 < own["spread_degrees"] < 90
    assert own["rank_correlation"] < 0.99


def test_what_acted_is_told_of_the_head_in_its_own_similarity_alone(
    packed: Packed, tmp_path: Path
) -> None:
    write_cell(tmp_path / "runs" / "cell", packed, BALL, 0.3)
    score_study(tmp_path / "runs", ["cell"], packed, tmp_path / "out", "study")
    metrics = pd.read_csv(tmp_path / "out" / "metrics.csv").set_index(
        ["split", "vector", "similarity"]
    )
    geometry = geometry_from({"tau": 0.1, "spaces": BALL})
    vectors = np.load(tmp_path / "runs" / "cell" / "embeddings.npz")
    for split in ("val", "test"):
        labels = packed.samples["label"].to_numpy()[packed.rows(split)]
        head = torch.from_numpy(vectors[f"{split}_head"]).double()
        rows = np.arange(len(head))
        expected = {
            **describe_acted(geometry, head, other_class(labels), rows, rows),
            **recall_rounded(geometry, head, labels, rows, rows),
        }
        own = metrics.loc[split, "head", "own"]
        assert own[list(expected)].to_dict() == pytest.approx(expected, rel=1e-6)
        assert own["negatives"] == 15
        assert own["recall_at_1_float32"] == own["recall_at_1"]
        others = metrics.loc[split].drop(("head", "own"))
        assert others[list(expected)].isna().all(axis=None)
        assert others["spread_degrees"].notna().all()


def test_lists_are_scored_at_every_level_of_the_hierarchy(packed: Packed, tmp_path: Path) -> None:
    write_cell(tmp_path / "runs" / "cell", packed, BALL, 1.0)
    score_study(tmp_path / "runs", ["cell"], packed, tmp_path / "out", "study")
    metrics = pd.read_csv(tmp_path / "out" / "metrics.csv").set_index(
        ["split", "vector", "similarity"]
    )
    per_query = np.load(tmp_path / "out" / "per_query.npz")
    samples = packed.samples.iloc[packed.rows("test")]
    nearest = per_query["cell/test/head/own/neighbours"][:, 0]
    for level in packed.card["levels"]:
        labels = samples[level].to_numpy()
        expected = np.mean([labels[query] == labels[item] for query, item in enumerate(nearest)])
        assert metrics.loc["test", "head", "own"][f"recall_at_1_{level}"] == pytest.approx(expected)


@pytest.mark.parametrize(
    ("dataset", "available", "expected"),
    [
        ("cub200", 5923, (1, 2, 4, 8)),
        ("sop", 60501, (1, 10, 100, 1000)),
        ("sop", 999, (1, 10, 100)),
        ("inshop", 12612, (1, 10, 20, 30)),
        ("folder", 7, (1, 2, 4)),
    ],
)
def test_recall_is_reported_at_the_ranks_of_the_literature(
    dataset: str, available: int, expected: tuple[int, ...]
) -> None:
    assert choose_ranks(dataset, available) == expected


def test_no_rank_is_above_the_length_of_the_gallery(packed: Packed, tmp_path: Path) -> None:
    products = Packed(packed.samples, packed.images, packed.card | {"dataset": "sop"})
    write_cell(tmp_path / "runs" / "cell", products, BALL, 3.0)
    score_study(tmp_path / "runs", ["cell"], products, tmp_path / "out", "study")
    metrics = pd.read_csv(tmp_path / "out" / "metrics.csv")
    ranks = [name for name in metrics if re.fullmatch(r"recall_at_\d+", name)]
    assert ranks == ["recall_at_1", "recall_at_10"]
    assert (metrics["recall_at_10"] > metrics["recall_at_1"]).all()


def test_blocks_of_queries_score_as_all_at_once(
    packed: Packed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_cell(tmp_path / "runs" / "bad", packed, BALL, 30.0)
    outs = [tmp_path / "whole", tmp_path / "blocks"]
    score_study(tmp_path / "runs", ["bad"], packed, outs[0], "study")
    asked: list[int] = []

    def search(queries: Tensor, *others: Any, **named: Any) -> np.ndarray:
        asked.append(len(queries))
        return nearest(queries, *others, **named)

    monkeypatch.setattr(classes, "LISTS", 40)
    monkeypatch.setattr(classes, "nearest", search)
    score_study(tmp_path / "runs", ["bad"], packed, outs[1], "study")
    assert max(asked) < len(packed.rows("test"))
    for name in ("metrics.csv", "per_query.npz"):
        assert (outs[0] / name).read_bytes() == (outs[1] / name).read_bytes()


def test_of_large_classes_a_sample_of_queries_has_long_lists(
    packed: Packed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_cell(tmp_path / "runs" / "bad", packed, BALL, 30.0)
    score_study(tmp_path / "runs", ["bad"], packed, tmp_path / "all", "study")
    longest: list[int] = []

    def search(*others: Any, **named: Any) -> np.ndarray:
        found = nearest(*others, **named)
        longest.append(found.size)
        return found

    monkeypatch.setattr(classes, "RANKS", (1, 2))
    monkeypatch.setattr(classes, "PICTURED", 2)
    monkeypatch.setattr(classes, "LISTED", 12)  # numbers: 3 lists of the 4 others of a class
    monkeypatch.setattr(classes, "LEAST", 2)
    monkeypatch.setattr(classes, "LISTS", 8)
    monkeypatch.setattr(classes, "nearest", search)
    score_study(tmp_path / "runs", ["bad"], packed, tmp_path / "sample", "study")
    assert max(longest) <= 8
    whole, sample = (np.load(tmp_path / name / "per_query.npz") for name in ("all", "sample"))
    key = "bad/test/head/own/"
    assert np.array_equal(sample[f"{key}recall_at_1"], whole[f"{key}recall_at_1"])
    listed = np.flatnonzero(~np.isnan(sample[f"{key}map_at_r"]))
    assert listed.tolist() == [0, 9, 19]  # of 20, evenly spaced
    assert np.array_equal(sample[f"{key}map_at_r"][listed], whole[f"{key}map_at_r"][listed])
    metrics = pd.read_csv(tmp_path / "sample" / "metrics.csv")
    mean = metrics.query("split == 'test' and similarity == 'own'")["map_at_r"].item()
    assert mean == pytest.approx(np.nanmean(sample[f"{key}map_at_r"]), rel=1e-6)


@pytest.mark.parametrize(
    ("count", "relevant", "expected"),
    [
        (8_000, 3_999, None),  # 32 million numbers
        (60_000, 20, None),
        (120_000, 19_999, 1677),
        (120_000, 59_999, 1000),
        (900, 100_000, None),  # of a gallery of their own
    ],
)
def test_lists_of_all_queries_are_as_long_as_a_class_where_they_are_few_enough(
    count: int, relevant: int, expected: int | None
) -> None:
    chosen = classes.sample_queries(np.full(count, relevant), relevant)
    assert (None if chosen is None else len(chosen)) == expected
    if chosen is not None:
        assert len(np.unique(chosen)) == expected
        assert chosen.max() < count


def test_values_of_each_query_are_kept(packed: Packed, tmp_path: Path) -> None:
    write_cell(tmp_path / "runs" / "cell", packed, BALL, 0.5)
    score_study(tmp_path / "runs", ["cell"], packed, tmp_path / "out", "study")
    metrics = pd.read_csv(tmp_path / "out" / "metrics.csv").set_index(
        ["split", "similarity", "vector"]
    )
    kept = np.load(tmp_path / "out" / "per_query.npz")
    for name in ("recall_at_1", "map_at_r"):
        assert kept[f"cell/test/head/own/{name}"].mean() == pytest.approx(
            metrics.loc["test", "own", "head"][name], rel=1e-6
        )
    neighbours = kept["cell/test/head/own/neighbours"]
    labels = packed.samples["label"].to_numpy()[packed.rows("test")]
    assert np.array_equal(
        labels[neighbours[:, 0]] == labels, kept["cell/test/head/own/recall_at_1"] == 1
    )
    assert not (neighbours == np.arange(20)[:, None]).any()


def test_baselines_have_no_similarity_of_their_own(packed: Packed, tmp_path: Path) -> None:
    folder = tmp_path / "runs" / "pixels"
    folder.mkdir(parents=True)
    vectors = {
        f"{split}_pixels": np.asarray(packed.images)[packed.rows(split)].reshape(20, -1)
        for split in ("val", "test")
    }
    np.savez(folder / "embeddings.npz", **vectors)
    write_json(folder / "geometry.json", {"cell": {"geometry": "pixels"}, "machine": MACHINE})
    score_study(tmp_path / "runs", ["pixels"], packed, tmp_path / "out", "baselines")
    metrics = pd.read_csv(tmp_path / "out" / "metrics.csv")
    assert metrics[["vector", "similarity"]].drop_duplicates().to_numpy().tolist() == [
        ["pixels", "cosine"]
    ]
    assert (metrics["recall_at_1"] == 1).all()  # the patterns stand far apart


def test_the_same_results_give_the_same_bytes(packed: Packed, tmp_path: Path) -> None:
    write_cell(tmp_path / "runs" / "cell", packed, BALL, 0.5)
    for name in ("a", "b"):
        score_study(tmp_path / "runs", ["cell"], packed, tmp_path / name, "study")
    for path in (tmp_path / "a").iterdir():
        assert path.read_bytes() == (tmp_path / "b" / path.name).read_bytes()


def test_processes_do_not_change_a_byte(
    packed: Packed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(score, "SHARE", 1)
    places = ["a", "b", "c"]
    for number, place in enumerate(places):
        folder = tmp_path / "runs" / place
        write_cell(folder, packed, BALL, 0.5 + number)
        history = pd.DataFrame({"epoch": [1, 2], "loss": [4 / 3, number]})
        history.to_csv(folder / "history.csv", index=False)
    asked = []

    def count(work: Any, cells: Any, processes: int) -> Any:
        asked.append(processes)
        return map_in_order(work, cells, processes)

    monkeypatch.setattr(score, "map_in_order", count)
    for processes in (1, 2):
        out = tmp_path / str(processes)
        score_study(tmp_path / "runs", places, packed, out, "study", processes=processes)
    assert asked == [1, 2]
    names = sorted(path.name for path in (tmp_path / "1").iterdir())
    assert names == sorted(path.name for path in (tmp_path / "2").iterdir())
    for name in names:
        assert (tmp_path / "1" / name).read_bytes() == (tmp_path / "2" / name).read_bytes()
    (tmp_path / "runs" / "b" / "embeddings.npz").unlink()
    with pytest.raises(InputError, match="b/embeddings.npz: not found; expected it from"):
        score_study(tmp_path / "runs", places, packed, tmp_path / "no", "study", processes=2)
    assert not (tmp_path / "no").exists()


def test_a_missing_cell_is_named_and_nothing_is_written(packed: Packed, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="absent/geometry.json: not found"):
        score_study(tmp_path / "runs", ["absent"], packed, tmp_path / "out", "study")
    write_cell(tmp_path / "runs" / "cell", packed, BALL, 0.5)
    (tmp_path / "runs" / "cell" / "embeddings.npz").unlink()
    with pytest.raises(InputError, match="embeddings.npz: not found"):
        score_study(tmp_path / "runs", ["cell"], packed, tmp_path / "out", "study")
    assert not (tmp_path / "out").exists()


def test_embeddings_of_another_data_set_are_refused(packed: Packed, tmp_path: Path) -> None:
    write_cell(tmp_path / "runs" / "cell", packed, BALL, 0.5)
    smaller = Packed(
        packed.samples.assign(split=packed.samples["split"].where(packed.samples.index != 30, "")),
        packed.images,
        packed.card,
    )
    with pytest.raises(InputError, match="found 20 val embeddings, expected 19"):
        score_study(tmp_path / "runs", ["cell"], smaller, tmp_path / "out", "study")


def test_queries_and_gallery_of_a_data_set_with_roles_are_kept_apart(
    packed: Packed, tmp_path: Path
) -> None:
    roles = np.where(np.arange(len(packed.samples)) % 5 < 2, "query", "gallery")
    apart = Packed(packed.samples.assign(role=roles), packed.images, packed.card)
    write_cell(tmp_path / "runs" / "cell", apart, BALL, 1.0)
    score_study(tmp_path / "runs", ["cell"], apart, tmp_path / "out", "study")
    arrays = np.load(tmp_path / "out" / "per_query.npz")
    labels = packed.samples["label"].to_numpy()
    queries, gallery = apart.queries("test"), apart.gallery("test")
    assert (len(queries), len(gallery)) == (8, 12)
    nearest = gallery[arrays["cell/test/head/own/neighbours"][:, 0]]
    assert np.array_equal(
        arrays["cell/test/head/own/recall_at_1"], labels[queries] == labels[nearest]
    )
    metrics = pd.read_csv(tmp_path / "out" / "metrics.csv").set_index(
        ["split", "vector", "similarity"]
    )
    assert metrics.loc["test", "head", "own"]["recall_at_1"] == pytest.approx(
        (labels[queries] == labels[nearest]).mean()
    )


def test_a_learned_tree_is_compared_with_the_hierarchy(packed: Packed, tmp_path: Path) -> None:
    for name in ("tree", "plain"):
        write_cell(tmp_path / "runs" / name, packed, BALL, 1e-3)
    folder = tmp_path / "runs" / "tree"
    labels = pd.factorize(packed.samples["label"].to_numpy()[packed.rows("test")])[0]
    pd.DataFrame({"proxy": range(5), "parent": [-1, 0, 0, 0, 0]}).to_csv(
        folder / "tree.csv", index=False
    )
    vectors = dict(np.load(folder / "embeddings.npz"))
    np.savez(folder / "embeddings.npz", **vectors, test_proxy=1 + labels % 4)
    score_study(tmp_path / "runs", ["tree", "plain"], packed, tmp_path / "out", "study")
    trees = pd.read_csv(tmp_path / "out" / "trees.csv").set_index("level")
    assert set(trees["cell"]) == {"tree"}
    assert list(trees.index) == [*packed.card["levels"], "label"]
    assert trees.loc["label", "learned"] == 1
    assert trees.loc["label", "random"] < 1
    score_study(tmp_path / "runs", ["plain"], packed, tmp_path / "without", "study")
    assert not (tmp_path / "without" / "trees.csv").exists()


def test_folders_of_values_that_the_study_no_longer_has_are_removed(tmp_path: Path) -> None:
    for name in ("flat-0.1-0-2/0", "flat-0.2-0-2/0", "flat-0.1-3/3"):
        (tmp_path / name).mkdir(parents=True)
    remove_strays(tmp_path, ["flat-0.1-0-2/0", "flat-0.1-0-2/1"])
    assert [path.name for path in tmp_path.iterdir()] == ["flat-0.1-0-2"]


def test_val_chooses_the_highest_mean_and_the_lowest_value_in_a_tie() -> None:
    rows = [
        {"geometry": geometry, "tau": tau, "seed": seed, "recall_at_1": score + 0.01 * seed}
        for geometry, scores in {"flat": [0.5, 0.7, 0.7], "ball": [0.6, 0.5, 0.4]}.items()
        for tau, score in zip([0.1, 0.2, 0.3], scores, strict=True)
        for seed in (0, 1)
    ]
    metrics = pd.DataFrame(rows).assign(split="val", similarity="own")
    other = metrics.assign(split="test", recall_at_1=1 - metrics["recall_at_1"])
    chosen = choose_values(pd.concat([metrics, other]), ["tau"])
    assert chosen == {"ball": {"tau": 0.1}, "flat": {"tau": 0.2}}
    assert choose_values(metrics, []) == {}


def test_val_chooses_by_what_the_task_is_scored_with() -> None:
    scores = {"lineage_score": [0.5, 0.7, 0.6], "stress": [0.5, 0.7, 0.3]}
    metrics = pd.DataFrame({"tau": [0.1, 0.2, 0.3], **scores})
    metrics = metrics.assign(geometry="ball", split="val", similarity="own")
    assert choose_values(metrics, ["tau"], "lineage") == {"ball": {"tau": 0.2}}
    assert choose_values(metrics, ["tau"], "distances") == {"ball": {"tau": 0.3}}
    equal = metrics.assign(stress=0.3, lineage_score=0.3)
    for task in ("lineage", "distances"):
        assert choose_values(equal, ["tau"], task) == {"ball": {"tau": 0.1}}


def test_lineages_of_leaves_alone_are_scored_as_classes(packed: Packed, tmp_path: Path) -> None:
    write_cell(tmp_path / "runs" / "cell", packed, BALL, 0.5)
    score_study(tmp_path / "runs", ["cell"], packed, tmp_path / "class", "study")
    path = tmp_path / "runs" / "cell" / "geometry.json"
    write_json(path, read_json(path) | {"task": "lineage"})
    score_study(tmp_path / "runs", ["cell"], packed, tmp_path / "lineage", "study")
    for name in ("metrics.csv", "chosen.json"):
        expected = (tmp_path / "class" / name).read_bytes()
        assert (tmp_path / "lineage" / name).read_bytes() == expected


def test_classes_of_one_sample_each_are_refused(packed: Packed, tmp_path: Path) -> None:
    samples = packed.samples
    alone = samples["label"].where(samples["split"] != "val", samples["id"])
    write_cell(tmp_path / "runs" / "cell", packed, BALL, 0.5)
    packed = Packed(samples.assign(label=alone), packed.images, packed.card)
    with pytest.raises(InputError, match=r"^relevance: found class, .* val .*; expected one"):
        score_study(tmp_path / "runs", ["cell"], packed, tmp_path / "out", "study")
    assert not (tmp_path / "out").exists()


def test_cells_of_different_tasks_are_refused(tmp_path: Path) -> None:
    for name, task in {"old": None, "new": "class", "tree": "lineage", "odd": "leaves"}.items():
        (tmp_path / name).mkdir()
        write_json(tmp_path / name / "geometry.json", {"task": task} if task else {})
    assert find_task(tmp_path, ["old", "new"]) == "class"
    assert find_task(tmp_path, ["tree"]) == "lineage"
    with pytest.raises(InputError, match="tree/geometry.json: task: found lineage, expected class"):
        find_task(tmp_path, ["old", "tree"])
    with pytest.raises(InputError, match="task: found 'leaves', expected one of class"):
        find_task(tmp_path, ["odd", "tree"])


def test_how_cells_were_trained_is_kept_epoch_by_epoch(packed: Packed, tmp_path: Path) -> None:
    for place, loss in (("a/0", 4.0), ("a/1", 5.0), ("untrained", None)):
        write_cell(tmp_path / "runs" / place, packed, BALL, 1e-3)
        if loss:
            history = pd.DataFrame({"epoch": [1, 2], "loss": [loss, loss / 2]})
            history.to_csv(tmp_path / "runs" / place / "history.csv", index=False)
    places = ["a/0", "a/1", "untrained"]
    score_study(tmp_path / "runs", places, packed, tmp_path / "out", "study")
    found = pd.read_csv(tmp_path / "out" / "history.csv")
    assert found["cell"].tolist() == ["a/0", "a/0", "a/1", "a/1"]
    assert found["loss"].tolist() == [4.0, 2.0, 5.0, 2.5]
    assert list(found)[: list(found).index("epoch")] == [
        "cell",
        *("geometry", "seed", "tau", "curvature", "lam"),
    ]
    score_study(tmp_path / "runs", ["untrained"], packed, tmp_path / "none", "study")
    assert not (tmp_path / "none" / "history.csv").exists()
