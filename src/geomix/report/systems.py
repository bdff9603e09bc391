"""systems.md: the literature's systems side by side, with labels given and hidden."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from geomix.report.benchmark import budget
from geomix.report.figures import draw_systems
from geomix.report.intervals import paired_difference
from geomix.report.pages import provenance
from geomix.report.studies import CHOOSES, Study, average_baselines, over_seeds, own, per_query, read_study
from geomix.report.sweeps import WITHOUT_EFFECT
from geomix.report.text import gap, join_words, markdown_table, number, percent
from geomix.report.trees import describe_trees
from geomix.samples import Packed, open_packed
from geomix.schema.studies import REFERENCES

KNOBS = ("geometry", "tau", "curvature", "lam")
CORRECTIONS = {
    "debiased": "debiased",
    "false_negative_elimination": "FNE",
    "positive_unlabelled": "PUCL",
    "cluster": "ClusterNS",
}
ENSEMBLES = {"ensemble: similarities": "similarities", "ensemble: features": "features"}


def settle(settings: Mapping[str, Any], params: Mapping[str, Any]) -> dict[str, Any]:
    """Give all that a system was trained with: its own settings, and the sections at the top that they do not replace.

    Args:
        settings: Of its entry in section `system`.
        params: With the sections at the top.
    """
    return {key: params[key] if value is None and key not in KNOBS else value for key, value in settings.items()}


def list_changes(settings: Mapping[str, Any], reference: Mapping[str, Any]) -> str:
    """Say in which settings a system differs from another, with the values it has.

    Args:
        settings: Of the system, from `settle`.
        reference: Of the other.
    """
    changes = []
    for key, value in settings.items():
        if value == reference[key] or value is None:
            continue
        if not isinstance(value, dict):
            changes.append(f"{key} {number(value) if isinstance(value, int | float) else value}")
        else:
            first, *others = value.items()
            details = ", ".join(f"{name} {what}" for name, what in others)
            name = str(first[1]) if first[0] in ("name", "rule") else f"{first[0]} {first[1]}"
            changes.append(f"{key} {name}" + (f" ({details})" if details else ""))
    return ", ".join(changes) or "nothing"


def read_costs(path: Path) -> dict[str, tuple[float, float]]:
    """Read by system the time of a step over plain euclidean's and, in MiB, its memory less that; nothing without a table."""
    if not path.is_file():
        return {}
    table = pd.read_csv(path)
    memory = table["extra_mib"] - table["baseline_extra_mib"]
    return dict(zip(table["implementation"].astype(str), zip(table["ratio"], memory, strict=True), strict=True))


def write_cost(costs: Mapping[str, tuple[float, float]], name: str) -> dict[str, str]:
    """Give the two columns of a system's cost."""
    if name == REFERENCES["given"]:
        return {"time of a step": "1", "memory, MiB": "0"}
    values = costs.get(name, (math.nan, math.nan))
    forms = {"time of a step": "{:.2f}", "memory, MiB": "{:+.1f}"}
    return {
        column: "not measured" if math.isnan(value) else form.format(value + 0.0)
        for (column, form), value in zip(forms.items(), values, strict=True)
    }


def system_rows(
    study: Study,
    names: Sequence[str],
    reference: str,
    said: Mapping[str, Mapping[str, str]],
    costs: Mapping[str, tuple[float, float]],
    classes: np.ndarray,
) -> list[dict[str, str]]:
    """Give a row for each system.

    Args:
        study: The results.
        names: The systems of the table, in order.
        reference: Which of them the others are compared with.
        said: What each changes and claims, by system.
        costs: From `read_costs`.
        classes: The class of each test query, (Q,).
    """
    rows = own(study.metrics, "test")
    means = over_seeds(rows, ["system"]).set_index("system")
    ordered = rows.sort_values("seed").groupby("system")["cell"].agg(list)
    base = per_query(study, ordered[reference], "test", CHOOSES)
    table = []
    for name in names:
        row = means.loc[name]
        difference = paired_difference(per_query(study, ordered[name], "test", CHOOSES), base, classes)
        apart = {"gap": "-", "verdict": "reference"}
        if name != reference:
            apart = {"gap": gap(difference), "verdict": difference.verdict}
        table.append(
            {
                "system": name,
                f"changes against {reference}": said[name]["changes"],
                "test R@1, %": percent(row[CHOOSES], row[f"{CHOOSES}_sd"]),
                "test MAP@R, %": percent(row["map_at_r"], row["map_at_r_sd"]),
                f"R@1 minus {reference}'s, points [95 % interval]": apart["gap"],
                "verdict": apart["verdict"],
                "rank correlation with cosine": f"{row['rank_correlation']:.4f}",
                **write_cost(costs, name),
                "the paper's claim": said[name]["claim"],
            }
        )
    return table


def baseline_rows(baselines: Study, like: Mapping[str, str]) -> list[dict[str, str]]:
    """Give a row for raw pixels and one for the untrained network, with the columns of another row."""
    return [
        dict.fromkeys(like, "-")
        | {
            "system": row["geometry"],
            "test R@1, %": percent(row[CHOOSES], row[f"{CHOOSES}_sd"]),
            "test MAP@R, %": percent(row["map_at_r"], row["map_at_r_sd"]),
        }
        for _, row in average_baselines(baselines, "test").iterrows()
    ]


def say_corrections(settings: Mapping[str, Mapping[str, Any]]) -> str:
    """Say which rows with labels given correct for what is not there, and why.

    Args:
        settings: Of the rows with labels given, from `settle`.
    """
    rules = {name: (one.get("negatives") or {}) for name, one in settings.items()}
    found = [name for name, rule in rules.items() if rule.get("rule") in CORRECTIONS or rule.get("tau_plus")]
    listed = f"Here that is {join_words(found)}." if found else "No row here is one of them."
    return (
        f"Rules that correct for false negatives, those of the anchor's own class ({join_words(list(CORRECTIONS.values()))}, "
        "and tau_plus in others), have nothing to correct where labels are given: a negative is of another class by "
        f"definition, so they only bias the loss. They can matter where labels are hidden. {listed}"
    )


def say_released(study: Study) -> str:
    """Say what the rank correlation of HypMix as released is, which must be 1: it feeds the ball with unit vectors."""
    rows = own(study.metrics, "test")
    found = rows[rows["system"] == "hypmix"]["rank_correlation"]
    if found.empty:
        return ""
    held = "as it must be" if found.min() > 1 - 5e-5 else f"**which should be 1.0000 and is not above {WITHOUT_EFFECT}**"
    return (
        f"HypMix as released has a rank correlation of {found.min():.4f} with cosine, {held}: its ball is fed with unit "
        "vectors, so its distance is a function of the cosine and curvature changes no ranking."
    )


def say_ensembles(study: Study, members: Sequence[str]) -> dict[str, dict[str, str]]:
    """Say how each ensemble was made, by its name."""
    rows = study.metrics[study.metrics["system"].isin(ENSEMBLES)].drop_duplicates("system")
    fused = f"of {members[0]} and {members[1]} fused, weight"
    return {
        row["system"]: {"changes": f"{ENSEMBLES[row['system']]} {fused} {number(row['weight'])} of the second", "claim": "-"}
        for _, row in rows.iterrows()
    }


def build_systems(results: Path, data: Path, params: Mapping[str, Any], costs: Path) -> dict[str, bytes]:
    """Build the page, its figure and its table.

    Args:
        results: The folder with results of `systems` and `baselines`.
        data: The packed data set.
        params: Sections of params.yaml: those that trained the systems, systems, ensemble and system.
        costs: The table of bench.systems, which may be missing.

    Returns:
        Content by file name.
    """
    packed = open_packed(data)
    study, baselines = read_study(results / "systems"), read_study(results / "baselines")
    entries = params["system"]
    settings = {name: settle(entry["settings"], params) for name, entry in entries.items()}
    groups = {labels: [name for name, one in settings.items() if one["labels"] == labels] for labels in REFERENCES}
    said = {
        name: {
            "changes": list_changes(one, settings[REFERENCES[one["labels"]]]),
            "claim": entries[name]["claim"] or "-",
        }
        for name, one in settings.items()
    }
    said |= say_ensembles(study, params["ensemble"]["systems"])
    groups["given"] += [name for name in ENSEMBLES if name in said]
    classes = packed.samples["label"].to_numpy()[packed.queries("test")]
    known = read_costs(costs)
    tables = {
        labels: system_rows(study, names, REFERENCES[labels], said, known, classes) for labels, names in groups.items() if names
    }
    page = _write_page(tables, study, baselines, packed, params, settings, describe_trees(results / "systems"))
    csv = pd.concat([study.metrics, baselines.metrics]).to_csv(index=False, float_format="%.6f")
    means = over_seeds(own(study.metrics, "test"), ["system"]).set_index("system")
    lines = average_baselines(baselines, "test").set_index("geometry")[CHOOSES].to_dict()
    figure = draw_systems({labels: means.loc[names] for labels, names in groups.items() if names}, lines)
    plain = {name: {key: value for key, value in entry["settings"].items() if value} for name, entry in entries.items()}
    page += provenance({**params, "system": plain}, packed, {"systems": study, "baselines": baselines})
    return {"systems.md": page.encode(), "systems.csv": csv.encode(), "systems.png": figure}


def _write_page(
    tables: Mapping[str, Sequence[dict[str, str]]],
    study: Study,
    baselines: Study,
    packed: Packed,
    params: Mapping[str, Any],
    settings: Mapping[str, Mapping[str, Any]],
    trees: str,
) -> str:
    """Write the page without its provenance."""
    trained = study.metrics.loc[~study.metrics["system"].isin(ENSEMBLES), "cell"].nunique()
    given = {name: one for name, one in settings.items() if one["labels"] == "given"}
    first, second = params["ensemble"]["systems"]
    listed = "\n".join(f"- `{name}`: {entry['about']}" for name, entry in params["system"].items())
    texts = {labels: markdown_table([*rows, *baseline_rows(baselines, rows[0])]) for labels, rows in tables.items()}
    hidden = ""
    if "hidden" in texts:
        hidden = f"""
## Labels hidden

Batches are two augmented views of images drawn uniformly; labels only score the result. `{REFERENCES["hidden"]}` is plain
`{REFERENCES["given"]}` without labels, and what the others are compared with.

{texts["hidden"]}
"""
    return f"""# {packed.card["dataset"]}: the literature's systems side by side

Rows run at their papers' settings, **untuned**, at equal budgets within a table, on the same images, network and seeds, so a row
that loses here may win at other settings; rows named `_tuned` are references at the tau that val classes chose.
{say_released(study)}

![Test R@1 of all systems, sorted](systems.png)

Test classes, mean ± standard deviation over seeds. The head's output is searched in the system's own similarity; intervals are
paired over queries and seeds and not corrected for their number. Time and memory of a step are those of loss and gradient
alone, the time over plain `{REFERENCES["given"]}`'s and the memory less its own (bench.systems; times within a fifth). A claim is
the paper's own, of other images, networks and budgets.

## Labels given

{texts["given"]}

{say_corrections(given)}

Ensembles fuse `{first}` and `{second}` of the same seed, trained apart: as similarities, (1 - w) s_1 + w s_2, each divided by
its standard deviation over all pairs of up to 2,048 val images; or as features, their unit vectors concatenated in the
proportion sqrt(1 - w) : sqrt(w) and compared by cosine. Validation chose w; both take two networks, so twice the budget.
{hidden}{trees}
## Budget

{budget(packed, params, trained)} A row that replaces
`batch` has its own steps. Where labels are hidden a pass shows every image in two views, and so takes twice the steps.

## What the rows are

{listed}

Numbers of all cells: [systems.csv](systems.csv).
"""
