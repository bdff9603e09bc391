"""Few large classes: time and memory of each stage, beside a stated bound of memory.

    python -m bench.large                      # 120,000 queries in 6 classes
    python -m bench.large --queries 20000

Vectors of one's own, whose test split is all queries. Lists as long as a class of 20,000 for all of
them would be 2.4 billion numbers, for each search. Each stage runs as a process of its own, on one
thread. Memory is that of the process, Python and its libraries included.
"""

import shutil
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
from ruamel.yaml import YAML

from bench import ROOT
from bench.folder import run_stage
from stages import Arguments

QUERIES, CLASSES, DIMENSIONS = 120_000, 6, 64
OTHERS = 400  # vectors of train and val, in 8 classes
NOISE = 2.0  # s.d. of the vectors around their class, whose centres have 1
# Bytes that a stage may take: for itself with its libraries, for each vector, which its row of the
# table dominates, and for each number of all vectors. The number of classes is in none of them.
BOUNDS = {
    "download": (400e6, 800, 8),
    "preprocess": (400e6, 1600, 16),
    "baselines": (1000e6, 1600, 24),
    "evaluate": (2000e6, 1600, 64),
}


def write_vectors(folder: Path, queries: int) -> None:
    """Write vectors.npy and table.csv with its splits."""
    random = np.random.default_rng(0)
    labels = np.arange(queries) % CLASSES
    splits = np.full(queries, "test", dtype=object)
    labels = np.append(labels, CLASSES + np.arange(OTHERS) % 8)
    splits = np.append(splits, np.where(np.arange(OTHERS) % 8 < 4, "train", "val"))
    centres = random.standard_normal((CLASSES + 8, DIMENSIONS)).astype(np.float32)
    noise = random.standard_normal((len(labels), DIMENSIONS), np.float32)
    np.save(folder / "vectors.npy", centres[labels] + np.float32(NOISE) * noise)
    table = pd.DataFrame({"label": [f"c{label}" for label in labels], "split": splits})
    table.to_csv(folder / "table.csv", index=False)


def write_params(path: Path, folder: Path) -> None:
    """Write a params.yaml that names the vectors."""
    yaml = YAML()
    yaml.width = 10**6
    content = yaml.load((ROOT / "params.yaml").read_text(encoding="utf-8"))
    content["dataset"] = "embeddings"
    content["embeddings"].update(path=str(folder / "vectors.npy"), table="table.csv")
    content["backbone"].update(name="mlp", width=64, depth=1)
    content["baselines"].update(seeds=["0"])
    with path.open("w", encoding="utf-8") as file:
        yaml.dump(content, file)


def main() -> None:
    """Make the vectors, run the stages and say whether they keep the bounds."""
    arguments = Arguments(description=__doc__)
    arguments.add_argument("--queries", type=int, default=QUERIES)
    given = arguments.parse_args()
    work = Path(tempfile.mkdtemp(prefix="geomix-large-"))
    stages = {
        "download": "--dataset embeddings --out raw",
        "preprocess": "--dataset embeddings --raw raw --out packed",
        "baselines": "--seeds 0 --data packed --out runs",
        "evaluate": "--study baselines --runs runs --data packed --out results",
    }
    count = given.queries + OTHERS
    try:
        (work / "own").mkdir()
        write_vectors(work / "own", given.queries)
        write_params(work / "params.yaml", work / "own")
        for stage, line in stages.items():
            found = run_stage(work, stage, *line.split())
            fixed, row, number = BOUNDS[stage]
            bound = (fixed + count * (row + number * DIMENSIONS)) / 1e6
            kept = "within" if found["megabytes"] <= bound else "above"
            figures = f"{found['seconds']:.0f} s, {found['megabytes']:.0f} MB"
            print(f"{stage}: {figures}, {kept} the bound of {bound:.0f} MB", flush=True)
        metrics = pd.read_csv(work / "results" / "metrics.csv")
    finally:
        shutil.rmtree(work)
    test = metrics[metrics["split"] == "test"]
    print(test[["cell", "vector", "similarity", "recall_at_1", "map_at_r"]].to_string(index=False))


if __name__ == "__main__":
    main()
