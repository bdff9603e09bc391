"""reports/README.md: the answer first, then where everything is; and metrics.json for `dvc exp show`."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from geomix.report.intervals import Difference
from geomix.report.studies import BASELINES, CHOOSES, Study, average_baselines, over_seeds, own
from geomix.report.sweeps import WITHOUT_EFFECT
from geomix.report.text import gap, join_words, markdown_table, number, percent

PAGES = {
    "comparison.md": "the geometries side by side: all metrics, baselines, intervals, queries with their neighbours",
    "temperature.md": "R@1 over the temperature",
    "curvature.md": "R@1 over the curvature, down to the flat limit",
    "dataset.md": "the data set and its splits",
}


def at_chosen_tau(study: Study, cells: Mapping[str, Sequence[str]], split: str) -> pd.DataFrame:
    """Average the cells at each geometry's val-chosen tau over seeds; a row for each geometry."""
    rows = own(study.metrics, split)
    return over_seeds(
        rows[rows["cell"].isin([cell for names in cells.values() for cell in names])],
        ["geometry", "tau", "curvature"],
    )


def answer(
    dataset: str, chosen: pd.DataFrame, differences: Mapping[tuple[str, str], Difference]
) -> str:
    """Say in one sentence whether curved space helped: every figure, `flat` named, and whether
    curvature acted.

    Args:
        dataset: Its name.
        chosen: Rows of `at_chosen_tau` on test, among them euclidean, flat and hyperbolic.
        differences: In test R@1, by pair of geometries.
    """
    row_of = {row["geometry"]: row for _, row in chosen.iterrows()}
    against_flat = differences["hyperbolic", "flat"]
    heads = {
        "higher": "hyperbolic space did better than flat",
        "lower": "hyperbolic space did worse than flat",
        "no difference found": "no effect of hyperbolic space was found",
        "one seed, not tested": "nothing can be said of hyperbolic space yet (one seed)",
    }
    scores = {
        name: f"{percent(row[CHOOSES], row[f'{CHOOSES}_sd'])} (tau {number(row['tau'])})"
        for name, row in row_of.items()
    }
    others = [
        f"{name} {score}" for name, score in scores.items() if name not in ("hyperbolic", "flat")
    ]
    curvature = number(row_of["hyperbolic"]["curvature"])
    seeds = int(chosen["seeds"].min())
    return (
        f"**On {dataset} at curvature {curvature}, {heads[against_flat.verdict]}: with each geometry at the temperature its "
        f"own validation classes chose, test R@1 in percent is {scores['hyperbolic']} for hyperbolic and {scores['flat']} for "
        f"flat, its control without curvature, a difference of {gap(against_flat)}, beside {join_words(others)}; "
        f"{_acting(chosen)} ({seeds} {'seed' if seeds == 1 else 'seeds'}; mean ± s.d.; 95 % intervals in brackets).**"
    )


def explanation(differences: Mapping[tuple[str, str], Difference]) -> str:
    """Say how the geometries compare with plain cosine, and what flat's share in that means."""
    pairs = {
        (a, b): difference
        for (a, b), difference in differences.items()
        if b == "euclidean" or (a, b) == ("hybrid", "flat")
    }
    listed = "; ".join(
        f"{a} minus {b} {gap(difference)} ({difference.verdict})"
        for (a, b), difference in pairs.items()
    )
    curved, flat = differences["hyperbolic", "euclidean"], differences["flat", "euclidean"]
    if (
        curved.verdict == flat.verdict == "higher"
        and differences["hyperbolic", "flat"].verdict == "no difference found"
    ):
        return f"In test R@1, {listed}. Flat gains over cosine as hyperbolic does, so no curved space is needed to explain the gain."
    return f"In test R@1, {listed}."


def _acting(chosen: pd.DataFrame) -> str:
    """Say in which geometries curvature could act on a ranking, and in which it did not."""
    curved = chosen[chosen["curved"] > 0]
    still = [
        row["geometry"] for _, row in curved.iterrows() if row["rank_correlation"] > WITHOUT_EFFECT
    ]
    moving = [
        f"{row['geometry']} ({row['rank_correlation']:.4f})"
        for _, row in curved.iterrows()
        if row["geometry"] not in still
    ]
    parts = []
    if still:
        parts.append(
            f"in {join_words(still)} curvature did not act on any ranking, only on the loss (rank correlation with cosine above "
            f"{WITHOUT_EFFECT})"
        )
    if moving:
        parts.append(f"rankings depart from cosine's in {join_words(moving)}")
    return " and ".join(parts)


def summary_rows(
    chosen: pd.DataFrame, headline: pd.DataFrame | None, baselines: Study
) -> list[dict[str, str]]:
    """Give the table of the first page: a row for each geometry and baseline, with a column of the headline's if there is one."""
    at_headline = (
        {} if headline is None else {row["geometry"]: row for _, row in headline.iterrows()}
    )
    column = "" if headline is None else f"at tau {number(headline['tau'].iloc[0])}: test R@1, %"
    rows = []
    for _, row in chosen.iterrows():
        same = at_headline.get(row["geometry"])
        rows.append(
            {
                "geometry": row["geometry"],
                "searched": "head, own similarity",
                "val-chosen tau": number(row["tau"]),
                **_scores(row),
                "rank correlation with cosine": f"{row['rank_correlation']:.4f}",
            }
            | (
                {column: "-" if same is None else percent(same[CHOOSES], same[f"{CHOOSES}_sd"])}
                if column
                else {}
            )
        )
    for _, row in average_baselines(baselines, "test").iterrows():
        name = row["geometry"]
        searched = (
            f"{'head' if name == BASELINES['untrained'] else name.removeprefix('raw ')}, cosine"
        )
        rows.append(
            dict.fromkeys(rows[0], "-") | {"geometry": name, "searched": searched, **_scores(row)}
        )
    return rows


def _scores(row: pd.Series) -> dict[str, str]:
    return {
        "test R@1, %": percent(row[CHOOSES], row[f"{CHOOSES}_sd"]),
        "test MAP@R, %": percent(row["map_at_r"], row["map_at_r_sd"]),
        "seeds": str(row["seeds"]),
    }


def metrics_json(chosen: pd.DataFrame, headline: pd.DataFrame) -> bytes:
    """Give the few numbers that `dvc exp show` and `dvc metrics diff` print."""
    content: dict[str, Any] = {}
    for _, row in chosen.iterrows():
        content[row["geometry"]] = {
            "val_chosen_tau": row["tau"],
            "test_recall_at_1_at_chosen_tau": round(row[CHOOSES], 6),
        }
    for _, row in headline.iterrows():
        content.setdefault(row["geometry"], {})["test_recall_at_1_at_headline_tau"] = round(
            row[CHOOSES], 6
        )
    return (json.dumps(content, indent=2) + "\n").encode()


def index_page(
    dataset: str,
    compare: Study,
    sweep: Study,
    cells: Mapping[str, Sequence[str]],
    baselines: Study,
    differences: Mapping[tuple[str, str], Difference],
    effects: Sequence[str],
    edges: str,
    curvatures: str,
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
        edges: Which of the chosen temperatures lie at an edge of their grid.
        curvatures: What validation chose in the curvature study, and whether that was tested.
    """
    chosen = at_chosen_tau(sweep, cells, "test")
    headline = over_seeds(own(compare.metrics, "test"), ["geometry", "tau"])
    pages = "\n".join(f"- [{name}]({name}): {what}" for name, what in PAGES.items())
    listed = "\n".join(f"- {effect}" for effect in effects)
    page = f"""# Does curved space help?

{answer(dataset, chosen, differences)}

{explanation(differences)}

{markdown_table(summary_rows(chosen, headline, baselines))}

Temperatures that validation chose. {edges}

## Over the curvature

The comparison above pins the curvature and did not choose it; this study moves it, at one pinned temperature.

{listed}

Curvatures that validation chose. {curvatures}

## Pages

{pages}

Settings were chosen on val classes alone; test classes only scored. A query is never its own neighbour; all other samples
of its split are searched. R@1 is the share of queries whose nearest sample is of the query's class; MAP@R averages the
precision over the first R ranks, R being the number of samples of that class. `flat` is the ball's limit at curvature 0
with the same features, scale and clip radius: what it reaches too needs no curvature. "No difference found" means that
the 95 % interval holds zero; it is a result.
"""
    return {"README.md": page.encode(), "metrics.json": metrics_json(chosen, headline)}
