"""Results of a small made-up study, scored by the code that scores real ones."""

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from geomix.data.packed import Packed, open_packed
from geomix.evaluate.score import score_study
from geomix.files import write_json

SPHERE = {"name": "cosine", "weight": 1.0, "space": "sphere"}
FLAT = {"name": "distance", "weight": 1.0, "space": "flat", "scale": 1.0, "clip_radius": 2.3}
BALL = {
    "name": "distance",
    "weight": 1.0,
    "space": "ball",
    "curvature": 0.5,
    "scale": 1.0,
    "clip_radius": 2.3,
}
SPACES = {
    "euclidean": [SPHERE],
    "flat": [FLAT],
    "hyperbolic": [BALL],
    "hybrid": [SPHERE, BALL | {"scale": 0.2}],
}
TAUS, CURVATURES, SEEDS = (0.05, 0.1, 0.2), (0, 0.5), (0, 1)
MACHINE = {"python": "3", "torch": "2", "timm": "1", "device": "CPU"}


def write_cell(
    folder: Path,
    packed: Packed,
    cell: dict[str, Any],
    spaces: list[dict[str, Any]] | None,
    noise: float,
) -> None:
    """Write a cell whose classes stand apart by noise alone; a baseline where there are no spaces."""
    random = np.random.default_rng([cell.get("seed") or 0, int(1000 * noise)])
    vectors = {}
    for split in ("val", "test"):
        labels = pd.factorize(packed.samples["label"].to_numpy()[packed.rows(split)])[0]
        centres = 6 * np.eye(8)[labels]
        for name in ("head", "backbone") if cell["geometry"] != "pixels" else ("pixels",):
            vectors[f"{split}_{name}"] = (
                centres + noise * random.normal(size=centres.shape)
            ).astype(np.float32)
    folder.mkdir(parents=True)
    np.savez(folder / "embeddings.npz", allow_pickle=False, **vectors)
    description: dict[str, Any] = {"cell": cell, "machine": MACHINE}
    if spaces:
        description |= {"tau": cell["tau"], "spaces": spaces}
    write_json(folder / "geometry.json", description)


def write_results(root: Path, packed: Packed) -> Path:
    """Write and score the four studies; tau 0.1 is the best temperature."""
    studies: dict[str, list[str]] = {"compare": [], "tau": [], "curvature": [], "baselines": []}

    def add(
        study: str,
        name: str,
        cell: dict[str, Any],
        spaces: list[dict[str, Any]] | None,
        noise: float,
    ) -> None:
        write_cell(root / "runs" / study / name, packed, cell, spaces, noise)
        studies[study].append(name)

    for geometry, spaces in SPACES.items():
        for seed in SEEDS:
            cell = {"geometry": geometry, "seed": seed, "curvature": 0.5, "lam": 1.0}
            add("compare", f"{geometry}-{seed}", cell | {"tau": 0.1}, spaces, 2.5)
            for tau in TAUS:
                add(
                    "tau",
                    f"{geometry}-{tau}-{seed}",
                    cell | {"tau": tau},
                    spaces,
                    1.5 + 2 * (tau != 0.1),
                )
    for curvature in CURVATURES:
        cell = {"geometry": "hyperbolic", "seed": 0, "tau": 0.1, "curvature": curvature, "lam": 1.0}
        spaces = [BALL | {"curvature": curvature}] if curvature else [FLAT]
        add("curvature", f"hyperbolic-{curvature}-0", cell, spaces, 2.5 - curvature)
    add("baselines", "pixels", {"geometry": "pixels"}, None, 4.0)
    for seed in SEEDS:
        add("baselines", f"untrained-{seed}", {"geometry": "untrained", "seed": seed}, None, 6.0)
    for study, cells in studies.items():
        score_study(root / "runs" / study, cells, packed, root / "results" / study, study)
    return root / "results"


@pytest.fixture(scope="session")
def kept_results(tmp_path_factory: pytest.TempPathFactory, kept_packed: Path) -> Path:
    """Give the folder of the scored studies, which all tests share and none changes."""
    return write_results(tmp_path_factory.mktemp("scored"), open_packed(kept_packed))


@pytest.fixture
def results(tmp_path: Path, kept_results: Path) -> Path:
    """Give a copy of the folder of the scored studies."""
    return Path(shutil.copytree(kept_results, tmp_path / "results"))


@pytest.fixture
def params() -> dict[str, Any]:
    """Give what the report reads of params.yaml."""
    return {
        "dataset": "patterns",
        "tau": 0.1,
        "split": {"seed": 0, "train": 0.4},
        "report": {"queries": 3},
    }
