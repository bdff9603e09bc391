"""The page of the default flow: the answer, then what each study found and where its page is."""

import json
import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from geomix.config.sections import Geometry
from geomix.config.studies import Study
from geomix.data.packed import Packed, open_packed
from geomix.report.findings import Findings, find
from geomix.report.lineage import DIRECTIONS, LINEAGE_SCORE, LineageFindings, find_lineages
from geomix.report.missing import list_missing
from geomix.report.render import describe_origin, render
from geomix.report.results import SCORE, Results, read_results, scored_lineages


def build_summary(
    results: Path,
    data: Path,
    studies: Mapping[str, Study],
    answer: str,
    geometries: Mapping[str, Geometry],
) -> dict[str, bytes]:
    """Build the page, and the few numbers that `dvc exp show` and `dvc metrics diff` print.

    Args:
        results: The folder with one folder for each study and one for the baselines; of classes, or
            of lineages, whose score is the mean of both directions.
        data: The packed data set.
        studies: All of them, by name.
        answer: The one that answers.
        geometries: Their spaces, by name.

    Returns:
        Content by file name.
    """
    names = [answer, *(name for name in studies if name != answer)]
    chosen = {name: studies[name] for name in names}
    build = _build_lineages if scored_lineages(results / answer) else _build_classes
    found = {name: read_results(results / name) for name in names}
    baselines = read_results(results / "baselines")
    return build(found, baselines, open_packed(data), chosen, geometries)


def _build_classes(
    results: Mapping[str, Results],
    baselines: Results,
    packed: Packed,
    studies: Mapping[str, Study],
    geometries: Mapping[str, Geometry],
) -> dict[str, bytes]:
    """Build the page of classes; the first study answers."""
    found = {
        name: find(name, study, results[name], baselines, packed, geometries)
        for name, study in studies.items()
    }
    first, *others = found.values()
    page = render(
        "summary",
        dataset=packed.card["dataset"],
        f=first,
        others=[one for one in others if one.answer.kind != "alone"],
        missing=list_missing(packed, first),
        origin=describe_origin(packed, list(results.values())),
    )
    return {"README.md": page, "metrics.json": write_numbers(found, [SCORE])}


def _build_lineages(
    results: Mapping[str, Results],
    baselines: Results,
    packed: Packed,
    studies: Mapping[str, Study],
    geometries: Mapping[str, Geometry],
) -> dict[str, bytes]:
    """Build the page of lineages; the first study answers."""
    found = {
        name: find_lineages(name, study, results[name], baselines, geometries)
        for name, study in studies.items()
    }
    first, *others = found.values()
    page = render(
        "lineage_summary",
        dataset=packed.card["dataset"],
        f=first,
        others=[one for one in others if len(one.chosen) > 1],
        directions=DIRECTIONS,
        origin=describe_origin(packed, list(results.values())),
    )
    numbers = write_numbers(found, [*DIRECTIONS, LINEAGE_SCORE])
    return {"README.md": page, "metrics.json": numbers}


def write_numbers(found: Mapping[str, Findings | LineageFindings], metrics: Iterable[str]) -> bytes:
    """Write, by study and geometry, the values that val chose and test scores there, as JSON."""
    numbers = {
        name: {
            geometry: _list_numbers(row, one.axes, metrics) for geometry, row in one.chosen.items()
        }
        for name, one in found.items()
    }
    text = json.dumps(numbers, indent=2, default=lambda value: value.item()) + "\n"
    return text.encode()


def _list_numbers(
    row: Mapping[str, Any], axes: Iterable[str], metrics: Iterable[str]
) -> dict[str, Any]:
    """Return the values of the axes, and the scores with six decimals, none where there is none."""
    scores = {f"test_{metric}": row[metric] for metric in metrics}
    written = {key: None if math.isnan(score) else round(score, 6) for key, score in scores.items()}
    return {axis: row[axis] for axis in axes} | written
