"""The page of the default flow: the answer, then what each study found and where its page is."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from geomix.config.sections import Geometry
from geomix.config.studies import Study
from geomix.data.packed import open_packed
from geomix.report.findings import Findings, find
from geomix.report.render import describe_origin, render
from geomix.report.results import SCORE, read_results


def build_summary(
    results: Path,
    data: Path,
    studies: Mapping[str, Study],
    answer: str,
    geometries: Mapping[str, Geometry],
) -> dict[str, bytes]:
    """Build the page, and the few numbers that `dvc exp show` and `dvc metrics diff` print.

    Args:
        results: The folder with one folder for each study and one for the baselines.
        data: The packed data set.
        studies: All of them, by name.
        answer: The one that answers.
        geometries: Their spaces, by name.

    Returns:
        Content by file name.
    """
    packed, baselines = open_packed(data), read_results(results / "baselines")
    found = {
        name: find(name, study, read_results(results / name), baselines, packed, geometries)
        for name, study in studies.items()
    }
    first = found.pop(answer)
    page = render(
        "summary",
        dataset=packed.card["dataset"],
        f=first,
        others=[one for one in found.values() if one.answer.kind != "alone"],
        origin=describe_origin(packed, [first.results, *(one.results for one in found.values())]),
    )
    numbers = {one.name: list_numbers(one) for one in (first, *found.values())}
    text = json.dumps(numbers, indent=2, default=lambda value: value.item()) + "\n"
    return {"README.md": page, "metrics.json": text.encode()}


def list_numbers(found: Findings) -> dict[str, dict[str, Any]]:
    """Return by geometry the values that validation chose and test recall at 1 there."""
    return {
        name: {axis: row[axis] for axis in found.axes} | {f"test_{SCORE}": round(row[SCORE], 6)}
        for name, row in found.chosen.items()
    }
