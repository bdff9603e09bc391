"""Ensembles: the weighted sum of similarities, searched exactly, at the weight that val chose."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from geomix.data.packed import Packed
from geomix.evaluate.cells import Cell, read_cell
from geomix.evaluate.classes import build_protocol
from geomix.evaluate.ensembles import (
    build_cell,
    build_ensembles,
    concatenate,
    fuse,
    recall_at_1,
    spread,
)
from geomix.evaluate.score import score_study
from geomix.files import write_json
from geomix.geometry.geometry import Geometry, cosine
from geomix.geometry.spaces import Ball, Sphere
from geomix.retrieval.search import nearest

SPHERE = {"name": "cosine", "weight": 1.0, "space": "sphere"}
BALL = {
    "name": "distance",
    "weight": 1.0,
    "space": "ball",
    "curvature": 0.5,
    "scale": 1.0,
    "clip_radius": 2.3,
}


PLACES = [(f"plain/{seed}", f"curved/{seed}") for seed in (0, 1)]


def draw(count: int, dimensions: int, seed: int) -> torch.Tensor:
    return torch.randn(count, dimensions, generator=torch.Generator().manual_seed(seed)).double()


def ball() -> Geometry:
    return Geometry([Ball(0.5, 0.3, None)], [2.0], 0.2)


def write_systems(runs: Path, packed: Packed, noises: dict[str, float]) -> None:
    """Write cells of two seeds: `plain`, a cosine of 6 dimensions, and `curved`, a ball of 9."""
    for name, noise in noises.items():
        for seed in (0, 1):
            random = np.random.default_rng([seed, len(name)])
            vectors = {}
            for split in ("val", "test"):
                labels = pd.factorize(packed.samples["label"].to_numpy()[packed.rows(split)])[0]
                centres = np.eye(6 if name == "plain" else 9)[labels]
                vectors[f"{split}_head"] = (
                    centres + noise * random.normal(size=centres.shape)
                ).astype(np.float32)
            (runs / name / str(seed)).mkdir(parents=True)
            np.savez(runs / name / str(seed) / "embeddings.npz", **vectors)
            cell: dict[str, Any] = {"system": name, "geometry": name, "seed": seed}
            description = {
                "cell": cell,
                "tau": 0.1,
                "spaces": [SPHERE if name == "plain" else BALL],
                "machine": {"torch": "2"},
            }
            write_json(runs / name / str(seed) / "geometry.json", description)


@pytest.mark.parametrize("weight", [0, 0.3, 1])
def test_a_fused_similarity_is_the_weighted_sum_of_the_two(weight: float) -> None:
    a, b = draw(7, 4, 0), draw(7, 6, 1)
    fused = fuse(cosine(), ball(), weight, (0.5, 4.0), (4, 6))
    found = fused.similarity(fused.place(torch.cat([a, b], 1)), fused.place(torch.cat([a, b], 1)))
    parts = [
        space.similarity(space.place(one), space.place(one))
        for space, one in ((cosine(), a), (ball(), b))
    ]
    torch.testing.assert_close(found, (1 - weight) * parts[0] / 0.5 + weight * parts[1] / 4.0)


def test_outputs_that_a_member_has_are_taken_where_its_features_stand() -> None:
    two_heads = Geometry(
        [Sphere(), Ball(0.5, 0.3, None)], [1.0, 0.5], 0.1, outputs=[(0, 2), (2, 6)]
    )
    assert fuse(cosine(), two_heads, 0.5, (1.0, 1.0), (4, 6)).outputs == ((0, 4), (4, 6), (6, 10))


def test_a_member_of_weight_zero_is_not_in_it() -> None:
    fused = fuse(cosine(), ball(), 0, (1.0, 1.0), (4, 6))
    assert fused.is_cosine
    assert fused.outputs == ((0, 4),)


@pytest.mark.parametrize("weight", [0.0, 0.4, 1.0])
def test_neighbours_are_those_of_the_sum_in_float64(weight: float) -> None:
    both = torch.cat([draw(300, 4, 2), draw(300, 6, 3)], 1)
    fused = fuse(cosine(), ball(), weight, (0.5, 4.0), (4, 6))
    points = fused.place(both)
    exact = torch.stack(
        [fused.paired_similarity([part[[row]] for part in points], points) for row in range(300)]
    )
    exact.fill_diagonal_(-torch.inf)
    found = nearest(both, both, fused, 5, exclude=np.arange(300))
    np.testing.assert_array_equal(found, exact.argsort(dim=1, descending=True, stable=True)[:, :5])


def test_the_spread_is_that_of_pairs_of_different_images() -> None:
    features = draw(20, 4, 4)
    units = features / features.norm(dim=1, keepdim=True)
    pairs = [float(units[i] @ units[j]) for i in range(20) for j in range(20) if i != j]
    assert spread(cosine(), features) == pytest.approx(np.std(pairs, ddof=1))


def test_the_cosine_of_concatenated_features_is_the_weighted_sum_of_cosines() -> None:
    a, b = draw(5, 3, 5).numpy(), 100 * draw(5, 4, 6).numpy()
    both = torch.from_numpy(concatenate(a, b, 0.3))
    cosines = [
        torch.nn.functional.cosine_similarity(x[:, None], x[None], dim=2)
        for x in map(torch.from_numpy, (a, b))
    ]
    torch.testing.assert_close(both @ both.T, 0.7 * cosines[0] + 0.3 * cosines[1])


def test_a_feature_vector_of_zeros_stays_zero() -> None:
    assert not np.isnan(concatenate(np.zeros((1, 2)), np.ones((1, 2)), 0.5)).any()


@pytest.mark.parametrize(("plain", "curved"), [(0.01, 9.0), (9.0, 0.01), (0.7, 0.7)])
def test_the_weight_is_the_lowest_of_the_best_on_val(
    packed: Packed, tmp_path: Path, plain: float, curved: float
) -> None:
    write_systems(tmp_path, packed, {"plain": plain, "curved": curved})
    cells = build_ensembles(tmp_path, PLACES, [1, 0, 0.5, 0.75], packed)
    assert [cell.name for cell in cells] == [
        f"ensemble: {kind}/{seed}" for kind in ("similarities", "features") for seed in (0, 1)
    ]
    pairs = [(read_cell(tmp_path, first), read_cell(tmp_path, second)) for first, second in PLACES]
    weights, protocol = (0, 0.5, 0.75, 1), build_protocol(packed, "val")
    for kind in ("similarities", "features"):
        means = [
            np.mean(
                [recall_at_1(build_cell(kind, pair, weight), protocol, "val") for pair in pairs]
            )
            for weight in weights
        ]
        chosen = {cell.identity["weight"] for cell in cells if kind in cell.name}
        assert chosen == {weights[int(np.argmax(means))]}
        assert plain > curved or chosen == {0} or plain == curved


def test_test_classes_do_not_choose(packed: Packed, tmp_path: Path) -> None:
    write_systems(tmp_path, packed, {"plain": 0.5, "curved": 0.5})
    weights = []
    for scale in (1, 0):
        for path in tmp_path.glob("*/*/embeddings.npz"):
            vectors = dict(np.load(path))
            np.savez(
                path,
                **{
                    name: value if name.startswith("val") else scale * value + 1 - scale
                    for name, value in vectors.items()
                },
            )
        cells = build_ensembles(tmp_path, PLACES, [0, 0.25, 0.5, 0.75, 1], packed)
        weights.append([cell.identity["weight"] for cell in cells])
    assert weights[0] == weights[1]


def test_ensembles_are_scored_as_other_cells_are(packed: Packed, tmp_path: Path) -> None:
    write_systems(tmp_path / "runs", packed, {"plain": 0.6, "curved": 0.6})
    made = build_ensembles(tmp_path / "runs", PLACES, [0.5], packed)
    score_study(
        tmp_path / "runs", ["plain/0", "plain/1"], packed, tmp_path / "out", "systems", made
    )
    metrics = pd.read_csv(tmp_path / "out" / "metrics.csv")
    rows = metrics[(metrics["similarity"] == "own") & (metrics["split"] == "val")].set_index("cell")
    assert list(rows.index) == ["plain/0", "plain/1", *(cell.name for cell in made)]
    protocol = build_protocol(packed, "val")
    for cell in made:
        found = rows.loc[cell.name, "recall_at_1"]
        assert found == pytest.approx(recall_at_1(cell, protocol, "val"))
        assert rows.loc[cell.name, "weight"] == 0.5


def test_queries_and_gallery_of_a_data_set_with_roles_are_kept_apart(packed: Packed) -> None:
    roles = np.where(np.arange(len(packed.samples)) % 5 < 2, "query", "gallery")
    apart = Packed(packed.samples.assign(role=roles), packed.images, packed.card)
    labels = packed.samples["label"].to_numpy()
    features = draw(len(apart.rows("val")), 6, 7)
    cell = Cell("x", {}, Geometry([Sphere()], [1.0], 1.0), {"val_head": features.numpy()})
    rows, queries, gallery = apart.rows("val"), apart.queries("val"), apart.gallery("val")
    units = (features / features.norm(dim=1, keepdim=True)).numpy()
    scores = units[np.searchsorted(rows, queries)] @ units[np.searchsorted(rows, gallery)].T
    expected = (labels[gallery[scores.argmax(1)]] == labels[queries]).mean()
    assert recall_at_1(cell, build_protocol(apart, "val"), "val") == pytest.approx(expected)
