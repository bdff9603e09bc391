"""comparison.md: the geometries side by side, at one temperature and each at its own."""

from collections.abc import Mapping, Sequence
from itertools import combinations

import numpy as np
import pandas as pd

from geomix.data.packed import Packed
from geomix.report.figures import draw_neighbours
from geomix.report.intervals import Difference, paired_difference
from geomix.report.pictures import read_pictures
from geomix.report.studies import (
    BASELINES,
    Study,
    average_baselines,
    find_ranks,
    name_metrics,
    over_seeds,
    own,
    per_query,
)
from geomix.report.sweeps import effect_on_rankings
from geomix.report.text import gap, markdown_table, number, percent, share
from geomix.report.vectors import draw_labels

SEARCHED = {
    ("head", "own"): "head, own similarity",
    ("head", "cosine"): "head, cosine",
    ("backbone", "cosine"): "backbone, cosine",
    ("pixels", "cosine"): "pixels, cosine",
    ("vectors", "cosine"): "vectors, cosine",
}


def compare_geometries(
    study: Study, cells: Mapping[str, Sequence[str]], classes: np.ndarray
) -> dict[tuple[str, str], Difference]:
    """Give the difference in test R@1 of every two geometries, in their own similarity.

    Args:
        study: Where the cells are.
        cells: For each geometry its cells, one for each seed, in the same order of seeds.
        classes: The class of each test query, (Q,).
    """
    hits = {name: per_query(study, names, "test", "recall_at_1") for name, names in cells.items()}
    return {(b, a): paired_difference(hits[b], hits[a], classes) for a, b in combinations(hits, 2)}


def metric_rows(tables: Sequence[pd.DataFrame], split: str) -> list[dict[str, str]]:
    """Give a row of all metrics for each geometry and search, in percent with s.d. over seeds."""
    rows = []
    for table in tables:
        part = table[table["split"] == split]
        for _, row in over_seeds(part, ["vector", "similarity", "geometry"]).iterrows():
            metrics = {
                called: percent(row[name], row[f"{name}_sd"])
                for name, called in name_metrics(table).items()
            }
            searched = SEARCHED[row["vector"], row["similarity"]]
            correlation = f"{row['rank_correlation']:.4f}" if row["similarity"] == "own" else "-"
            name = BASELINES.get(row["geometry"], row["geometry"])
            rows.append(
                {
                    "geometry": name,
                    "searched": searched,
                    **metrics,
                    "rank correlation with cosine": correlation,
                    "seeds": str(row["seeds"]),
                }
            )
    return rows


def difference_rows(differences: Mapping[tuple[str, str], Difference]) -> list[dict[str, str]]:
    """Give a row for each pair of geometries: difference, interval, the gap of each seed, verdict."""
    return [
        {
            "difference": f"{a} - {b}",
            "test R@1, points [95 % interval]": gap(difference),
            "by seed": ", ".join(f"{100 * one:+.1f}" for one in difference.per_seed),
            "verdict": difference.verdict,
        }
        for (a, b), difference in differences.items()
    ]


def radius_rows(study: Study) -> list[dict[str, str]]:
    """Give a row for each geometry: what became of the radii, and whether its ranking is cosine's."""
    rows = []
    for _, row in over_seeds(own(study.metrics, "test"), ["geometry"]).iterrows():
        has_radius = pd.notna(row["radius_mean"])
        same = (
            "cosine's, as it is cosine"
            if not has_radius
            else effect_on_rankings(row["rank_correlation"], bool(row["curved"]))
        )
        rows.append(
            {
                "geometry": row["geometry"],
                "at the clip radius, %": percent(row["clipped_share"]),
                "radius, mean ± s.d. over points": share(row["radius_mean"], row["radius_sd"])
                if has_radius
                else "-",
                "rankings": same,
            }
        )
    return rows


def level_rows(
    chosen: pd.DataFrame, baselines: Study, levels: Sequence[str]
) -> list[dict[str, str]]:
    """Give a row for each geometry and baseline: test R@1 at each level of the hierarchy, coarse to fine."""
    columns = {
        **{f"R@1 by {level}": f"recall_at_1_{level}" for level in levels},
        "R@1 by class": "recall_at_1",
    }
    rows = pd.concat(
        [over_seeds(own(chosen, "test"), ["geometry"]), average_baselines(baselines, "test")]
    )
    return [
        {
            "geometry": row["geometry"],
            **{name: percent(row[column], row[f"{column}_sd"]) for name, column in columns.items()},
        }
        for _, row in rows.iterrows()
    ]


def neighbours_picture(study: Study, packed: Packed, count: int, seed: int) -> bytes:
    """Draw test queries, chosen at random, with their five nearest images in each geometry of
    `compare` at one seed.

    Of vectors the labels are drawn.
    """
    rows, gallery = packed.queries("test"), packed.gallery("test")
    chosen = np.sort(
        np.random.default_rng(0).choice(len(rows), min(count, len(rows)), replace=False)
    )
    cells = own(study.metrics, "test")
    first = cells[cells["seed"] == seed]
    labels = packed.samples["label"].to_numpy()

    def pictures(of: np.ndarray) -> list[tuple[np.ndarray, str]]:
        """Give images with their classes."""
        return list(zip(read_pictures(packed, of), labels[of], strict=True))

    nearest = {
        geometry: [
            gallery[found] for found in study.per_query[f"{cell}/test/head/own/neighbours"][chosen]
        ]
        for geometry, cell in zip(first["geometry"], first["cell"], strict=True)
    }
    if packed.form == "vectors":
        names = {
            geometry: [labels[found].tolist() for found in lists]
            for geometry, lists in nearest.items()
        }
        return draw_labels(labels[rows[chosen]].tolist(), names)
    drawn = {geometry: [pictures(found) for found in lists] for geometry, lists in nearest.items()}
    return draw_neighbours(pictures(rows[chosen]), drawn)


def searched_sentence(packed: Packed) -> str:
    """Say what is searched for what."""
    if np.array_equal(packed.queries("test"), packed.gallery("test")):
        return "A query is never its own neighbour (excluded by row); all others of its split are."
    return "Queries and gallery are other samples of the same classes, as the data set's role column says."


def list_length(study: Study, packed: Packed) -> str:
    """Say how long the lists of neighbours are: as the largest class or, where that is more, the last K of recall."""
    largest = packed.samples["label"].iloc[packed.gallery("test")].value_counts().max()
    deepest = find_ranks(study.metrics)[-1]
    return "as long as the largest class" if largest > deepest else f"of {deepest}"


def comparison_page(
    compare: Study,
    sweep: Study,
    cells: Mapping[str, Sequence[str]],
    baselines: Study,
    packed: Packed,
    queries: int,
) -> tuple[dict[str, bytes], dict[tuple[str, str], Difference]]:
    """Write comparison.md, its picture and CSV; give the files and the differences at the chosen
    temperatures.

    Args:
        compare: The headline study.
        sweep: The temperature study.
        cells: The cells of the sweep at each geometry's val-chosen tau.
        baselines: Raw pixels or vectors, and the untrained network.
        packed: For the picture.
        queries: In the picture.
    """
    classes = packed.samples["label"].to_numpy()[packed.queries("test")]
    headline_cells = (
        own(compare.metrics, "test")
        .sort_values("seed")
        .groupby("geometry", sort=False)["cell"]
        .agg(list)
    )
    headline_cells = headline_cells.reindex(compare.metrics["geometry"].unique())
    at_headline = compare_geometries(compare, headline_cells.to_dict(), classes)
    at_chosen = compare_geometries(sweep, cells, classes)
    chosen = sweep.metrics[
        sweep.metrics["cell"].isin([cell for names in cells.values() for cell in names])
    ]
    seed = int(compare.metrics["seed"].min())
    page = _write_page(compare, chosen, baselines, packed, at_headline, at_chosen, seed)
    table = pd.concat(
        [
            compare.metrics.assign(study="compare"),
            chosen.assign(study="tau, val-chosen"),
            baselines.metrics.assign(study="baselines"),
        ]
    )
    files = {
        "comparison.md": page.encode(),
        "comparison.csv": table.to_csv(index=False, float_format="%.6f").encode(),
        "neighbours.png": neighbours_picture(compare, packed, queries, seed),
    }
    return files, at_chosen


def _write_page(
    compare: Study,
    chosen: pd.DataFrame,
    baselines: Study,
    packed: Packed,
    at_headline: Mapping[tuple[str, str], Difference],
    at_chosen: Mapping[tuple[str, str], Difference],
    seed: int,
) -> str:
    tau = compare.metrics["tau"].dropna().iloc[0]
    last = compare.metrics.iloc[-1]
    taus = ", ".join(
        f"{row.geometry} {number(row.tau)}"
        for row in chosen.drop_duplicates("geometry").itertuples()
    )
    return f"""# Comparison

Shares are percent, mean ± standard deviation over seeds. "Searched" says which vector was searched and how it was
compared: the head's output in the similarity its geometry was trained with, the same output under cosine, the
backbone's output under cosine. {searched_sentence(packed)}
MRR, the mean reciprocal rank of the first relevant sample, is 0 where a list, {list_length(compare, packed)}, has none.

## At each geometry's own temperature

Chosen on val classes, from the [temperature study](temperature.md): {taus}.

{markdown_table(metric_rows([chosen, baselines.metrics], "test"))}

Differences on the test classes, on the same queries and seeds. The intervals let both vary: a
half-width is the root of the summed squares of Student's half-widths over classes and over seeds. The six comparisons are
not corrected for their number. Beside them the gap of each seed.

{markdown_table(difference_rows(at_chosen))}

## By level of the hierarchy

The same lists at the same temperatures, scored at each level of the hierarchy: there every sample of the query's group is
relevant, so coarser levels are easier. Each geometry in its own similarity, the baselines under cosine.

{markdown_table(level_rows(chosen, baselines, packed.card["levels"]))}

## At one temperature, tau {number(tau)}

Curvature {number(last["curvature"])} and lam {number(last["lam"])}, where a geometry has them. Test classes:

{markdown_table(metric_rows([compare.metrics, baselines.metrics], "test"))}

{markdown_table(difference_rows(at_headline))}

Val classes; there are fewer to confuse, so these scores are not comparable with those on test:

{markdown_table(metric_rows([compare.metrics, baselines.metrics], "val"))}

## Did curvature act?

{markdown_table(radius_rows(compare))}

## Queries and their nearest neighbours

![Queries and their five nearest neighbours by geometry](neighbours.png)

Test queries drawn at random, with their five nearest neighbours in each geometry's own similarity (seed
{seed}, tau {number(tau)}). One of another class has a cross.

Numbers: [comparison.csv](comparison.csv).
"""
