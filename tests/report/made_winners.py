"""Made-up winners of a search, in the files that evaluate and tuning write."""

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from geomix.config.read import load
from geomix.config.sections import Geometry
from geomix.config.stages import FrontParams, TrainParams
from geomix.config.tuning import PACKED, Tuning
from geomix.data.packed import Packed, open_packed
from geomix.files import write_json
from geomix.report.lineage import DIRECTIONS, LINEAGE_SCORE
from tests.conftest import ROOT, write_packed
from tests.report.conftest import MACHINE

SPACES: Mapping[str, Geometry] = load(TrainParams, path=ROOT / "params.yaml").geometry
NAMES = (
    "euclidean",
    "chord",
    "power",
    "flat_free",
    "dot",
    "hyperbolic_free",
    "hybrid_flat",
    "hybrid_free",
)
CURVED = ("hyperbolic_free", "hybrid_free")
SCORE = 0.5  # of a geometry without a gain
NONE = {"clipped_share": math.nan, "radius_mean": math.nan, "radius_sd": math.nan}
FREE = {"clipped_share": 0.0, "radius_mean": 2.0, "radius_sd": 0.5}
ONE = {"clipped_share": 0.0, "radius_mean": 2.3, "radius_sd": 0.0}
TAU = 0.1  # that val chose


@dataclass(frozen=True)
class Made:
    """What is made up of the winners of a data set.

    Attributes:
        gains: By geometry, what its score is above `SCORE`, in points; 0 where not said.
        noise: Standard deviation of a class and of a seed in one geometry, in points.
        names: The geometries that were trained.
        seeds: Of each.
        metrics: What is scored.
        baseline: The score of raw input and of the untrained network, in points.
        constants: Of lineages, the scores of rankings that ignore the query, in points.
        forced: Geometries whose points lie at one radius.
        unused: Geometries whose curvature bends nothing.
        val: By geometry its val score in points; else as its gain says.
        directions: By direction what the val scores of its networks are in it; else as `val` says.
    """

    gains: Mapping[str, float] = field(default_factory=dict)
    noise: float = 0.3
    names: tuple[str, ...] = NAMES
    seeds: int = 5
    metrics: tuple[str, ...] = ("map_at_r",)
    baseline: float = 20
    constants: tuple[float, float] = (10, 30)
    forced: Collection[str] = ()
    unused: Collection[str] = ()
    val: Mapping[str, float] = field(default_factory=dict)
    directions: Mapping[str, Mapping[str, float]] = field(default_factory=dict)

    @property
    def lineages(self) -> bool:
        """Whether these are scores of lineages."""
        return self.metrics == tuple(DIRECTIONS)

    def write(self, root: Path, packed: Packed, splits: Collection[int] = ()) -> None:
        """Write the folders `results` and `settings`."""
        groups = group_queries(packed, self.metrics)
        for seed, split in enumerate((PACKED, *map(str, splits))):
            folder = root / "results" / "winners" / split
            write_study(folder, *self._winners(groups, seed, split))
        write_study(root / "results" / "baselines", *self._baselines(groups))
        for name in self.names:
            folder = root / "settings" / name / "winner"
            folder.mkdir(parents=True)
            settings = {"tau": TAU, "head.norm": "batch"}
            settings |= {"curvature": 0.7} if name in CURVED else {}
            write_json(folder / "winner.json", {"geometry": name, "settings": settings})
            best = self._score_val(name)
            table = pd.DataFrame(
                {
                    "trial": [0, 1, 2],
                    "head.norm": ["none", "layer", "batch"],
                    "score": [best - 0.1, best, math.nan],
                    "standard_error": [0.02, 0.03, math.nan],
                }
            )
            table.to_csv(folder / "history.csv", index=False)

    def _winners(self, groups: Mapping[str, np.ndarray], seed: int, split: str) -> tuple[Any, Any]:
        """Return the rows of the metrics, and the values of each query."""
        random, rows, arrays = np.random.default_rng(seed), [], {}
        for name in self.names:
            values = {metric: self._draw(name, of, random) for metric, of in groups.items()}
            for number in range(self.seeds):
                cell = f"{name}/{split}/{10 + number}"
                row = {"cell": cell, "geometry": name, "seed": 10 + number, "tau": TAU}
                row |= {"vector": "head", "similarity": "own"} | self._describe(name)
                scores = {metric: of[number] for metric, of in values.items()}
                means = {metric: np.nanmean(of) for metric, of in scores.items()}
                if self.lineages:
                    means[LINEAGE_SCORE] = np.mean(list(means.values()))
                rows.append(row | {"split": "test"} | means)
                rows.append(row | {"split": "test", "similarity": "cosine"} | means)
                scored = [*groups, LINEAGE_SCORE] if self.lineages else [*groups]
                val = {metric: self._score_direction(name, metric) for metric in scored}
                rows.append(row | {"split": "val"} | val)
                for metric, of in scores.items():
                    arrays[f"{cell}/test/head/own/{metric}"] = of.astype(np.float32)
        return rows, arrays

    def _score_val(self, name: str) -> float:
        """Return the highest val score of a geometry."""
        return self.val.get(name, 100 * SCORE + self.gains.get(name, 0)) / 100

    def _score_direction(self, name: str, metric: str) -> float:
        """Return the val score of the networks of a geometry."""
        own = self.directions.get(metric, {}).get(name)
        return self._score_val(name) if own is None else own / 100

    def _draw(self, name: str, groups: np.ndarray, random: np.random.Generator) -> np.ndarray:
        """Draw the values of each query, (S, Q), with an effect for each class and each seed."""
        count = groups.max() + 1
        of_class = random.normal(size=count)
        of_seed = random.normal(size=self.seeds) / math.sqrt(count)
        effects = of_class[groups] + of_seed[:, None]
        score = 100 * SCORE + self.gains.get(name, 0) + self.noise * effects
        return np.where(groups < 0, math.nan, score / 100)

    def _describe(self, name: str) -> dict[str, Any]:
        """Return what acted in a geometry."""
        curved = name in CURVED
        radii = {"euclidean": NONE, "power": NONE, "chord": ONE}.get(name, FREE)
        return {
            "curved": curved or name == "power",
            **(ONE if name in self.forced else radii),
            "rank_correlation": 0.9,
            "spread_degrees": 60.0,
            "radius_relative": 1.7 if curved else math.nan,
            "bend": (0.01 if name in self.unused else 0.6) if curved else math.nan,
            "bend_beyond_kernel": 0.2 if curved else math.nan,
            "effective_negatives": 90.0,
            "negatives": 800.0,
        }

    def _baselines(self, groups: Mapping[str, np.ndarray]) -> tuple[Any, Any]:
        scores = {("vectors", "vectors", "cosine"): self.baseline}
        scores[("untrained", "head", "cosine")] = self.baseline - 1
        if self.lineages:
            for name, score in zip(("depth", "descendants"), self.constants, strict=True):
                scores[(name, "tree", "constant")] = score
        rows, arrays = [], {}
        for (name, vector, similarity), score in scores.items():
            row = {"cell": name, "geometry": name, "seed": 0, "split": "test"}
            row |= {"vector": vector, "similarity": similarity}
            scored = [*groups, LINEAGE_SCORE] if self.lineages else [*groups]
            rows.append(row | dict.fromkeys(scored, score / 100))
            for metric, of in groups.items():
                values = np.where(of < 0, math.nan, score / 100)
                arrays[f"{name}/test/{vector}/{similarity}/{metric}"] = values.astype(np.float32)
        return rows, arrays


def group_queries(packed: Packed, metrics: Collection[str]) -> dict[str, np.ndarray]:
    """Return by metric a number for what each query belongs to; -1 where it has no score."""
    test, train = packed.rows("test"), packed.rows("train")
    if "leaf_ancestors" not in metrics:
        labels = pd.factorize(packed.samples["label"].to_numpy()[test])[0]
        return dict.fromkeys(metrics, labels)
    paths = packed.samples["lineage"].str.rpartition("/")[0].to_numpy()
    leaf = packed.samples["lineage"].str.count("/").to_numpy() == 2
    below = pd.factorize(paths[train])[0]
    return {
        "leaf_ancestors": pd.factorize(paths[test])[0],
        "inner_leaves": np.where(leaf[train], -1, below),
    }


def write_study(folder: Path, rows: list[dict[str, Any]], arrays: dict[str, np.ndarray]) -> None:
    """Write what evaluate writes of a study."""
    folder.mkdir(parents=True)
    pd.DataFrame(rows).to_csv(folder / "metrics.csv", index=False, float_format="%.9g")
    np.savez(folder / "per_query.npz", allow_pickle=False, **arrays)
    write_json(folder / "machine.json", [MACHINE])


def write_tree(folder: Path) -> Packed:
    """Write a packed data set whose samples lie in a tree, inner nodes in train alone."""
    packed = open_packed(write_packed(folder, classes=60))
    samples = packed.samples
    rank = samples.groupby("split").cumcount()
    branch, twig = (rank % 4).map("branch {}".format), (rank // 4 % 5).map("twig {}".format)
    leaf = branch + "/" + twig + "/leaf " + samples["id"]
    inner = (branch + "/" + twig).where(rank % 3 > 0, branch)
    held = (samples["split"] != "train") | (rank >= 60)
    samples.assign(lineage=leaf.where(held, inner)).to_csv(folder / "samples.csv", index=False)
    return open_packed(folder)


def tuned_study(names: Collection[str], **budget: Any) -> Tuning:
    """Return the search on glyphs as params.yaml has it, with some of its budget changed."""
    study = load(FrontParams, path=ROOT / "params.yaml").tune.winners("glyphs")
    run = study.run.model_copy(update={"geometries": list(names)})
    spent = study.budget.model_copy(update={"splits": []} | budget)
    return study.model_copy(update={"run": run, "budget": spent})
