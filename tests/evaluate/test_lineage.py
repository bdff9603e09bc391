"""Scores of lineages: every metric is its definition, rankings are exact, refusals name what."""

import math
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import correlation

import numpy as np
import pandas as pd
import pytest
import torch

from geomix.data.packed import Packed
from geomix.errors import InputError
from geomix.evaluate import cells
from geomix.evaluate.acted import describe_acted, describe_points, spread_degrees
from geomix.evaluate.lineage import ORDERS, build_family, score_constant
from geomix.evaluate.score import score_study
from geomix.geometry.geometry import Geometry, geometry_from
from tests.evaluate.conftest import GEOMETRIES, build_tree, draw_vectors, write_raw, write_trained

Names = tuple[str, ...]
Similarity = Callable[[int, int], float]  # of two rows of the gallery
SCORES = (
    "leaf_ancestors",
    "inner_leaves",
    "same_node",
    "map_lineage",
    "h_ap",
    "ndcg",
    "asi",
    "hop_correlation",
    "hop_correlation_by_depth",
)


def shared(a: Names, b: Names) -> int:
    count = 0
    while count < min(len(a), len(b)) and a[count] == b[count]:
        count += 1
    return count


def is_above(a: Names, b: Names) -> bool:
    return len(a) < len(b) and b[: len(a)] == a


def precision_mean(hits: Sequence[bool]) -> float:
    """Return the mean over hits of the share of hits down to each."""
    found = [sum(hits[: rank + 1]) / (rank + 1) for rank, hit in enumerate(hits) if hit]
    return sum(found) / len(found) if found else math.nan


def h_ap_by_definition(levels: Sequence[int]) -> float:
    count = Counter(levels)
    rel = [level / count[level] for level in levels]
    if not sum(rel):
        return math.nan
    inner = [sum(min(a, b) for b in rel[: k + 1]) / (k + 1) for k, a in enumerate(rel)]
    return sum(inner) / sum(rel)


def ndcg_by_definition(levels: Sequence[int]) -> float:
    def gain(ordered: Sequence[int]) -> float:
        return sum((2**level - 1) / math.log2(2 + k) for k, level in enumerate(ordered))

    best = gain(sorted(levels, reverse=True))
    return gain(levels) / best if best else math.nan


def asi_by_definition(levels: Sequence[int]) -> float:
    best, positive = sorted(levels, reverse=True), sum(level > 0 for level in levels)
    if not positive:
        return math.nan
    total = 0.0
    for n in range(1, positive + 1):
        mine, theirs = Counter(levels[:n]), Counter(best[:n])
        total += sum(min(mine[level], theirs[level]) for level in mine if level) / n
    return total / positive


def spearman(similarity: Sequence[float], hops: Sequence[int]) -> float:
    def ranks(values: Sequence[float]) -> list[float]:
        return [
            sum(other < value for other in values) + sum(other == value for other in values) / 2
            for value in values
        ]

    if len(set(hops)) < 2:
        return math.nan
    if len(set(similarity)) < 2:
        return 0.0
    return correlation(ranks(similarity), [-rank for rank in ranks(hops)])


def spearman_by_depth(
    similarity: Sequence[float], hops: Sequence[int], depths: Sequence[int]
) -> float:
    found = []
    for depth in sorted(set(depths)):
        places = [place for place, own in enumerate(depths) if own == depth]
        if len(places) >= 3:
            found.append(spearman([similarity[i] for i in places], [hops[i] for i in places]))
    known = [value for value in found if not math.isnan(value)]
    return sum(known) / len(known) if known else math.nan


def scores_by_definition(
    train: list[Names], held_out: list[Names], similarity: Similarity
) -> dict[str, list[float]]:
    """Score rankings one query at a time; rows of the gallery are train's and the split's."""
    gallery = [*train, *held_out]
    scores: dict[str, list[float]] = {name: [] for name in SCORES}
    start = len(train)
    for query in range(start, len(gallery)):
        items = [item for item in range(len(gallery)) if item != query]
        order = sorted(items, key=lambda item: (-similarity(query, item), item))
        own, paths = gallery[query], [gallery[item] for item in order]
        above = [is_above(path, own) for path in paths]
        same = [path == own for path in paths]
        below = [is_above(own, path) for path in paths]
        levels = [shared(own, path) for path in paths]
        hops = [len(own) + len(path) - 2 * level for path, level in zip(paths, levels, strict=True)]
        near = [similarity(query, item) for item in order]
        scores["leaf_ancestors"].append(precision_mean(above))
        scores["same_node"].append(precision_mean(same))
        either = [any(kin) for kin in zip(above, same, below, strict=True)]
        scores["map_lineage"].append(precision_mean(either))
        scores["h_ap"].append(h_ap_by_definition(levels))
        scores["ndcg"].append(ndcg_by_definition(levels))
        scores["asi"].append(asi_by_definition(levels))
        scores["hop_correlation"].append(spearman(near, hops))
        depths = [len(path) for path in paths]
        scores["hop_correlation_by_depth"].append(spearman_by_depth(near, hops, depths))
    for query in range(start):
        order = sorted(range(start, len(gallery)), key=lambda i: (-similarity(query, i), i))
        scores["inner_leaves"].append(
            precision_mean([is_above(gallery[query], gallery[item]) for item in order])
        )
    return scores


def compare_points(space: Geometry, vectors: list[np.ndarray]) -> Similarity:
    """Return what compares two rows of train's and a split's vectors, one pair at a time."""
    points = space.place(torch.from_numpy(np.concatenate(vectors)).double())

    def similarity(query: int, item: int) -> float:
        sides = ([placed[row] for placed in points] for row in (query, item))
        return float(space.paired_similarity(*sides))

    return similarity


def by_item(score: Sequence[float]) -> Similarity:
    """Return what compares an item with any query by the item's score alone."""
    return lambda query, item: score[item]


def precision_in_expectation(scores: Sequence[int], hits: Sequence[bool]) -> float:
    """Return AP in expectation over the orders of items of equal scores.

    At place i of n that tie, r of them relevant, below N items with R relevant ones, is a relevant
    item with probability r / n. Of the i - 1 before it (i - 1) (r - 1) / (n - 1) are then relevant.
    McSherry and Najork 2008, Computing information retrieval performance measures efficiently in
    the presence of tied scores.
    """
    total, above, relevant = 0.0, 0, 0
    for score in sorted(set(scores), reverse=True):
        tied = [hit for own, hit in zip(scores, hits, strict=True) if own == score]
        n, r = len(tied), sum(tied)
        for i in range(1, n + 1):
            before = (i - 1) * (r - 1) / (n - 1) if n > 1 else 0
            total += r / n * (relevant + before + 1) / (above + i)
        above, relevant = above + n, relevant + r
    return total / relevant if relevant else math.nan


def known_mean(values: Sequence[float]) -> float:
    known = [value for value in values if not math.isnan(value)]
    return sum(known) / len(known) if known else math.nan


def paths_of(packed: Packed, split: str) -> list[Names]:
    rows = packed.samples[packed.samples["split"] == split]
    return [tuple(path.split("/")) for path in rows["lineage"]]


def read_metrics(out: Path) -> pd.DataFrame:
    return pd.read_csv(out / "metrics.csv").set_index(["cell", "split", "vector", "similarity"])


def compare(out: Path, key: tuple[str, str, str, str], expected: dict[str, list[float]]) -> None:
    """Compare a row of the table, and what is kept of each query, with the definitions."""
    row = read_metrics(out).loc[key]
    for name in SCORES:
        assert row[name] == pytest.approx(known_mean(expected[name]), rel=1e-8, nan_ok=True), name
    directions = [known_mean(expected[name]) for name in ("leaf_ancestors", "inner_leaves")]
    assert row["lineage_score"] == pytest.approx(known_mean(directions), rel=1e-8)
    kept = np.load(out / "per_query.npz")
    for name in ("leaf_ancestors", "inner_leaves", "map_lineage"):
        found = kept["/".join([*key, name])]
        assert found == pytest.approx(np.array(expected[name]), rel=1e-6, nan_ok=True), name


@pytest.mark.parametrize("geometry", GEOMETRIES)
@pytest.mark.parametrize("split", ["val", "test"])
def test_every_metric_is_its_definition(tmp_path: Path, geometry: str, split: str) -> None:
    packed = build_tree()
    vectors = draw_vectors(packed, ("head", "backbone"))
    write_trained(tmp_path / "runs" / "cell", vectors, "lineage", geometry)
    score_study(tmp_path / "runs", ["cell"], packed, tmp_path / "out", "study")
    own = geometry_from({"tau": 1.0, "spaces": GEOMETRIES[geometry]})
    parts = [vectors[f"{part}_head"] for part in ("train", split)]
    train, held_out = paths_of(packed, "train"), paths_of(packed, split)
    expected = scores_by_definition(train, held_out, compare_points(own, parts))
    assert not math.isnan(known_mean(expected["same_node"]))
    assert any(math.isnan(value) for value in expected["leaf_ancestors"])
    assert any(math.isnan(value) for value in expected["same_node"])
    compare(tmp_path / "out", ("cell", split, "head", "own"), expected)


def test_of_many_samples_some_evenly_spaced_are_queries(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    packed = build_tree()
    write_trained(tmp_path / "runs" / "cell", draw_vectors(packed, ("head",)), "lineage", "flat")
    score_study(tmp_path / "runs", ["cell"], packed, tmp_path / "all", "study")
    monkeypatch.setattr("geomix.evaluate.lineage.QUERIES", 4)
    score_study(tmp_path / "runs", ["cell"], packed, tmp_path / "some", "study")
    every, some = (np.load(tmp_path / name / "per_query.npz") for name in ("all", "some"))
    key = "cell/test/head/own/map_lineage"
    rows = [0, 1, 3, 5]  # of 6
    assert some[key][rows] == pytest.approx(every[key][rows], nan_ok=True)
    assert np.isnan(np.delete(some[key], rows)).all()
    row = read_metrics(tmp_path / "some").loc["cell", "test", "head", "own"]
    assert row["map_lineage"] == pytest.approx(np.nanmean(some[key]))
    inner = "cell/test/head/own/inner_leaves"
    assert some[inner] == pytest.approx(every[inner], nan_ok=True)


def test_neighbours_are_rows_of_train_and_then_of_the_split(tmp_path: Path) -> None:
    packed = build_tree()
    vectors = draw_vectors(packed, ("head",))
    write_trained(tmp_path / "runs" / "cell", vectors, "lineage", "flat")
    score_study(tmp_path / "runs", ["cell"], packed, tmp_path / "out", "study")
    found = np.load(tmp_path / "out" / "per_query.npz")["cell/val/head/own/neighbours"]
    gallery = np.concatenate([vectors["train_head"], vectors["val_head"]])
    assert found.shape == (len(vectors["val_head"]), 5)
    for query, neighbours in enumerate(found):
        gaps = np.linalg.norm(gallery - vectors["val_head"][query], axis=1)
        gaps[len(vectors["train_head"]) + query] = np.inf
        assert neighbours.tolist() == np.argsort(gaps)[:5].tolist()


def test_nothing_depends_on_blocks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    packed = build_tree()
    vectors = draw_vectors(packed, ("head",))
    vectors["train_head"][3:6] = vectors["train_head"][3]  # ties
    write_trained(tmp_path / "runs" / "cell", vectors, "lineage", "hybrid")
    write_raw(tmp_path / "runs" / "pixels", draw_vectors(packed, ("vectors",), 1), "lineage")
    places = ["cell", "pixels"]
    for name, pairs in (("one", 1), ("some", 60), ("all", 10**6)):
        monkeypatch.setattr(cells, "PAIRS", pairs)
        score_study(tmp_path / "runs", places, packed, tmp_path / name, "s", baselines=True)
    for path in (tmp_path / "all").iterdir():
        assert path.read_bytes() == (tmp_path / "one" / path.name).read_bytes()
        assert path.read_bytes() == (tmp_path / "some" / path.name).read_bytes()


def test_rankings_that_ignore_the_query_are_rows_of_the_baselines(tmp_path: Path) -> None:
    packed = build_tree()
    vectors = draw_vectors(packed, ("vectors",))
    write_raw(tmp_path / "runs" / "pixels", vectors, "lineage")
    score_study(tmp_path / "runs", ["pixels"], packed, tmp_path / "out", "s", baselines=True)
    metrics = read_metrics(tmp_path / "out")
    assert list(metrics.index.get_level_values("cell")) == (
        ["pixels"] * 2 + ["depth"] * 2 + ["descendants"] * 2
    )
    assert list(metrics["geometry"].unique()) == ["vectors", "depth", "descendants"]
    train = paths_of(packed, "train")
    for split in ("val", "test"):
        gallery = [*train, *paths_of(packed, split)]
        scores = {
            "depth": [-len(path) for path in gallery],
            "descendants": [sum(is_above(path, other) for other in train) for path in gallery],
        }
        for name, score in scores.items():
            expected = average_orders(train, paths_of(packed, split), score)
            compare(tmp_path / "out", (name, split, "tree", "constant"), expected)
    by_depth = metrics[metrics["geometry"] == "depth"]["hop_correlation_by_depth"]
    assert (by_depth == 0).all()
    score_study(tmp_path / "runs", ["pixels"], packed, tmp_path / "without", "s")
    assert set(read_metrics(tmp_path / "without").index.get_level_values("cell")) == {"pixels"}


def average_orders(
    train: list[Names], held_out: list[Names], score: Sequence[int]
) -> dict[str, list[float]]:
    """Score the order of the scores, mean over orders of ties; these tie where hops correlate."""
    tied = scores_by_definition(train, held_out, by_item(score))
    drawn = []
    for seed in range(ORDERS):
        ties = np.random.default_rng(seed).permutation(len(score)) / len(score)
        ordered = [one - tie for one, tie in zip(score, ties, strict=True)]
        drawn.append(scores_by_definition(train, held_out, by_item(ordered)))
    return {
        name: tied[name] if "hop" in name else np.mean([one[name] for one in drawn], 0).tolist()
        for name in SCORES
    }


@pytest.mark.parametrize("name", ["depth", "descendants"])
def test_rankings_that_ignore_the_query_ignore_the_order_of_the_table(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Sorted by lineage, where ancestors stand beside what is below them, and shuffled."""
    monkeypatch.setattr("geomix.evaluate.lineage.ORDERS", 400)
    packed = build_tree()
    table = packed.samples.sort_values("lineage", ignore_index=True)
    packed = Packed(table, packed.images, packed.card)
    train, test = paths_of(packed, "train"), paths_of(packed, "test")
    gallery = [*train, *test]
    below = [sum(is_above(path, other) for other in train) for path in gallery]
    score = [-len(path) for path in gallery] if name == "depth" else below
    row, values = list(score_constant(name, packed))[1]
    expected = [
        precision_in_expectation(
            [one for item, one in enumerate(score) if item != query],
            [is_above(path, gallery[query]) for item, path in enumerate(gallery) if item != query],
        )
        for query in range(len(train), len(gallery))
    ]
    found = values["test/tree/constant/leaf_ancestors"]
    assert found == pytest.approx(np.array(expected), abs=0.03, nan_ok=True)
    assert row["leaf_ancestors"] == pytest.approx(known_mean(expected), abs=0.01)
    inner = [
        precision_in_expectation(score[len(train) :], [is_above(path, one) for one in test])
        for path in train
    ]
    found = values["test/tree/constant/inner_leaves"]
    assert found == pytest.approx(np.array(inner), abs=0.03, nan_ok=True)
    assert row["inner_leaves"] == pytest.approx(known_mean(inner), abs=0.01)


def test_what_acted_is_measured_on_the_gallery_against_unrelated_items(tmp_path: Path) -> None:
    packed = build_tree()
    vectors = draw_vectors(packed, ("head",))
    write_trained(tmp_path / "runs" / "cell", vectors, "lineage")
    score_study(tmp_path / "runs", ["cell"], packed, tmp_path / "out", "study")
    own = read_metrics(tmp_path / "out").loc["cell", "test", "head", "own"]
    train, held_out = (paths_of(packed, split) for split in ("train", "test"))
    gallery = [*train, *held_out]
    unrelated = np.array(
        [[not (a == b or is_above(a, b) or is_above(b, a)) for b in gallery] for a in gallery]
    )
    geometry = geometry_from({"tau": 0.3, "spaces": GEOMETRIES["hyperbolic"]})
    heads = [torch.from_numpy(vectors[f"{part}_head"]) for part in ("train", "test")]
    points = torch.cat(heads).double()
    rows = np.arange(len(gallery))
    expected = {
        "spread_degrees": spread_degrees(points),
        **describe_points(geometry, points),
        **describe_acted(
            geometry, points, lambda a, b: unrelated[np.ix_(a, b)], rows[len(train) :], rows
        ),
    }
    assert own[list(expected)].to_dict() == pytest.approx(expected, rel=1e-6)
    assert own["curved"]
    assert own["bend"] > 0
    assert own["negatives"] == pytest.approx(unrelated[len(train) :].sum(1).mean())


@pytest.mark.parametrize("geometry", GEOMETRIES)
def test_points_that_coincide_are_ranked_by_row_and_correlate_with_nothing(
    tmp_path: Path, geometry: str
) -> None:
    packed = build_tree()
    vectors = {key: np.full_like(one, 0.3) for key, one in draw_vectors(packed, ("head",)).items()}
    write_trained(tmp_path / "runs" / "cell", vectors, "lineage", geometry)
    score_study(tmp_path / "runs", ["cell"], packed, tmp_path / "out", "study")
    expected = scores_by_definition(
        paths_of(packed, "train"), paths_of(packed, "val"), lambda query, item: 0.0
    )
    compare(tmp_path / "out", ("cell", "val", "head", "own"), expected)
    assert known_mean(expected["hop_correlation"]) == 0


def test_a_direction_that_a_split_lacks_is_left_out_of_the_score(tmp_path: Path) -> None:
    packed = build_tree()
    samples = packed.samples
    # no sample of train is above one of test, but one of test is
    above = samples["lineage"].isin(["a", "a/x", "a/y", "a/y/p", "b", "b/z"])
    split = samples["split"].where(~(above & (samples["split"] == "train")), "")
    packed = Packed(samples.assign(split=split), packed.images, packed.card)
    write_trained(tmp_path / "runs" / "cell", draw_vectors(packed, ("head",)), "lineage")
    score_study(tmp_path / "runs", ["cell"], packed, tmp_path / "out", "study")
    row = read_metrics(tmp_path / "out").loc["cell", "test", "head", "own"]
    assert math.isnan(row["inner_leaves"])
    assert row["lineage_score"] == row["leaf_ancestors"]


def test_a_cell_without_train_or_of_another_data_set_is_refused(tmp_path: Path) -> None:
    packed = build_tree()
    vectors = draw_vectors(packed, ("head",))
    absent = {key: one for key, one in vectors.items() if key != "train_head"}
    write_trained(tmp_path / "absent", absent, "lineage")
    with pytest.raises(InputError, match="absent: found no train_head in embeddings.npz, expected"):
        score_study(tmp_path, ["absent"], packed, tmp_path / "out", "study")
    write_trained(tmp_path / "short", vectors | {"val_head": vectors["val_head"][1:]}, "lineage")
    with pytest.raises(InputError, match="short: found 10 val embeddings, expected 11"):
        score_study(tmp_path, ["short"], packed, tmp_path / "out", "study")
    assert not (tmp_path / "out").exists()


def test_a_split_below_nothing_is_refused(tmp_path: Path) -> None:
    packed = build_tree()
    lineage = [f"root {row}" for row in range(len(packed.samples))]
    apart = Packed(packed.samples.assign(lineage=lineage), packed.images, packed.card)
    with pytest.raises(InputError, match=r"^relevance: found lineage, .* val .*; expected one"):
        build_family(apart, "val")
