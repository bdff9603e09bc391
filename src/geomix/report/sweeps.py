"""temperature.md and curvature.md: one knob moves, validation chooses, test is shown beside it."""

from collections.abc import Mapping, Sequence

import pandas as pd

from geomix.report.figures import draw_sweep
from geomix.report.studies import Study, average_baselines, choose, name_metrics, over_seeds, own
from geomix.report.text import join_words, markdown_table, number, percent, share

WITHOUT_EFFECT = 0.999  # rank correlation with cosine from which a geometry reorders nothing


def effect_on_rankings(correlation: float, curved: bool = True) -> str:
    """Say whether curvature acted, from the rank correlation between cosine and the geometry's own
    similarity.

    Args:
        correlation: In [-1, 1].
        curved: Whether the geometry has a curvature at all.
    """
    if not curved:
        return f"no curvature (rank correlation with cosine {correlation:.4f})"
    if correlation > WITHOUT_EFFECT:
        return (
            f"curvature did not act on any ranking (rank correlation with cosine {correlation:.4f})"
        )
    return f"radii differ and rankings depart from cosine's (rank correlation {correlation:.4f}), so curvature can act"


def summarise_sweep(study: Study, knob: str) -> dict[str, pd.DataFrame]:
    """Average a sweep over seeds, for val and test."""
    return {
        split: over_seeds(own(study.metrics, split), ["geometry", knob])
        for split in ("val", "test")
    }


def baseline_lines(baselines: Study) -> dict[str, dict[str, float]]:
    """Give R@1 of the baselines, by split and name."""
    tables = {split: average_baselines(baselines, split) for split in ("val", "test")}
    return {
        split: dict(zip(table["geometry"], table["recall_at_1"], strict=True))
        for split, table in tables.items()
    }


def sweep_rows(
    summaries: Mapping[str, pd.DataFrame],
    knob: str,
    chosen: pd.DataFrame,
    baselines: Mapping[str, pd.DataFrame],
) -> list[dict[str, str]]:
    """Give the rows of a sweep's table, baselines last; the value that validation chose is bold."""
    best = dict(zip(chosen["geometry"], chosen[knob], strict=True))
    rows = []
    for (_, val), (_, test) in zip(
        summaries["val"].iterrows(), summaries["test"].iterrows(), strict=True
    ):
        radius = share(test["radius_mean"]) if pd.notna(test["radius_mean"]) else "-"
        row = _scores(val, test) | {
            knob: number(val[knob]),
            "at the clip radius, %": percent(test["clipped_share"]),
            "mean radius": radius,
            "rank correlation with cosine": f"{test['rank_correlation']:.4f}",
        }
        rows.append(
            {name: f"**{cell}**" for name, cell in row.items()}
            if val[knob] == best[val["geometry"]]
            else row
        )
    for (_, val), (_, test) in zip(
        baselines["val"].iterrows(), baselines["test"].iterrows(), strict=True
    ):
        rows.append(dict.fromkeys(rows[0], "-") | _scores(val, test))
    first = ["geometry", knob]
    return [
        {name: row[name] for name in [*first, *(name for name in row if name not in first)]}
        for row in rows
    ]


def _scores(val: pd.Series, test: pd.Series) -> dict[str, str]:
    return {
        "geometry": val["geometry"],
        "val R@1, %": percent(val["recall_at_1"], val["recall_at_1_sd"]),
        "test R@1, %": percent(test["recall_at_1"], test["recall_at_1_sd"]),
        "test MAP@R, %": percent(test["map_at_r"], test["map_at_r_sd"]),
        "seeds": str(val["seeds"]),
    }


def sweep_csv(summaries: Mapping[str, pd.DataFrame], knob: str) -> str:
    """Give the numbers behind a sweep's figure as CSV: a row for each split, geometry and value."""
    table = pd.concat([summary.assign(split=split) for split, summary in summaries.items()])
    metrics = list(name_metrics(table))
    columns = [
        "split",
        "geometry",
        knob,
        "seeds",
        *metrics,
        *(f"{name}_sd" for name in metrics),
        "clipped_share",
        "radius_mean",
        "radius_sd",
        "rank_correlation",
    ]
    return str(table[columns].to_csv(index=False, float_format="%.6f"))


def edge_sentences(chosen: pd.DataFrame, knob: str) -> str:
    """Say for each geometry which value validation chose, whether at an edge of the grid, and how val scores next to that."""
    inside: list[str] = []
    flat: list[str] = []
    edge: list[str] = []
    for row in chosen.itertuples():
        value = getattr(row, knob)
        words = f"{row.geometry} {number(value)}"
        if value == 0:
            flat.append(str(row.geometry))
        elif not row.at_edge:
            inside.append(words)
        elif row.inner == value:
            edge.append(words)
        else:
            scores = percent(row.score, row.score_sd), percent(row.inner_score, row.inner_score_sd)
            edge.append(f"{words} (val R@1 {scores[0]}, {scores[1]} at {number(row.inner)})")
    sentences = []
    if inside:
        sentences.append(f"Inside the grid: {join_words(inside)}.")
    if flat:
        sentences.append(f"The flat limit itself: {join_words(flat)}.")
    if edge:
        sentences.append(
            f"**At an edge of the grid, so that the best value may lie beyond it**: {join_words(edge)}."
        )
    return " ".join(sentences)


def temperature_page(study: Study, baselines: Study) -> tuple[dict[str, bytes], pd.DataFrame]:
    """Write temperature.md, .png and .csv; give the files and the temperatures that validation chose."""
    summaries = summarise_sweep(study, "tau")
    chosen = choose(summaries["val"], "tau")
    tables = {split: average_baselines(baselines, split) for split in summaries}
    figure = draw_sweep(summaries, "tau", chosen, baseline_lines(baselines))
    first = study.metrics.iloc[0]
    page = f"""# Temperature

Validation chooses the temperature of each geometry. {edge_sentences(chosen, "tau")}

![R@1 over the temperature, by geometry](temperature.png)

A ring marks the value that validation chose; the band is one standard deviation over seeds. The chosen rows are bold
below. Curvature {number(first["curvature"])} and lam {number(first["lam"])} are pinned; test is shown but chose nothing.
Searched: the head's output, in the geometry's own similarity.

{markdown_table(sweep_rows(summaries, "tau", chosen, tables))}

Numbers behind the figure: [temperature.csv](temperature.csv).
"""
    csv = sweep_csv(summaries, "tau")
    return {
        "temperature.md": page.encode(),
        "temperature.png": figure,
        "temperature.csv": csv.encode(),
    }, chosen


def curvature_page(study: Study, baselines: Study) -> tuple[dict[str, bytes], list[str], str]:
    """Write curvature.md, .png and .csv; give the files, by geometry what curvature did, and what val chose with caution."""
    summaries = summarise_sweep(study, "curvature")
    chosen = choose(summaries["val"], "curvature")
    tables = {split: average_baselines(baselines, split) for split in summaries}
    figure = draw_sweep(summaries, "curvature", chosen, baseline_lines(baselines))
    effects = [
        effect_of_curvature(rows) for _, rows in summaries["test"].groupby("geometry", sort=False)
    ]
    first = study.metrics.iloc[0]
    seeds = int(summaries["val"]["seeds"].max())
    caution = " One seed: differences between curvatures are not tested here." if seeds < 2 else ""
    choice = f"{edge_sentences(chosen, 'curvature')}{caution}"
    listed = "\n".join(f"- {effect}" for effect in effects)
    page = f"""# Curvature

{listed}

Validation chooses the curvature of each geometry, at tau {number(first["tau"])}. {choice}

![R@1 over the curvature, by geometry](curvature.png)

Curvature 0 is the ball's limit: the flat space with the same features, scale, clip radius and tau. A ring marks the
value that validation chose; those rows are bold below. tau {number(first["tau"])} and lam {number(first["lam"])} are
pinned; test is shown but chose nothing. Searched: the head's output, in the geometry's own similarity.

{markdown_table(sweep_rows(summaries, "curvature", chosen, tables))}

Where all points lie at one radius, hyperbolic distance is a monotone function of the cosine: any curvature gives the
same ranking, and only changes how the loss weighs pairs. Numbers behind the figure: [curvature.csv](curvature.csv).
"""
    csv = sweep_csv(summaries, "curvature")
    return (
        {"curvature.md": page.encode(), "curvature.png": figure, "curvature.csv": csv.encode()},
        effects,
        choice,
    )


def effect_of_curvature(rows: pd.DataFrame) -> str:
    """Say for one geometry over all curvatures whether rankings depart from cosine's, and the range of test R@1."""
    name = rows["geometry"].iloc[0]
    curved = rows[rows["curved"] > 0]
    if curved.empty:
        return f"**{name}**: no curvature at any value of the sweep."
    lowest = curved.loc[curved["rank_correlation"].idxmin()]
    limit = rows[rows["curvature"] == 0]
    flat = ""
    if len(limit):
        at_limit = limit.iloc[0]
        flat = f", {percent(at_limit['recall_at_1'])} in the flat limit (rank correlation {at_limit['rank_correlation']:.4f})"
    spread = f"test R@1 {percent(curved['recall_at_1'].min())} to {percent(curved['recall_at_1'].max())} %{flat}"
    at = (
        "at every curvature"
        if lowest["rank_correlation"] > WITHOUT_EFFECT
        else f"most at c = {number(lowest['curvature'])}"
    )
    return f"**{name}**: {effect_on_rankings(lowest['rank_correlation'])}, {at}; {spread}."


def chosen_cells(study: Study, chosen: pd.DataFrame) -> dict[str, Sequence[str]]:
    """Give for each geometry the cells, in order of their seeds, at the temperature that validation chose."""
    rows = own(study.metrics, "test")
    cells: dict[str, Sequence[str]] = {}
    for row in chosen.itertuples():
        match = rows[(rows["geometry"] == row.geometry) & (rows["tau"] == row.tau)].sort_values(
            "seed"
        )
        cells[str(row.geometry)] = list(match["cell"])
    return cells
