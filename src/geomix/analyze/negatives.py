"""Hard negatives by geometry: how much they weigh, and which they are.

Written to `negatives/`, all of test but one. Rows of a table and of the arrays beside it go
together.

    weights.csv, weights.npz    weights of negatives in batches of training's shape
    train.csv                   the same of classes of train, where their embeddings are stored
    overlap.csv, overlap.npz    how far two rankings agree, anchor by anchor
    hardest.npz                 the hardest negatives of each anchor in chosen cells
    facts.json                  what was drawn
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from torch import Tensor

from geomix.analyze.overlap import (
    Asked,
    Ranking,
    correlate,
    draw_anchors,
    rank_negatives,
    share_hardest,
)
from geomix.analyze.trained import Setting, Trained
from geomix.analyze.weights import Terms, draw_batches, gather_terms
from geomix.config.sections import Batch
from geomix.data.packed import Packed
from geomix.errors import InputError
from geomix.evaluate.acted import other_class
from geomix.evaluate.lineage import any_ancestor
from geomix.files import write_json
from geomix.geometry.geometry import Geometry

SPLIT = "test"
SEEN = "train"  # what networks were trained on
SEED = 0  # of anchors and batches
EFFECTIVE = 8.0  # effective negatives at which geometries are compared
HEAVIEST = 0.01  # part of all pairs of an anchor and a negative whose share of the weight is told
EDGES = np.linspace(-12, 3, 61)  # of the bins of log10 p and log10 pull; the first takes all below
ARRAYS = ("total", "hardest", "pull")  # of each anchor


def analyze_negatives(trained: Trained, batch: Batch, out: Path) -> None:
    """Weigh and list the negatives of anchors of test.

    Of lineages and of known distances, where no class tells what a negative is, nothing but
    facts.json is written.

    Args:
        trained: The cells.
        batch: Classes and images of a batch of training.
        out: The folder that takes the files.

    Raises:
        InputError: If a cell is missing, or test has too few classes.
    """
    folder = out / "negatives"
    folder.mkdir()
    packed, task = trained.packed, trained.task
    told = {"task": task, "tuned": trained.tuned, "beside": trained.beside}
    if task == "distances" or (task == "lineage" and any_ancestor(packed)):
        write_json(folder / "facts.json", told)
        return
    rows = packed.rows(SPLIT)
    labels = packed.samples["label"].to_numpy()[rows]
    batches = draw_batches(labels, batch.classes, batch.images, SEED)
    asked = _ask(packed, rows, labels)
    if not len(batches) or len(asked.anchors) < 2:
        found = "found no two classes with two samples each"
        raise InputError(f"{SPLIT}: {found}, expected them, to have anchors and positives")
    _, views, classes = batches.shape
    target = min(EFFECTIVE, (1 + 2 * (classes - 1)) / 2)
    _write(folder, "weights", list(weigh_cells(trained, batches, target)))
    write_seen(trained, batch, folder / "train.csv")
    rankings = dict(rank_cells(trained, asked))
    _write(folder, "overlap", [*compare_cells(rankings), *compare_views(trained, asked, rankings)])
    hardest = {
        f"{key.geometry}/{key.seed}": rows[asked.items[one.hardest]]
        for key, one in rankings.items()
        if key.study == trained.tuned
    }
    drawn = {"anchors": rows[asked.anchors], "positives": rows[asked.positives]}
    drawn |= {"labels": labels[asked.anchors].astype(str)}
    drawn |= {"weighed": labels[batches.ravel()].astype(str)}
    np.savez_compressed(folder / "hardest.npz", allow_pickle=False, **drawn, **hardest)
    write_json(
        folder / "facts.json",
        {
            **told,
            "seed": SEED,
            "batches": len(batches),
            "classes": classes,
            "images": views,
            "negatives": 2 * (classes - 1),
            "effective": target,
            "heaviest": HEAVIEST,
            "anchors": len(asked.anchors),
            "items": len(asked.items),
            "ranked": len(asked.thinned),
            "listed": int(next(iter(rankings.values())).hardest.shape[1]),
            "chosen": {one.geometry: dict(one.values) for one in trained.chosen_settings()},
            "machines": trained.machines(),
        },
    )


def _ask(packed: Packed, rows: np.ndarray, labels: np.ndarray) -> Asked:
    """Draw the anchors among the queries of test; the gallery has their negatives."""
    queries, gallery = (
        np.searchsorted(rows, part) for part in (packed.queries(SPLIT), packed.gallery(SPLIT))
    )
    return draw_anchors(labels, queries, gallery, other_class(labels), SEED)


def _write(
    folder: Path, name: str, found: list[tuple[dict[str, Any], dict[str, np.ndarray]]]
) -> None:
    """Write rows as CSV, and their arrays, stacked by name, as npz."""
    table = pd.DataFrame([row for row, _ in found])
    table.to_csv(folder / f"{name}.csv", index=False, float_format="%.9g")
    arrays = {key: np.stack([values[key] for _, values in found]) for key in found[0][1]}
    np.savez_compressed(folder / f"{name}.npz", allow_pickle=False, **arrays)


Found = Iterator[tuple[dict[str, Any], dict[str, np.ndarray]]]


def weigh_cells(trained: Trained, batches: np.ndarray, effective: float) -> Found:
    """Weigh the negatives of the cells of the study that was tuned.

    Args:
        trained: The cells.
        batches: Rows of test, (B, K, P).
        effective: Negatives at which geometries are matched.

    Yields:
        A row and arrays, see `measure_weights`, for each network at the temperature it was trained
        with, condition `trained`; for each chosen network, at the temperature that has the
        effective negatives, `matched`; and for its outputs under each other geometry at the
        temperature it was trained with, `viewed`, and at one that is matched, `viewed matched`.
    """
    chosen = {setting.geometry: setting for setting in trained.chosen_settings()}
    for setting in trained.settings(trained.tuned):
        for seed in setting.places:
            geometry, vectors = trained.read_head(setting, seed, SPLIT)
            row = {"trained": setting.geometry, "viewed": setting.geometry, "seed": seed}
            terms = gather_terms(geometry, vectors, batches)
            yield measure_weights({"condition": "trained", **row}, terms, geometry.tau)
            if setting != chosen[setting.geometry]:
                continue
            tau = terms.match(effective, geometry.tau)
            yield measure_weights({"condition": "matched", **row}, terms, tau)
            for name, other in chosen.items():
                if name != setting.geometry:
                    view = trained.read_head(other, seed, SPLIT)[0]
                    terms = gather_terms(view, vectors, batches)
                    row = row | {"viewed": name}
                    yield measure_weights({"condition": "viewed", **row}, terms, geometry.tau)
                    tau = terms.match(effective, view.tau)
                    yield measure_weights({"condition": "viewed matched", **row}, terms, tau)


def write_seen(trained: Trained, batch: Batch, path: Path) -> None:
    """Write the weights of negatives among classes of train, of each chosen network.

    Nothing is written where no network has stored its embeddings of train.

    Args:
        trained: The cells.
        batch: Classes and images of a batch of training.
        path: Of the table.
    """
    labels = trained.packed.samples["label"].to_numpy()[trained.packed.rows(SEEN)]
    batches = draw_batches(labels, batch.classes, batch.images, SEED)
    rows = []
    for setting in trained.chosen_settings():
        for seed in setting.places:
            if f"{SEEN}_head" in trained.read(setting, seed).vectors:
                geometry, vectors = trained.read_head(setting, seed, SEEN)
                terms = gather_terms(geometry, vectors, batches)
                row = {"trained": setting.geometry, "seed": seed, "batches": len(batches)}
                rows.append(measure_weights(row, terms, geometry.tau)[0])
    if rows:
        pd.DataFrame(rows).to_csv(path, index=False, float_format="%.9g")


def measure_weights(
    row: dict[str, Any], terms: Terms, tau: float
) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Measure p and the pulls of all terms at a temperature.

    Args:
        row: What is measured.
        terms: Of some batches.
        tau: The temperature; NaN leaves all NaN.

    Returns:
        The row with tau; effective_negatives of a term; total, the sum of p over them; hardest, the
        largest p of a term; heaviest_share, the part of all p that the heaviest 1 % of pairs have;
        and pull, the sum of a term's pulls: means over terms. Arrays: the same of each anchor where
        they are of terms, and how many pairs are in each bin of log10 p and log10 pull.
    """
    weights = terms.weigh(tau)
    slopes = terms.slopes.masked_fill(terms.slopes.isinf(), 0)  # copies: no way to turn to
    pulls = weights * slopes / tau
    totals = {"total": weights.sum(1), "hardest": weights.amax(1), "pull": pulls.sum(1)}
    few = max(1, round(HEAVIEST * weights.numel()))
    heaviest = weights.flatten().topk(few).values.sum() / weights.sum()
    row = {
        **row,
        "tau": tau,
        "effective_negatives": float(terms.count_effective(tau).mean()),
        **{name: float(values.mean()) for name, values in totals.items()},
        "heaviest_share": float(heaviest),
    }
    arrays = {name: terms.by_anchor(values).astype(np.float32) for name, values in totals.items()}
    return row, arrays | {"weights": _count(weights), "pulls": _count(pulls)}


def _count(values: Tensor) -> np.ndarray:
    """Count positive values in the bins of their log10."""
    logs = np.log10(values.numpy().ravel().clip(1e-300))
    return np.histogram(logs.clip(EDGES[0], EDGES[-1]), EDGES)[0].astype(np.int32)


@dataclass(frozen=True)
class Key:
    """A network: the study, its geometry and its seed."""

    study: str
    geometry: str
    seed: int


def rank_cells(trained: Trained, asked: Asked) -> Iterator[tuple[Key, Ranking]]:
    """Rank the negatives in the geometry of each cell, of the tuned study of those chosen."""
    for setting in _compared(trained):
        for seed in setting.places:
            geometry, vectors = trained.read_head(setting, seed, SPLIT)
            key = Key(setting.study, setting.geometry, seed)
            yield key, rank_negatives(geometry, vectors, asked)


def _compared(trained: Trained) -> list[Setting]:
    return [*trained.chosen_settings(), *trained.settings(trained.beside)]


def compare_cells(rankings: dict[Key, Ranking]) -> Found:
    """Compare networks of one study two by two.

    Yields:
        A row for each pair: kind `network`, study, first and second geometry with their seeds, mean
        jaccard and correlation over anchors; and both of each anchor.
    """
    for (a, one), (b, other) in combinations(rankings.items(), 2):
        if a.study == b.study:
            yield _compare("network", a, b, one, other)


def compare_views(trained: Trained, asked: Asked, rankings: dict[Key, Ranking]) -> Found:
    """Compare how two geometries rank the outputs of one network.

    Of the tuned study each geometry is compared with each other, else with the first of its study.

    Yields:
        As `compare_cells`, with kind `view`; the first geometry trained the network.
    """
    settings = _compared(trained)
    first: dict[str, Setting] = {}
    for setting in settings:
        first.setdefault(setting.study, setting)
    for setting in settings:
        views = [one for one in settings if one.study == setting.study and one != setting]
        if setting.study != trained.tuned:
            views = [one for one in views if one == first[setting.study]]
        for seed in setting.places:
            _, vectors = trained.read_head(setting, seed, SPLIT)
            key = Key(setting.study, setting.geometry, seed)
            for view in views:
                geometry: Geometry = trained.read_head(view, seed, SPLIT)[0]
                other = rank_negatives(geometry, vectors, asked)
                yield _compare(
                    "view", key, Key(view.study, view.geometry, seed), rankings[key], other
                )


def _compare(
    kind: str, a: Key, b: Key, one: Ranking, other: Ranking
) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    arrays = {"jaccard": share_hardest(one, other), "correlation": correlate(one, other)}
    row = {
        "kind": kind,
        "study": a.study,
        "first": a.geometry,
        "first_seed": a.seed,
        "second": b.geometry,
        "second_seed": b.seed,
        **{name: float(np.nanmean(values)) for name, values in arrays.items()},
    }
    return row, {name: values.astype(np.float32) for name, values in arrays.items()}
