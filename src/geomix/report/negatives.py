"""The page of hard negatives: reports/<dataset>/negatives/."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.axes import Axes

from geomix.config.sections import Geometry
from geomix.config.stages import NegativesPageParams
from geomix.data.packed import EARLIER, Packed, open_packed
from geomix.errors import InputError
from geomix.files import read_json
from geomix.report.figures import find_stand_ins, look_of, to_png
from geomix.report.hardest import build_blocks, draw_hardest
from geomix.report.overlaps import Overlap, Overlaps
from geomix.report.render import describe_origin, render
from geomix.report.text import named, number
from geomix.report.weights import Roles, Statement, Weights, list_statements, view_one

EDGES = np.linspace(-12, 3, 61)  # of the bins of log10, as analyze counts
RAREST = 1e-5  # share of pairs down to which figures show


@dataclass(frozen=True)
class Found:
    """What the page tells.

    Attributes:
        facts: What was drawn.
        weights: All weights.
        overlaps: All comparisons of rankings.
        roles: Which geometries the statements are about.
    """

    facts: Mapping[str, Any]
    weights: Weights
    overlaps: Overlaps
    roles: Roles


def build_negatives(analysis: Path, data: Path, params: NegativesPageParams) -> dict[str, bytes]:
    """Build the page of hard negatives, its figures and tables.

    Args:
        analysis: The folder that analyze wrote.
        data: The packed data set.
        params: The studies with their geometries, and how many anchors are shown.

    Returns:
        Content by file name: the page alone where no class tells what a negative is, and no gallery
        of vectors.

    Raises:
        InputError: If a file is missing.
    """
    packed, facts = open_packed(data), read_json(analysis / "facts.json")
    studies = {name: params.study[name] for name in (facts["tuned"], facts["beside"])}
    used = {name for study in studies.values() for name in study.geometries}
    spaces = {name: params.geometry[name] for name in params.geometry if name in used}
    written = params.model_copy(update={"geometry": spaces, "study": studies})
    origin = describe_origin(packed, [], written) | {"machines": facts.get("machines", [])}
    shared = {"dataset": packed.card["dataset"], "facts": facts, "origin": origin}
    roles = find_roles(studies[facts["tuned"]].geometries, params.geometry)
    if facts["task"] != "class" or roles is None:
        return {"README.md": render("negatives_none", **shared)}
    try:
        with np.load(analysis / "hardest.npz", allow_pickle=False) as arrays:
            hardest = dict(arrays)
    except FileNotFoundError:
        raise InputError(f"{analysis}/hardest.npz: {EARLIER}") from None
    found = Found(facts, Weights(analysis, facts), Overlaps(analysis, hardest["labels"]), roles)
    pairs = found.overlaps.compare_all(facts["tuned"])
    statements = list_statements(found.weights, roles, facts["effective"])
    viewed = view_one(found.weights, roles, facts["effective"])
    gallery = draw_gallery(packed, found, hardest, params.report.queries)
    page = render(
        "negatives",
        **shared,
        roles=roles,
        first=next(
            one for one in pairs if {one.first, one.second} == {roles.curved, roles.reference}
        ),
        pairs=pairs,
        compared=compare_others(found.overlaps, facts["beside"]),
        alone=compare_curvature(found.overlaps, facts["beside"], roles),
        range=find_range(found.weights, roles.reference),
        statements=statements,
        viewed=viewed,
        tested=any(gap.seeds > 1 for one in [*statements, *viewed] for gap in one.gaps.values()),
        tables={
            condition: found.weights.average(condition)
            for condition in ("trained", "matched", "viewed matched")
        },
        seen=compare_seen(analysis / "train.csv", found.weights),
        shown=min(params.report.queries, facts["anchors"]),
        gallery=bool(gallery),
        stand_ins=find_stand_ins(packed.samples["label"].unique()) if gallery else {},
    )
    files = {
        "README.md": page,
        "overlap.png": draw_overlaps(found),
        "weights.png": draw_weights(found),
        "statements.csv": write_statements([*statements, *viewed]),
        "weights.csv": _csv(found.weights.table.drop(columns="chosen")),
        "overlap.csv": _csv(found.overlaps.table),
    }
    return files | ({"hardest.png": gallery} if gallery else {})


def find_roles(names: list[str], geometries: Mapping[str, Geometry]) -> Roles | None:
    """Find who the statements are about: the first ball, against the first cosine.

    Args:
        names: Geometries of the study.
        geometries: Their spaces.

    Returns:
        Nothing where there are fewer than two geometries. Without a ball the second stands for it.
    """
    spaces = {name: {part.space for part in geometries[name].values()} for name in names}
    balls = [name for name in names if "ball" in spaces[name]] or names[1:]
    others = [name for name in names if name not in balls]
    if not balls or not others:
        return None
    reference = next((name for name in others if spaces[name] == {"sphere"}), others[0])
    flat = [name for name in others if spaces[name] == {"flat"} and name != reference]
    return Roles(balls[0], reference, flat[0] if flat else None)


def compare_seen(path: Path, weights: Weights) -> list[dict[str, Any]]:
    """Compare the weights of negatives among classes of train with those among classes of test.

    Returns:
        A row for each geometry, means over seeds: `train` and `test`, each with `hardest`,
        `effective_negatives` and `pull`. Nothing where embeddings of train were not stored.
    """
    if not path.is_file():
        return []
    names = ["tau", "effective_negatives", "hardest", "pull"]
    train = pd.read_csv(path).groupby("trained", sort=False)[names].mean()
    test = weights.rows("trained", chosen=True).groupby("trained", sort=False)[names].mean()
    return [
        {"trained": name, "train": train.loc[name].to_dict(), "test": test.loc[name].to_dict()}
        for name in train.index
    ]


def compare_others(overlaps: Overlaps, study: str) -> list[Overlap]:
    """Compare each geometry of a study with the first of it."""
    names = overlaps.geometries(study)
    return [overlaps.compare(study, names[0], name) for name in names[1:]]


def compare_curvature(overlaps: Overlaps, study: str, roles: Roles) -> Overlap | None:
    """Compare the curved geometry with the flat one in a study, if both are in it."""
    pair = [roles.control, roles.curved]
    if not set(pair) <= set(overlaps.geometries(study)):
        return None
    return overlaps.compare(study, str(roles.control), roles.curved)


def find_range(weights: Weights, geometry: str) -> tuple[float, float]:
    """Return the least and the largest p of the hardest negative over temperatures."""
    means = weights.rows("trained", trained=geometry).groupby("tau")["hardest"].mean()
    return float(means.min()), float(means.max())


def draw_overlaps(found: Found) -> bytes:
    """Draw what networks share of the hardest negatives; two seeds of one on the diagonal.

    Returns:
        A PNG.
    """
    overlaps = found.overlaps
    titles = {
        found.facts["tuned"]: "each at the tau that val chose",
        found.facts["beside"]: "all at one tau",
    }
    studies = [study for study in titles if overlaps.geometries(study)]
    counts = [len(overlaps.geometries(study)) for study in studies]
    figure, panels = plt.subplots(
        1,
        len(studies),
        figsize=(0.44 * sum(counts) + 1.6 * len(studies), 0.42 * max(counts) + 1.2),
        width_ratios=counts,
        squeeze=False,
        layout="constrained",
    )
    maps = {study: _share(overlaps, study) for study in studies}
    every = np.concatenate([one.ravel() for one in maps.values()])
    known = every[~np.isnan(every)]  # of one seed, nothing
    ends = (known.min(), known.max()) if len(known) else (0.0, 1.0)  # one scale of colours
    for panel, (study, shares) in zip(panels[0], maps.items(), strict=True):
        _draw_map(panel, shares, overlaps.geometries(study), ends)
        panel.set_title(f"{titles[study]}, %", fontsize=10)
    return to_png(figure)


def _share(overlaps: Overlaps, study: str) -> np.ndarray:
    """Return the shared percentage of each pair of geometries of a study."""
    names = overlaps.geometries(study)
    rows = [[overlaps.mean("network", study, a, b, "jaccard") for b in names] for a in names]
    return 100 * np.array(rows)


def _draw_map(panel: Axes, values: np.ndarray, names: list[str], ends: tuple[float, float]) -> None:
    """Draw a map of percentages, bold on its diagonal; ends are those of the scale of colours."""
    low, high = ends
    panel.imshow(values, vmin=low, vmax=high, cmap="cividis")
    panel.set_anchor("N")
    for (row, column), value in np.ndenumerate(values):
        text = "-" if np.isnan(value) else f"{value:.0f}"
        color = "white" if value < (low + high) / 2 else "black"
        weight = "bold" if row == column else "normal"
        panel.text(
            column, row, text, ha="center", va="center", color=color, fontsize=8, weight=weight
        )
    panel.set_xticks(range(len(names)), names, rotation=40, ha="right", fontsize=8)
    panel.set_yticks(range(len(names)), names, fontsize=8)


def draw_weights(found: Found) -> bytes:
    """Draw which share of all pairs has at least a weight, and at least a pull.

    Returns:
        A PNG: p above, pulls below; at one tau, at the chosen ones, at equal effective negatives.
    """
    weights, taus = found.weights, found.weights.taus
    same = taus[len(taus) // 2]
    panels: dict[str, dict[str, pd.DataFrame]] = {
        f"trained and seen at tau {number(same)}": {
            name: weights.rows("trained", trained=name, tau=same) for name in weights.geometries
        },
        "at the tau that val chose for each": {
            name: weights.rows("trained", trained=name, chosen=True) for name in weights.geometries
        },
        f"these at {number(found.facts['effective'])} effective negatives": {
            name: weights.rows("matched", trained=name) for name in weights.geometries
        },
    }
    figure, axes = plt.subplots(
        2, len(panels), figsize=(12, 6.4), sharex="row", sharey=True, layout="constrained"
    )
    for line, name, label in zip(
        axes, ("weights", "pulls"), ("p of a negative", "pull on the cosine"), strict=True
    ):
        for axis, (title, rows) in zip(line, panels.items(), strict=True):
            for geometry, table in rows.items():
                if not len(table) or table["tau"].isna().any():
                    continue
                above = weights.density(name, table)[::-1].cumsum()[::-1]
                kept = above >= RAREST
                look = look_of(geometry, weights.geometries) | {"markevery": 4, "markersize": 4}
                axis.plot(10 ** EDGES[:-1][kept], above[kept], **look, label=named(geometry))
            axis.set(xscale="log", yscale="log", xlabel=label)
            axis.grid(alpha=0.25)
            if name == "weights":
                axis.set_title(title, fontsize=10)
        line[0].set_ylabel("share of pairs at least there")
        line[0].set_xlim((1e-8, 1) if name == "weights" else (1e-6, 1e3))
    handles, labels = axes[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=6, frameon=False)
    return to_png(figure)


def draw_gallery(
    packed: Packed, found: Found, hardest: Mapping[str, np.ndarray], count: int
) -> bytes | None:
    """Draw anchors drawn at random with their hardest negatives in each geometry.

    The first geometry has a second row, of another seed, where there is one.

    Args:
        packed: The data set.
        found: The geometries.
        hardest: Anchors, positives, and by geometry and seed the rows of the hardest negatives.
        count: Of anchors.

    Returns:
        A PNG; nothing of vectors.
    """
    if packed.form == "vectors":
        return None
    names = found.overlaps.geometries(found.facts["tuned"])
    seeds = sorted(int(key.split("/")[1]) for key in hardest if key.startswith(f"{names[0]}/"))
    rows = [(name, seeds[0]) for name in names] + [(names[0], seed) for seed in seeds[1:2]]
    random = np.random.default_rng(0)
    total = len(hardest["anchors"])
    asked = np.sort(random.choice(total, min(count, total), replace=False))
    blocks = build_blocks(
        packed,
        hardest["anchors"][asked],
        hardest["positives"][asked],
        [hardest[f"{name}/{seed}"][asked] for name, seed in rows],
    )
    shown = [name if seed == seeds[0] else f"{name},\nanother seed" for name, seed in rows]
    return draw_hardest(shown, blocks)


def write_statements(statements: list[Statement]) -> bytes:
    """Write statements as CSV: a row for each difference."""
    rows = [
        {
            "statement": one.text,
            "against": name,
            "difference": gap.mean,
            "low": gap.low,
            "high": gap.high,
            "verdict": one.verdict,
        }
        for one in statements
        for name, gap in one.gaps.items()
    ]
    return _csv(pd.DataFrame(rows))


def _csv(table: pd.DataFrame) -> bytes:
    text: str = table.to_csv(index=False, float_format="%.6g")
    return text.encode()
