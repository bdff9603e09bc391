"""systems.md: the literature's systems side by side, with labels given and hidden."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from geomix.config.studies import REFERENCES
from geomix.data.packed import Packed, open_packed
from geomix.report.benchmark import budget
from geomix.report.changes import list_changes
from geomix.report.costs import read_costs, say_noise, write_cost
from geomix.report.figures import draw_systems
from geomix.report.intervals import paired_difference
from geomix.report.pages import provenance
from geomix.report.remarks import (
    ENSEMBLES,
    TUNED,
    say_best,
    say_budget_of_ensembles,
    say_corrections,
    say_edges,
    say_ensembles,
    say_priors,
    say_released,
    say_untrained,
    weigh_ensembles,
)
from geomix.report.studies import (
    CHOOSES,
    Study,
    average_baselines,
    over_seeds,
    own,
    per_query,
    read_study,
)
from geomix.report.text import gap, markdown_table, percent
from geomix.report.trees import describe_trees

KNOBS = ("geometry", "tau", "curvature", "lam")


def settle(settings: Mapping[str, Any], params: Mapping[str, Any]) -> dict[str, Any]:
    """Give all that a system was trained with: its own settings, and the sections at the top that
    they do not replace.

    Args:
        settings: Of its entry in section `system`.
        params: With the sections at the top.
    """
    return {
        key: params[key] if value is None and key not in KNOBS else value
        for key, value in settings.items()
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
        difference = paired_difference(
            per_query(study, ordered[name], "test", CHOOSES), base, classes
        )
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


def borrow_rows(
    given: Sequence[Mapping[str, str]], like: Mapping[str, str], changes: Mapping[str, str]
) -> list[dict[str, str]]:
    """Give the tuned references of the table with labels given for that with labels hidden, marked
    and not compared.

    Args:
        given: The rows with labels given.
        like: A row with labels hidden, for its columns.
        changes: What the tuned ones change against the reference with labels hidden, by system.
    """
    rows = [
        dict(zip(like, row.values(), strict=True)) for row in given if row["system"].endswith(TUNED)
    ]
    changed, score = list(like)[1], next(name for name in like if " minus " in name)
    apart = {score: "-", "verdict": "not comparable"}
    return [
        row | apart | {"system": f"{row['system']}, labels given", changed: changes[row["system"]]}
        for row in rows
    ]


def build_systems(
    results: Path, data: Path, params: Mapping[str, Any], costs: Path
) -> dict[str, bytes]:
    """Build the page, its figure and its table.

    Args:
        results: The folder with results of `systems` and `baselines`.
        data: The packed data set.
        params: Sections of params.yaml: those that trained the systems, sweep.tau, systems,
            ensemble and system.
        costs: The table of bench.systems, which may be missing.

    Returns:
        Content by file name.
    """
    packed = open_packed(data)
    study, baselines = read_study(results / "systems"), read_study(results / "baselines")
    entries = params["system"]
    settings = {name: settle(entry["settings"], params) for name, entry in entries.items()}
    groups = {
        labels: [name for name, one in settings.items() if one["labels"] == labels]
        for labels in REFERENCES
    }
    said = {
        name: {
            "changes": list_changes(one, settings[REFERENCES[one["labels"]]]),
            "claim": entries[name]["claim"] or "-",
        }
        for name, one in settings.items()
    }
    weights = weigh_ensembles(study)
    made = say_ensembles(weights, params["ensemble"]["systems"])
    said |= {name: {"changes": how, "claim": "-"} for name, how in made.items()}
    groups["given"] += [name for name in ENSEMBLES if name in said]
    classes = packed.samples["label"].to_numpy()[packed.queries("test")]
    known = read_costs(costs)
    tables = {
        labels: system_rows(study, names, REFERENCES[labels], said, known, classes)
        for labels, names in groups.items()
        if names
    }
    remarks = {
        "untrained": say_untrained(study, baselines),
        "noise": say_noise(known, settings),
        "ensembles": say_budget_of_ensembles(weights),
        "trees": describe_trees(results / "systems"),
    }
    page = _write_page(tables, study, baselines, packed, params, settings, remarks)
    csv = pd.concat([study.metrics, baselines.metrics]).to_csv(index=False, float_format="%.6f")
    means = over_seeds(own(study.metrics, "test"), ["system"]).set_index("system")
    lines = average_baselines(baselines, "test").set_index("geometry")[CHOOSES].to_dict()
    figure = draw_systems(
        {labels: means.loc[names] for labels, names in groups.items() if names}, lines
    )
    plain = {
        name: {key: value for key, value in entry["settings"].items() if value}
        for name, entry in entries.items()
    }
    page += provenance(
        {**params, "system": plain}, packed, {"systems": study, "baselines": baselines}
    )
    return {"systems.md": page.encode(), "systems.csv": csv.encode(), "systems.png": figure}


def _write_page(
    tables: Mapping[str, Sequence[dict[str, str]]],
    study: Study,
    baselines: Study,
    packed: Packed,
    params: Mapping[str, Any],
    settings: Mapping[str, Mapping[str, Any]],
    remarks: Mapping[str, str],
) -> str:
    """Write the page without its provenance."""
    trained = study.metrics.loc[~study.metrics["system"].isin(ENSEMBLES), "cell"].nunique()
    of = {
        labels: {name: one for name, one in settings.items() if one["labels"] == labels}
        for labels in REFERENCES
    }
    tuned = {name: one["tau"] for name, one in of["given"].items() if name.endswith(TUNED)}
    first, second = params["ensemble"]["systems"]
    listed = "\n".join(f"- `{name}`: {entry['about']}" for name, entry in params["system"].items())
    lines = {labels: baseline_rows(baselines, rows[0]) for labels, rows in tables.items()}
    hidden = ""
    if "hidden" in tables:
        rows = tables["hidden"]
        changes = {
            name: list_changes(settings[name], settings[REFERENCES["hidden"]]) for name in tuned
        }
        borrowed = borrow_rows(tables["given"], rows[0], changes)
        lower = [row["system"] for row in rows if row["verdict"] == "lower"]
        classes = packed.samples["label"].to_numpy()[packed.rows("train")]
        hidden = f"""
## Labels hidden

Batches are two augmented views of images drawn uniformly; labels only score the result. `{REFERENCES["hidden"]}` is plain
`{REFERENCES["given"]}` without labels, and what the others are compared with. No tau was tuned without labels: the tuned
references are those above, which saw labels and so are not comparable.

{markdown_table([*rows, *borrowed, *lines["hidden"]])}

{say_priors(of["hidden"], classes, lower)}
"""
    return f"""# {packed.card["dataset"]}: the literature's systems side by side

{say_best(tables)}

Rows run at published settings where they are known, **untuned**, at equal budgets within a table, on the same images, network
and seeds, so a row that loses here may win at other settings. Rules for negatives have the tau of the row they change, as no
published one is known here. Rows named `{TUNED}` are references at the tau that val classes chose in the temperature study.
{say_edges(tuned, params["sweep.tau"]["values"])}

{remarks["untrained"]}

{say_released(study)}

![Test R@1 of all systems, sorted](systems.png)

Test classes, mean ± standard deviation over seeds. The head's output is searched in the system's own similarity; intervals are
paired over queries and seeds and not corrected for their number. Time and memory are those of loss and gradient alone, without
the network, the time over plain `{REFERENCES["given"]}`'s and the memory beyond its own (`python -m bench.systems`).
{remarks["noise"]} A claim is the paper's own, of other images, networks and budgets. "After" before a name: its formula is not
public, or ours differs.

## Labels given

{markdown_table([*tables["given"], *lines["given"]])}

{say_corrections(of["given"])}

Ensembles fuse `{first}` and `{second}` of the same seed, trained apart: as similarities, (1 - w) s_1 + w s_2, each divided by
its standard deviation over all pairs of up to 2,048 val images; or as features, their unit vectors concatenated in the
proportion sqrt(1 - w) : sqrt(w) and compared by cosine. Validation chose w. {remarks["ensembles"]}
{hidden}{remarks["trees"]}
## Budget

{budget(packed, params, trained)} A row that replaces
`batch` has its own steps. Where labels are hidden a pass shows every image in two views, and so takes twice the steps.

## What the rows are

{listed}

Numbers of all cells: [systems.csv](systems.csv).
"""
