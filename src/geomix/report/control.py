"""The page of the calibration: whether curvature is found where it must be, and only there.

Cells learn known distances through an encoder. Those of a tree need a ball, those of a plane need
flat space, and both in the dose of the curvature. Repeats of one setting must not differ.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations, pairwise
from pathlib import Path

import numpy as np
import pandas as pd

from geomix.config.studies import Control, Study
from geomix.data.packed import open_packed
from geomix.errors import InputError
from geomix.files import read_json
from geomix.report.difference import paired_difference
from geomix.report.doses import draw_doses
from geomix.report.page import write_csv
from geomix.report.render import describe_origin, render
from geomix.report.results import Results, own, read_metrics, read_results, stack_queries
from geomix.report.stresses import Setting, list_settings
from geomix.report.text import figures, list_words, number, stress

TREE, PLANE = "tree", "grid"
SMALL = 0.01  # curvature up to which a ball may be equal to flat space
EQUAL = 0.0005  # stress up to which two settings are then equal
SAME = 1e-6  # largest difference in stress of a ball at curvature 0 from flat space
GROUP = 3  # seeds in each of two groups of repeats
DRAWS = 200  # pairs of groups, at most
ALARMS = 0.05  # largest share of these that may differ
TABLE = "control.csv"


@dataclass(frozen=True)
class Check:
    """One thing that must come out.

    Attributes:
        dataset: Where.
        name: What, as a sentence without an end.
        found: The figures.
        passed: Whether it came out.
    """

    dataset: str
    name: str
    found: str
    passed: bool


@dataclass(frozen=True)
class Repeats:
    """What the difference tests say of two groups of repeats, which differ in seeds alone.

    Attributes:
        geometry: Of all cells.
        seeds: How many there are.
        draws: Pairs of groups.
        differ: How many of these the interval of the pages calls different.
        largest: The largest difference between two groups.
    """

    geometry: str
    seeds: int
    draws: int
    differ: int
    largest: float

    @property
    def share(self) -> float:
        """The share of draws that differ."""
        return self.differ / self.draws


def build_control(results: Path, aa: Path, data: Path, control: Control) -> dict[str, bytes]:
    """Build the page, its figure and the table of its checks.

    Args:
        results: The folder with a folder for each data set, in it one for each part.
        aa: The folder of the study that repeats one setting.
        data: The packed data set of that.
        control: Data sets and parts.

    Returns:
        Content by file name.
    """
    packed, repeated = open_packed(data), read_results(aa)
    table, machines = read_parts(results, control)
    settings = list_settings(table)
    outputs = settings[0].outputs  # the first that are run
    classes = packed.samples["label"].to_numpy()[packed.queries("test")]
    repeats = compare_repeats(repeated, classes)
    dataset = packed.card["dataset"]
    checks = [
        *list_checks(table, settings, outputs, control),
        Check(
            dataset,
            f"repeats differ in at most {number(100 * ALARMS)} % of draws",
            f"{repeats.differ} of {repeats.draws} draws",
            repeats.share <= ALARMS,
        ),
    ]
    page = render(
        "control",
        checks=checks,
        failed=[check for check in checks if not check.passed],
        groups=group_settings(settings, control.of.sets),
        main=outputs,
        names={"tree": TREE, "plane": PLANE},
        limit=find_limit(control, PLANE),
        small=SMALL,
        equal=EQUAL,
        same=SAME,
        group=GROUP,
        repeats=repeats,
        dataset=dataset,
        origin=describe_origin(
            packed,
            [Results(table, {}, machines), repeated],
            control=control.model_dump(exclude_defaults=True, warnings=False),
        ),
    )
    rows = [
        {"check": one.name, "dataset": one.dataset, "outcome": "yes" if one.passed else "no"}
        for one in checks
    ]
    return {
        "control.md": page,
        "control.png": draw_doses(settings, control.of.sets),
        TABLE: write_csv(pd.DataFrame(rows)),
    }


def read_parts(results: Path, control: Control) -> tuple[pd.DataFrame, list[dict[str, str]]]:
    """Read the results of all data sets and parts.

    Returns:
        A row for each cell and split with its `dataset`, and `curvature` NaN of those that are no
        balls; and what they were trained with.
    """
    tables, machines = [], []
    for dataset in control.of.sets:
        for part, study in control.parts.items():
            folder = results / dataset / part
            rows = read_metrics(folder).assign(dataset=dataset)
            tables.append(rows if is_curved(study) else rows.assign(curvature=np.nan))
            machines += read_json(folder / "machine.json")
    return pd.concat(tables, ignore_index=True), machines


def is_curved(study: Study) -> bool:
    """Say whether a part is about balls: curvature varies in it."""
    return "curvature" in study.axes


def find_limit(control: Control, dataset: str) -> str:
    """Return the control that a ball at curvature 0 must equal: flat space and nothing else.

    Raises:
        InputError: If no control of the data set is.
    """
    own = {str(name): settings for name, settings in control.own.items()}
    own_spaces = own.get(dataset, {}).get("geometry", {})
    for study in control.parts.values():
        for name in () if is_curved(study) else study.geometries:
            spaces = own_spaces.get(name, {}).values()
            if spaces and all(space["space"] == "flat" for space in spaces):
                return name
    key = f"params.yaml: control.own.{dataset}.geometry"
    raise InputError(f"{key}: found no control of flat space alone, expected one")


def list_checks(
    table: pd.DataFrame, settings: Sequence[Setting], outputs: int, control: Control
) -> Iterator[Check]:
    """Yield what must come out of the known distances, at a number of outputs."""
    for dataset in control.of.sets:
        chosen = [one for one in settings if (one.dataset, one.outputs) == (dataset, outputs)]
        balls = sorted((one for one in chosen if one.is_ball), key=lambda one: one.curvature)
        others = [one for one in chosen if not one.is_ball]
        limit = find_limit(control, dataset)
        if dataset == TREE:
            yield from check_tree(balls, others)
        if dataset == PLANE:
            yield from check_plane(balls, next(one for one in others if one.geometry == limit))
        yield check_limit(table[table["dataset"] == dataset], dataset, limit)


def check_tree(balls: Sequence[Setting], controls: Sequence[Setting]) -> Iterator[Check]:
    """Check that the ball that val chose beats each control, and that curvature has a dose.

    Args:
        balls: By rising curvature, the first at 0.
        controls: At the same outputs.
    """
    best = min(balls[1:], key=lambda ball: ball.val)
    for control in controls:
        yield Check(
            TREE,
            f"the ball at c {number(best.curvature)} is below {control.geometry} in each seed",
            f"{best.words} against {control.words}",
            best.below(control),
        )
    lowest = min(balls, key=lambda ball: ball.mean)
    rising = [ball for ball in balls if ball.curvature <= lowest.curvature]
    yield Check(
        TREE,
        "stress falls with c from 0 to an optimum",
        _list_doses(balls),
        lowest.curvature > balls[1].curvature and _goes(rising, -1),
    )
    yield Check(
        TREE,
        f"c {number(lowest.curvature)} is below c 0 in each seed",
        f"{lowest.words} against {balls[0].words}",
        lowest.below(balls[0]),
    )


def check_plane(balls: Sequence[Setting], flat: Setting) -> Iterator[Check]:
    """Check that flat space beats each ball, and that curvature harms in its dose.

    Args:
        balls: By rising curvature, the first at 0.
        flat: At the same outputs.
    """
    for ball in balls[1:]:
        allowed = EQUAL if ball.curvature <= SMALL else 0
        yield Check(
            PLANE,
            f"{flat.geometry} is below the ball at c {number(ball.curvature)} in each seed",
            f"{flat.words} against {ball.words}",
            flat.below(ball, allowed),
        )
    yield Check(PLANE, "stress rises with c from 0", _list_doses(balls), _goes(balls, 1))


def check_limit(table: pd.DataFrame, dataset: str, limit: str) -> Check:
    """Check that a ball at curvature 0 is flat space, cell by cell.

    Args:
        table: Of one data set.
        dataset: Its name.
        limit: The control.
    """
    keys = ["head.outputs", "optim.learning_rate", "seed", "split"]
    flat, ball = table[table["geometry"] == limit], table[table["curvature"] == 0]
    pairs = flat.merge(ball, on=keys, suffixes=("", "_ball"))
    largest = (pairs["stress"] - pairs["stress_ball"]).abs().max()
    return Check(
        dataset,
        f"the ball at c 0 is {limit}",
        f"largest difference {figures(largest)} in {len(pairs)} pairs",
        bool(largest <= SAME),  # NaN without a pair is no equality
    )


def compare_repeats(results: Results, classes: np.ndarray) -> Repeats:
    """Compare disjoint groups of seeds of one setting as pages compare two geometries.

    Args:
        results: Of the first geometry's seeds, at least two groups of them.
        classes: The class of each test query, (Q,).

    Raises:
        InputError: If there are fewer seeds.
    """
    rows = own(results.metrics, "test").sort_values("seed")
    geometry = str(rows["geometry"].iloc[0])
    cells = rows.loc[rows["geometry"] == geometry, "cell"].tolist()
    if len(cells) < 2 * GROUP:
        found = f"found {len(cells)} seeds of {geometry}, expected at least {2 * GROUP}"
        raise InputError(f"params.yaml: study.aa.run.seeds: {found}")
    hits = stack_queries(results, cells)
    pairs = draw_groups(len(cells))
    differ, largest = 0, 0.0
    for first, second in pairs:
        difference = paired_difference(hits[list(first)], hits[list(second)], classes)
        differ += difference.verdict != "no difference found"
        largest = max(largest, abs(difference.mean))
    return Repeats(geometry, len(cells), len(pairs), differ, largest)


def draw_groups(seeds: int) -> list[tuple[tuple[int, ...], tuple[int, ...]]]:
    """Draw pairs of disjoint groups of seeds, each pair once: all, or 200 of them."""
    every = [
        (first, second)
        for first in combinations(range(seeds), GROUP)
        for second in combinations(range(first[0] + 1, seeds), GROUP)
        if not set(first) & set(second)
    ]
    random = np.random.default_rng(0)
    drawn = random.choice(len(every), min(DRAWS, len(every)), replace=False)
    return [every[place] for place in sorted(drawn)]


def group_settings(
    settings: Sequence[Setting], datasets: Sequence[str]
) -> list[tuple[str, int, list[Setting]]]:
    """Return the settings of each data set and number of outputs, in their order."""
    outputs = list(dict.fromkeys(one.outputs for one in settings))
    return [
        (name, size, [one for one in settings if (one.dataset, one.outputs) == (name, size)])
        for size in outputs
        for name in datasets
    ]


def _goes(balls: Sequence[Setting], direction: int) -> bool:
    """Whether mean stress goes one way with curvature: 1 up, -1 down; equality by SMALL."""
    return all(
        direction * (after.mean - before.mean) > (-EQUAL if after.curvature <= SMALL else 0)
        for before, after in pairwise(balls)
    )


def _list_doses(balls: Sequence[Setting]) -> str:
    """Write the mean stress at each curvature."""
    return list_words(f"{stress(ball.mean)} at {number(ball.curvature)}" for ball in balls)
