"""The first page: the verdict on each data set and task, at which settings, at what cost."""

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from geomix.config.base import Dataset
from geomix.config.stages import FrontParams
from geomix.files import read_json
from geomix.report.calibration import calibrated
from geomix.report.questions import QUESTIONS
from geomix.report.recommend import recommend
from geomix.report.render import render
from geomix.report.speeds import GALLERY, SHAPE, Speed, read_speeds
from geomix.report.verdict import MEANINGS, REMEDIES

Summary = dict[str, Any]  # as `verdict_page.summarise` writes it
NO_VERDICT = "not calibrated"
ANSWERS = {  # what is counted together
    "helps": "helps",
    "hurts": "hurts",
    "equal within the margin": "equal within the margin",
    "not decidable": "open",
    "not credited": "open",
    "could not act": "idle",
    "not used": "idle",
}


def build_front(
    params: FrontParams, verdicts: Path, control: Path, bench: Path
) -> dict[str, bytes]:
    """Build the first page.

    Args:
        params: The data sets in their order, and that of the default flow, whose page is linked.
        verdicts: The folder of the summaries; a data set that was not judged has none.
        control: What calibration found.
        bench: The folder of the benchmarks' tables.

    Returns:
        Content by file name.
    """
    files = {name: verdicts / f"{name}.json" for name in params.tune.of.sets}
    summaries = [read_json(path) for path in files.values() if path.is_file()]
    if not calibrated(control):
        summaries = [withdraw(one) for one in summaries]
    rows = list(list_rows(summaries))
    speeds = read_speeds(bench)
    page = render(
        "front",
        dataset=params.dataset,
        rows=rows,
        counts=count_answers(summaries),
        summaries=summaries,
        waiting={name: find_command(params, name) for name in files if not files[name].is_file()},
        meanings=MEANINGS,
        recommended=[(one, recommend(one, speeds)) for one in summaries],
        speeds=speeds,
        unmeasured=Speed(),
        shape=SHAPE,
        gallery=GALLERY,
        geometries=list_geometries(summaries),
    )
    return {"README.md": page}


def find_command(params: FrontParams, dataset: Dataset) -> str:
    """Return the target of the Makefile that tunes on a data set."""
    if dataset == params.dataset:
        return "tune"
    if dataset == "features":
        return "trial"
    lineages = params.tune.own[dataset].get("relevance") == "lineage"
    return "lineage" if lineages else "datasets"


def withdraw(summary: Summary) -> Summary:
    """Return a summary without its answers, as the calibration did not come out."""
    lost = {"word": NO_VERDICT, "remedy": REMEDIES[NO_VERDICT]}
    tasks = [
        task | {"verdicts": {name: one | lost for name, one in task["verdicts"].items()}}
        for task in summary["tasks"]
    ]
    return summary | {"tasks": tasks}


def list_rows(summaries: Sequence[Summary]) -> Iterator[dict[str, Any]]:
    """Yield a row for each data set and task: its summary `v`, its `task`, and the page's name."""
    for summary in summaries:
        for task in summary["tasks"]:
            yield {"v": summary, "task": task, "name": f"{summary['dataset']}, {task['name']}"}


def count_answers(summaries: Sequence[Summary]) -> dict[str, int]:
    """Count the data sets by what they say of curvature, in the task that val chose by.

    Returns:
        By answer: helps, hurts, equal within the margin, open (differences that decide nothing),
        idle (curvature did not act), and none for all else; `all` of them.
    """
    words = [one["tasks"][0]["verdicts"][QUESTIONS[0].name]["word"] for one in summaries]
    counts = Counter(ANSWERS.get(word, "none") for word in words)
    return {word: counts[word] for word in (*ANSWERS.values(), "none")} | {"all": len(words)}


def list_geometries(summaries: Sequence[Summary]) -> list[str]:
    """List the geometries that were tuned, each once."""
    return list(dict.fromkeys(name for one in summaries for name in one["winners"]))
