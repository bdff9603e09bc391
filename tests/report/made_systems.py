"""Made-up systems: winners of two seeds, rows as published of one, two ensembles, searches."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd

from geomix.config.read import load
from geomix.config.stages import CellParams
from geomix.data.packed import Packed
from geomix.evaluate.cells import read_cell
from geomix.evaluate.ensembles import build_cell
from geomix.evaluate.score import score_study
from geomix.files import write_json
from geomix.report.system_searches import SystemSearch
from tests.report.conftest import BALL, FLAT, SEEDS, SPHERE, write_cell

UNIT = BALL | {"normalize": True}
PROXIES = {"why": "Proxies need more.", "settings": {"epochs": 6}, "reference": "euclidean_long"}
CLAIM = {"data": "cub200", "score": 85.6, "vector": "head", "protocol": "one seed"}
CURVED = {"tau": 0.2, "curvature": 0.5}


@dataclass(frozen=True)
class Made:
    """A system: its geometry, the noise of its winner, and what its file says."""

    geometry: str
    spaces: list[dict[str, Any]]
    noise: float | None  # none where it runs as published alone
    settings: dict[str, Any]
    words: dict[str, Any]


SYSTEMS: dict[str, Made] = {
    "given/euclidean": Made("euclidean", [SPHERE], 3.5, {}, {}),
    "given/sphvit": Made("euclidean", [SPHERE], 3.5, {}, {}),
    "given/euclidean_long": Made("euclidean", [SPHERE], 3.0, {"epochs": 6}, {}),
    "given/hypvit": Made("hyperbolic", [BALL], 1.5, CURVED, {"twin": "flat", "published": [CLAIM]}),
    "given/flat": Made("flat", [FLAT], 2.9, {"tau": 0.2}, {}),
    "given/proxies": Made("euclidean", [SPHERE], 30.0, {}, {"tuned": PROXIES, "trained": "More"}),
    "given/hypmix": Made(
        "hypmix",
        [SPHERE, UNIT],
        None,
        {
            "negatives": {"rule": "debiased", "tau_plus": 0.1},
            "geometry": {"hypmix": {"cosine": SPHERE, "distance": UNIT}},
        },
        {"twin": "flat"},
    ),
    "hidden/infonce": Made("euclidean", [SPHERE], 3.5, {}, {}),
    "hidden/hypvit": Made(
        "hyperbolic", [BALL], 3.4, CURVED, {"twin": "flat", "published": [CLAIM]}
    ),
}
TUNED = [key for key, one in SYSTEMS.items() if one.noise]
PAIRS = {"geometry": ("euclidean", "hypvit"), "seed": ("euclidean", "euclidean")}


def winner(key: str, seed: int) -> str:
    """Return the place of a winner."""
    labels, name = key.split("/")
    return f"{name}/{labels}/{seed}"


def published(key: str) -> str:
    """Return the place of a published row."""
    labels, name = key.split("/")
    return f"{name}-0/{labels}/0"


def write_settled(folder: Path, root: Path) -> None:
    """Write what stage settle writes."""
    full = load(CellParams, path=root / "params.yaml").model_dump(exclude={"geometry"})
    for key, one in SYSTEMS.items():
        labels, name = key.split("/")
        changed = {setting: v for setting, v in one.settings.items() if setting != "geometry"}
        words = {
            "about": f"About {name}.",
            "source": None,
            "twin": None,
            "tuned": None,
            "trained": None,
            "published": [],
            "full": full | {"tau": 0.1, "labels": labels} | changed,
            **one.words,
        }
        facts = {"system": name, "labels": labels, "geometry": one.geometry}
        for kind, content in (("settings", facts | {"settings": one.settings}), ("words", words)):
            path = folder / kind / name / f"{labels}.json"
            path.parent.mkdir(parents=True, exist_ok=True)
            write_json(path, content)


def write_systems(root: Path, packed: Packed, repository: Path) -> Path:
    """Write and score all cells; noise tells which system is better."""
    runs, winners = root / "runs", root / "winners"
    for key, one in SYSTEMS.items():
        labels, name = key.split("/")
        names = {"system": name, "labels": labels, "geometry": one.geometry}
        knobs = {"tau": 0.1, "curvature": 0.5, "lam": None}
        write_cell(runs / published(key), packed, names | {"seed": 0} | knobs, one.spaces, 5.0)
        for seed in SEEDS if one.noise else ():
            assert one.noise
            cell = names | {"seed": seed} | knobs
            write_cell(winners / winner(key, seed), packed, cell, one.spaces, one.noise)
    ensembles = []
    for pair, (first, second) in PAIRS.items():
        others = SEEDS[::-1] if first == second else SEEDS
        for seed, other in zip(SEEDS, others, strict=True):
            places = winner(f"given/{first}", seed), winner(f"given/{second}", other)
            members = read_cell(winners, places[0]), read_cell(winners, places[1])
            fused = build_cell("similarities", members, 0.4)
            named = f"ensemble: similarities, {pair}"
            identity = fused.identity | {"system": named}
            ensembles.append(replace(fused, name=f"{named}/{seed}", identity=identity))
    results = root / "results"
    rows = [published(key) for key in SYSTEMS]
    score_study(runs, rows, packed, results / "published", "published")
    cells = [winner(key, seed) for key in TUNED for seed in SEEDS]
    score_study(winners, cells, packed, results / "tuned", "tuned", ensembles)
    write_settled(root / "settled", repository)
    return root


@dataclass(frozen=True)
class Found:
    """Where the winner's value of a key lies."""

    key: str
    value: str
    searched: str
    plateau: str
    kind: str


def make_searches() -> list[SystemSearch]:
    """Return a search of two trials for each; one trial of the proxies failed."""
    searches = []
    for key in TUNED:
        labels, name = key.split("/")
        rows = [
            {"round": 1, "trial": "00", "tau": "0.1", "score": 0.5, "standard_error": 0.01},
            {"round": 1, "trial": "01", "tau": "0.9", "score": 0.25, "standard_error": 0.01},
        ]
        trials = pd.DataFrame(rows).assign(
            failure="", best_so_far=0.5, plateau=False, winner=[True, False]
        )
        if name == "proxies":
            trials.loc[1, "score"] = float("nan")
        kind = "edge" if name == "flat" else "inside"
        place = Found("tau", "0.1", "0.01 to 1, log", "0.1", kind)
        searches.append(SystemSearch(name, labels, trials, [place]))
    return searches
