"""Results of small made-up studies, scored by the code that scores real ones."""

import shutil
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from matplotlib.cbook import is_math_text
from matplotlib.figure import Figure
from matplotlib.table import Table
from matplotlib.text import Text
from pydantic import TypeAdapter

from geomix.config.read import load
from geomix.config.sections import Geometry
from geomix.config.stages import PageParams
from geomix.config.studies import Report, Study
from geomix.data.packed import Packed, open_packed
from geomix.evaluate.score import score_study
from geomix.files import write_json
from geomix.report.findings import Findings, find
from geomix.report.results import Results, read_results
from geomix.report.settled import System
from tests.conftest import ROOT

SPHERE = {"name": "cosine", "weight": 1.0, "space": "sphere"}
FLAT = {"name": "distance", "weight": 1.0, "space": "flat", "scale": 1.0, "clip_radius": 2.3}
BALL = FLAT | {"space": "ball", "curvature": 0.5}
SPACES = {
    "euclidean": [SPHERE],
    "flat": [FLAT],
    "hyperbolic": [BALL],
    "hybrid": [SPHERE, BALL | {"scale": 0.2}],
}
GEOMETRIES: dict[str, Geometry] = {
    name: TypeAdapter(Geometry).validate_python(
        {
            str(space["name"]): {key: space[key] for key in space if key != "name"}
            for space in spaces
        }
    )
    for name, spaces in SPACES.items()
}
MACHINE = {"python": "3", "torch": "2", "timm": "1", "device": "CPU"}
SEEDS = (0, 1)
TAUS, CURVATURES, RATES = [0.05, 0.1, 0.2], [0, 0.5], [0.001, 0.01]


def make_study(geometries: list[str], group: str, **over: Any) -> Study:
    """Return a study of params.yaml."""
    return Study.model_validate({"run": {"geometries": geometries, "seeds": [group]}, "over": over})


STUDIES = {
    "compare": make_study(list(SPACES), "0-1"),
    "tau": make_study(list(SPACES), "0-1", tau=TAUS),
    "curvature": make_study(["hyperbolic"], "0", curvature=CURVATURES),
    "rate": make_study(["euclidean", "flat"], "0-1", optim={"learning_rate": RATES}),
    "grid": make_study(["euclidean", "hyperbolic"], "0-1", tau=TAUS, curvature=CURVATURES),
}


def write_cell(
    folder: Path,
    packed: Packed,
    cell: dict[str, Any],
    spaces: list[dict[str, Any]] | None,
    noise: float,
) -> None:
    """Write a cell whose classes stand apart by noise alone; without spaces, a baseline."""
    random = np.random.default_rng([cell.get("seed") or 0, int(1000 * noise)])
    vectors = {}
    for split in ("val", "test"):
        labels = pd.factorize(packed.samples["label"].to_numpy()[packed.rows(split)])[0]
        centres = 6 * np.eye(8)[labels]
        for name in ("head", "backbone") if cell["geometry"] != "pixels" else ("pixels",):
            points = centres + noise * random.normal(size=centres.shape)
            vectors[f"{split}_{name}"] = points.astype(np.float32)
    folder.mkdir(parents=True)
    np.savez(folder / "embeddings.npz", allow_pickle=False, **vectors)
    description: dict[str, Any] = {"cell": cell, "machine": MACHINE}
    if spaces:
        description |= {"tau": cell["tau"], "spaces": spaces}
    write_json(folder / "geometry.json", description)


def list_cells(study: Study) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the place of each cell of a study with what makes it."""
    settings = product(study.geometries, *study.axes.values())
    made = [(geometry, values, seed) for geometry, *values in settings for seed in study.seeds]
    for place, (geometry, values, seed) in zip(study.cells(), made, strict=True):
        knobs = {"tau": 0.1, "curvature": 0.5, "lam": 1.0}
        varied = dict(zip(study.axes, values, strict=True))
        yield place, {"geometry": geometry, "seed": seed} | knobs | varied


def choose_spaces(cell: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the spaces of a cell; a ball of curvature 0 is flat."""
    if cell["geometry"] == "hyperbolic" and cell["curvature"] == 0:
        return [FLAT]
    return SPACES[cell["geometry"]]


def write_results(root: Path, packed: Packed) -> Path:
    """Write and score the studies; tau 0.1 and curvature 0.5 are the best, rate 0.01 too."""
    for name, study in STUDIES.items():
        for place, cell in list_cells(study):
            noise = 1.5 + 2 * (cell["tau"] != 0.1)
            if name in ("curvature", "grid"):
                noise += 1 - cell["curvature"]
            if name == "rate":
                noise += 1 - 50 * cell["optim.learning_rate"]
            write_cell(root / "runs" / name / place, packed, cell, choose_spaces(cell), noise)
    below = root / "runs" / "baselines"
    write_cell(below / "pixels", packed, {"geometry": "pixels"}, None, 4.0)
    for seed in SEEDS:
        cell = {"geometry": "untrained", "seed": seed}
        write_cell(below / f"untrained-{seed}", packed, cell, None, 6.0)
    cells = {name: study.cells() for name, study in STUDIES.items()}
    cells["baselines"] = ["pixels", *(f"untrained-{seed}" for seed in SEEDS)]
    for name, places in cells.items():
        score_study(root / "runs" / name, places, packed, root / "results" / name, name)
    return root / "results"


@pytest.fixture(scope="session")
def kept_results(tmp_path_factory: pytest.TempPathFactory, kept_packed: Path) -> Path:
    """Return the folder of the scored studies, which all tests share and none changes."""
    return write_results(tmp_path_factory.mktemp("scored"), open_packed(kept_packed))


@pytest.fixture
def results(tmp_path: Path, kept_results: Path) -> Path:
    """Return a copy of the folder of the scored studies."""
    return Path(shutil.copytree(kept_results, tmp_path / "results"))


@pytest.fixture(scope="session")
def baselines(kept_results: Path) -> Results:
    """Return the results of the baselines."""
    return read_results(kept_results / "baselines")


@pytest.fixture(scope="session")
def found(kept_results: Path, kept_packed: Path, baselines: Results) -> dict[str, Findings]:
    """Return what each study found."""
    packed = open_packed(kept_packed)
    return {
        name: find(name, study, read_results(kept_results / name), baselines, packed, GEOMETRIES)
        for name, study in STUDIES.items()
    }


@pytest.fixture(scope="session")
def params() -> PageParams:
    """Return what trained the cells; pictures have few queries."""
    params = load(PageParams, path=ROOT / "params.yaml")
    return params.model_copy(update={"report": Report(queries=2, answer="tau")})


def make_system(
    name: str, labels: str = "given", geometry: str = "euclidean", **full: Any
) -> System:
    """Return a system with some settings, all its own."""
    plain = {"tau": 0.1, "curvature": 0.1, "lam": 1, "negatives": {"rule": "uniform"}}
    settled = plain | full | {"labels": labels}
    return System(name, labels, geometry, "", None, [], settings=full, full=settled)


def list_texts(figure: Figure) -> list[Text]:
    """Return all texts that a figure draws, those of ticks and tables too."""
    figure.draw_without_rendering()
    tables = [one for one in figure.findobj(Table) if isinstance(one, Table)]
    cells = [cell.get_text() for table in tables for cell in table.get_celld().values()]
    return [*(one for one in figure.findobj(Text) if isinstance(one, Text)), *cells]


def read_literally(texts: list[Text]) -> str:
    """Return what texts show, none of it as a formula."""
    shown = []
    for text in texts:
        written = text.get_text()
        assert not (text.get_parse_math() and is_math_text(written)), written
        shown.append(written.replace(r"\$", "$") if text.get_parse_math() else written)
    return "\n".join(shown)


def write_one_seed(results: Path) -> Path:
    """Leave in all studies of a folder of results the first seed alone."""
    for path in results.glob("*/metrics.csv"):
        metrics = pd.read_csv(path)
        metrics[metrics["seed"].fillna(0) == 0].to_csv(path, index=False)
    return results


ONE_SEED = {
    name: study.model_copy(update={"run": study.run.model_copy(update={"seeds": ["0"]})})
    for name, study in STUDIES.items()
}
