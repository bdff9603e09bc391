"""What the page of the systems says of its rows besides their figures: why some are as they are."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np

from geomix.report.studies import BASELINES, CHOOSES, Study, average_baselines, over_seeds, own
from geomix.report.sweeps import WITHOUT_EFFECT
from geomix.report.text import join_words, number, percent

CORRECTIONS = {
    "debiased": "debiased",
    "false_negative_elimination": "FNE",
    "positive_unlabelled": "PUCL",
    "cluster": "ClusterNS",
}
ENSEMBLES = {"ensemble: similarities": "similarities", "ensemble: features": "features"}
STILL = 0.1  # embeddings that spread over less than this part of the untrained network's angle have not come apart
SCORE = "test R@1, %"  # a column of the page
TUNED = "_tuned"  # how the names end of references at the tau that validation chose
TOO_HIGH = 10  # times the share of false negatives that there are, and a prior is called too high


def say_best(tables: Mapping[str, Sequence[Mapping[str, str]]]) -> str:
    """Say which row of each table is highest, beside its reference, and how many differ from that
    beyond the noise.

    Args:
        tables: Rows as the page has them, by what training knows of labels.
    """
    said = []
    for labels, rows in tables.items():
        best = max(rows, key=lambda row: float(row[SCORE].split()[0]))
        reference = next(row for row in rows if row["verdict"] == "reference")
        others = [reference, *(row for row in rows if row["system"].endswith(TUNED))]
        listed = join_words([f"{row[SCORE]} of `{row['system']}`" for row in others])
        higher, lower = (
            sum(row["verdict"] == verdict for row in rows) for verdict in ("higher", "lower")
        )
        said.append(
            f"With labels {labels} `{best['system']}` is highest in test R@1 (percent), {best[SCORE]}, beside {listed}; of the "
            f"other {len(rows) - 1} rows, higher than `{reference['system']}` beyond the noise: {higher}, lower: {lower}."
        )
    return f"**{' '.join(said)}** The highest of many rows is flattered by the choice."


def say_corrections(settings: Mapping[str, Mapping[str, Any]]) -> str:
    """Say which rows with labels given correct for what is not there, and why.

    Args:
        settings: Of the rows with labels given, from `settle`.
    """
    rules = {name: (one.get("negatives") or {}) for name, one in settings.items()}
    found = [
        name
        for name, rule in rules.items()
        if rule.get("rule") in CORRECTIONS or rule.get("tau_plus")
    ]
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
    held = (
        "as it must be"
        if found.min() > 1 - 5e-5
        else f"**which should be 1.0000 and is not above {WITHOUT_EFFECT}**"
    )
    return (
        f"HypMix as released has a rank correlation of {found.min():.4f} with cosine, {held}: its ball is fed with unit "
        "vectors, so its distance is a function of the cosine and curvature changes no ranking."
    )


def weigh_ensembles(study: Study) -> dict[str, float]:
    """Give the weight of the second member that validation chose, by ensemble."""
    rows = study.metrics[study.metrics["system"].isin(ENSEMBLES)].drop_duplicates("system")
    return dict(zip(rows["system"], rows["weight"], strict=True))


def say_ensembles(weights: Mapping[str, float], members: Sequence[str]) -> dict[str, str]:
    """Say how each ensemble was made, by its name.

    Args:
        weights: From `weigh_ensembles`.
        members: Names of the two.
    """
    return {
        name: f"{ENSEMBLES[name]} of {members[0]} and {members[1]}, weight {number(weight)} of the second"
        + (f": {members[round(weight)]} alone" if weight in (0, 1) else "")
        for name, weight in weights.items()
    }


def say_budget_of_ensembles(weights: Mapping[str, float]) -> str:
    """Say which ensembles take two networks, and so twice the budget."""
    both = [name for name, weight in weights.items() if weight not in (0, 1)]
    alone = [name for name in weights if name not in both]
    said = [f"`{name}` takes two networks, so twice the budget." for name in both]
    return " ".join(
        said + [f"`{name}` is one of the two alone, and no ensemble." for name in alone]
    )


def say_untrained(study: Study, baselines: Study) -> str:
    """Say which rows are below the untrained network, and in which of these the test embeddings all but coincide."""
    means = over_seeds(own(study.metrics, "test"), ["system"]).set_index("system")
    start = average_baselines(baselines, "test").set_index("geometry").loc[BASELINES["untrained"]]
    lower = means[means[CHOOSES] < start[CHOOSES]]
    below = [f"`{name}`" for name in lower.index]
    still = lower[lower["spread_degrees"] < STILL * start["spread_degrees"]]["spread_degrees"]
    said = []
    if below:
        said.append(
            f"Test R@1 is below that of the untrained network ({percent(start[CHOOSES])} %) in {join_words(below)}."
        )
    if len(still):
        listed, angles = (
            join_words([f"`{name}`" for name in still.index]),
            join_words([f"{one:.1f}°" for one in still]),
        )
        said.append(
            f"In {listed} the test embeddings all but coincide: they point {angles} from their mean direction, where those of "
            f"the untrained network point {start['spread_degrees']:.1f}° from theirs. Classes have not begun to part there."
        )
    if said:
        said.append(
            "What these rows show is what equal budgets leave to a method, not what the method can reach."
        )
    return " ".join(said)


def say_priors(
    settings: Mapping[str, Mapping[str, Any]], classes: np.ndarray, lower: Collection[str]
) -> str:
    """Say which rows with labels hidden correct for far more false negatives than there are.

    Args:
        settings: Of the rows with labels hidden, from `settle`.
        classes: Of the images of train, (N,), at least 2.
        lower: The rows that are lower than their reference.
    """
    counts = np.unique(classes, return_counts=True)[1]
    share = float((counts * (counts - 1)).sum() / (len(classes) * (len(classes) - 1)))
    rules = {name: one["negatives"] for name, one in settings.items()}
    priors = {name: rule.get("tau_plus") or rule.get("prior") or 0 for name, rule in rules.items()}
    high = {name: prior for name, prior in priors.items() if prior > TOO_HIGH * share}
    if not high:
        return ""
    listed = join_words([f"`{name}` ({number(prior)})" for name, prior in high.items()])
    hit = [f"`{name}`" for name in high if name in lower]
    lowered = (
        f" It may be why {join_words(hit)} {'is' if len(hit) == 1 else 'are'} lower." if hit else ""
    )
    return (
        f"Of the other images of a batch a share of about {share:.2g} is of the anchor's own class, by the labels of train, "
        f"which training does not see. The priors of {listed} are more than {TOO_HIGH} times that, so these rows correct for "
        f"far more false negatives than there are.{lowered}"
    )


def say_edges(taus: Mapping[str, float], values: Sequence[float]) -> str:
    """Say which tuned references have a temperature at an edge of the grid it was chosen from.

    Args:
        taus: By name.
        values: The grid.
    """
    at = [
        f"`{name}` ({number(tau)})"
        for name, tau in taus.items()
        if tau in (min(values), max(values))
    ]
    if not at:
        return ""
    beyond = "so that the best value may lie beyond it (`temperature.md` has the scores there)"
    return f"The tau of {join_words(at)} is **at an edge of its grid**, {beyond}."
