"""Made-up results of studies on lineages, and of what lies below them."""

import math
from collections.abc import Sequence
from typing import Any

import pandas as pd

from geomix.report.lineage import METRICS
from geomix.report.results import Results
from tests.report.conftest import MACHINE

TAUS = [0.1, 0.3, 1]
# Test MAP in both directions at the best temperature. The figures are those of a trial on WordNet.
REACHED = {
    "euclidean": (0.195, 0.739),
    "flat_free": (0.272, 0.667),
    "dot": (0.872, 0.603),
    "hyperbolic": (0.22, 0.70),
    "hyperbolic_free": (0.812, 0.61),
}
BELOW = {
    "vectors": (0.059, 0.591),
    "untrained": (0.05, 0.4),
    "depth": (0.317, 0.044),
    "descendants": (0.595, 0.044),
}
NONE = {"clipped_share": math.nan, "radius_mean": math.nan, "radius_sd": math.nan}
FREE = {"clipped_share": 0.0, "radius_mean": 1.5, "radius_sd": 0.4}
ONE = {"clipped_share": 1.0, "radius_mean": 2.3, "radius_sd": 0.0}
RADII = {"euclidean": NONE, "hyperbolic": ONE}
BEST = 0.3  # the temperature that val chooses


def score(up: float, down: float, factor: float) -> dict[str, float]:
    """Return all metrics of a search."""
    scores = dict.fromkeys(METRICS, 0.5 * factor)
    scores |= {"leaf_ancestors": factor * up, "inner_leaves": factor * down}
    return scores | {"lineage_score": factor * (up + down) / 2}


def make_results(
    reached: dict[str, tuple[float, float]] | None = None, taus: Sequence[float] = TAUS
) -> Results:
    """Return results of a study over temperatures: on test another one is the best."""
    rows = []
    for geometry, (up, down) in (reached or REACHED).items():
        curved = geometry.startswith("hyperbolic")
        acted = {"spread_degrees": 60.0, "curved": curved, "radius_relative": math.nan}
        acted |= {"bend": math.nan, "bend_beyond_kernel": math.nan, "negatives": 800.0}
        acted |= {"effective_negatives": 90.0} | RADII.get(geometry, FREE)
        if curved:
            acted |= {"radius_relative": 1.5, "bend": 0.4, "bend_beyond_kernel": 0.2}
        for tau in taus:
            for seed in range(3):
                cell = {"cell": f"{geometry}-{tau}/{seed}", "geometry": geometry, "seed": seed}
                cell |= {"tau": tau, "curvature": 1, "lam": 1}
                for split, best in (("val", BEST), ("test", 1)):
                    factor = (1 if tau in (BEST, best) else 0.8) * (1 + 0.01 * (seed - 1))
                    factor *= 1 if split == "val" or tau == BEST else 1.01
                    search = {"split": split, "vector": "head", "similarity": "own"}
                    rows.append(cell | search | score(up, down, factor) | acted)
                    rows.append(cell | search | {"similarity": "cosine"} | score(0, 0, 1))
    return Results(pd.DataFrame(rows), {}, [MACHINE])


def make_baselines() -> Results:
    """Return raw input, an untrained network, and rankings that ignore the query."""
    rows: list[dict[str, Any]] = []
    for geometry, (up, down) in BELOW.items():
        for seed in range(2 if geometry == "untrained" else 1):
            cell = {"cell": f"{geometry}-{seed}", "geometry": geometry, "seed": seed}
            vector = {"vectors": "vectors", "untrained": "head"}.get(geometry, "none")
            similarity = "none" if vector == "none" else "cosine"
            for split in ("val", "test"):
                search = {"split": split, "vector": vector, "similarity": similarity}
                rows.append(cell | search | score(up, down, 1 + 0.1 * seed))
            if geometry == "untrained":
                rows.append(rows[-1] | {"vector": "backbone"} | score(1, 1, 1))
    return Results(pd.DataFrame(rows), {}, [MACHINE])
