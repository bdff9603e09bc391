"""reports/README.md: the answer first, then where everything is; and metrics.json for `dvc exp show`."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from geomix.report.intervals import Difference
from geomix.report.studies import CHOOSES, Study, over_seeds, own
from geomix.report.sweeps import effect_on_rankings
from geomix.report.text import join_words, markdown_table, number, percent, points

PAGES = {
    "comparison.md": "the geometries side by side: all metrics, baselines, intervals, queries with their neighbours",
    "temperature.md": "R@1 over the temperature",
    "curvature.md": "R@1 over the curvature, down to the flat limit",
    "dataset.md": "the images and their splits",
}


def at_chosen_tau(study: Study, cells: Mapping[str, Sequence[str]], split: str) -> pd.DataFrame:
    """Average the cells at each geometry's val-chosen tau over seeds; a row for each geometry."""
    rows = own(study.metrics, split)
    return over_seeds(rows[rows["cell"].isin([cell for names in cells.values() for cell in names])], ["geometry", "tau"])


def answer(dataset: str, chosen: pd.DataFrame, differences: Mapping[tuple[str, str], Difference]) -> str:
    """Say in one sentence whether curved space helped: every figure, `flat` named, and whether curvature acted.

    Args:
        dataset: Its name.
        chosen: Rows of `at_chosen_tau` on test.
        differences: In test R@1, by pair of geometries.
    """
    scores = [
        f"{row['geometry']} {percent(row[CHOOSES], row[f'{CHOOSES}_sd'])} (tau {number(row['tau'])})"
        for _, row in chosen.iterrows()
    ]
    seeds = int(chosen["seeds"].min())
    tests = [
        f"{a} minus {b} is {points(gap)} points ({gap.verdict})"
        for (a, b), gap in differences.items()
        if (a, b) in {("hyperbolic", "flat"), ("hyperbolic", "euclidean"), ("hybrid", "flat")}
    ]
    with_radius = chosen[chosen["radius_mean"].notna() & (chosen["geometry"] != "flat")]
    acted = [f"in {row['geometry']} {effect_on_rankings(row['rank_correlation'])}" for _, row in with_radius.iterrows()]
    plural = "seed" if seeds == 1 else "seeds"
    return (
        f"**On {dataset}, each geometry at the temperature its own validation classes chose, test R@1 in percent is "
        f"{join_words(scores)} ({seeds} {plural}, mean ± s.d.); {'; '.join([*tests, *acted])}.**"
    )


def summary_rows(chosen: pd.DataFrame, headline: pd.DataFrame, baselines: Study) -> list[dict[str, str]]:
    """Give the table of the first page: a row for each geometry and baseline."""
    at_headline = {row["geometry"]: row for _, row in headline.iterrows()}
    column = f"at tau {number(headline['tau'].iloc[0])}: test R@1, %" if len(headline) else ""
    rows = []
    for _, row in chosen.iterrows():
        same = at_headline.get(row["geometry"])
        rows.append(
            {
                "geometry": row["geometry"],
                "val-chosen tau": number(row["tau"]),
                "test R@1, %": percent(row[CHOOSES], row[f"{CHOOSES}_sd"]),
                "test MAP@R, %": percent(row["map_at_r"], row["map_at_r_sd"]),
                "rank correlation with cosine": f"{row['rank_correlation']:.4f}",
                column: "-" if same is None else percent(same[CHOOSES], same[f"{CHOOSES}_sd"]),
            }
        )
    part = baselines.metrics[(baselines.metrics["split"] == "test") & baselines.metrics["vector"].isin(["pixels", "head"])]
    for _, row in over_seeds(part, ["geometry"]).iterrows():
        name = {"pixels": "raw pixels, cosine", "untrained": "untrained network, cosine"}[row["geometry"]]
        scores = {
            "test R@1, %": percent(row[CHOOSES], row[f"{CHOOSES}_sd"]),
            "test MAP@R, %": percent(row["map_at_r"], row["map_at_r_sd"]),
        }
        rows.append({"geometry": name, "val-chosen tau": "-", **scores, "rank correlation with cosine": "-", column: "-"})
    return rows


def metrics_json(chosen: pd.DataFrame, headline: pd.DataFrame) -> bytes:
    """Give the few numbers that `dvc exp show` and `dvc metrics diff` print."""
    content: dict[str, Any] = {}
    for _, row in chosen.iterrows():
        content[row["geometry"]] = {"val_chosen_tau": row["tau"], "test_recall_at_1_at_chosen_tau": round(row[CHOOSES], 6)}
    for _, row in headline.iterrows():
        content.setdefault(row["geometry"], {})["test_recall_at_1_at_headline_tau"] = round(row[CHOOSES], 6)
    return (json.dumps(content, indent=2) + "\n").encode()


def index_page(
    dataset: str,
    compare: Study,
    sweep: Study,
    cells: Mapping[str, Sequence[str]],
    baselines: Study,
    differences: Mapping[tuple[str, str], Difference],
    effects: Sequence[str],
) -> dict[str, bytes]:
    """Write README.md and metrics.json.

    Args:
        dataset: Its name.
        compare: The headline study.
        sweep: The temperature study.
        cells: The cells of the sweep at each geometry's val-chosen tau.
        baselines: Raw pixels and the untrained network.
        differences: In test R@1 at those temperatures.
        effects: Sentences of the curvature study, one for each geometry.
    """
    chosen = at_chosen_tau(sweep, cells, "test")
    headline = over_seeds(own(compare.metrics, "test"), ["geometry", "tau"])
    pages = "\n".join(f"- [{name}]({name}): {what}" for name, what in PAGES.items())
    listed = "\n".join(f"- {effect}" for effect in effects)
    page = f"""# Does curved space help?

{answer(dataset, chosen, differences)}

{markdown_table(summary_rows(chosen, headline, baselines))}

## Over the curvature

{listed}

## Pages

{pages}

Settings were chosen on val classes alone; test classes only scored. `flat` is the ball's limit at curvature 0 with the
same features, scale and clip radius: what it reaches too is the kernel's doing, not the curvature's. "No difference
found" means that the 95 % interval holds zero; it is a result.
"""
    return {"README.md": page.encode(), "metrics.json": metrics_json(chosen, headline)}
