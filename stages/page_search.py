"""Report a search: its settings and history -> reports/<dataset>/tune_search/ (page, figure)."""

if __package__ != "stages":
    raise SystemExit(
        "error: start this stage from the root of the repository: python -m stages.page_search"
    )

from pathlib import Path

from geomix.config.read import load
from geomix.config.stages import SearchPageParams, find_dataset
from stages import Arguments, run


def main() -> None:
    """Build the page of a search, then write it."""
    load(SearchPageParams)
    arguments = Arguments()
    arguments.add_argument("--own", required=True, help="tune.glyphs: what is laid over params")
    arguments.add_argument("--settings", type=Path, required=True, help="of the whole search")
    arguments.add_argument("--data", type=Path, required=True)
    arguments.add_argument("--out", type=Path, required=True)
    given = arguments.parse_args()
    params = load(SearchPageParams, own=given.own)
    tuned = params.tune
    study = tuned.winners(find_dataset(tuned, given.own.removeprefix("tune.")))

    from geomix.data.packed import open_packed
    from geomix.report.render import write_folder
    from geomix.report.search import Search, build_search
    from geomix.tune.history import read_history
    from geomix.tune.importance import measure_importance
    from geomix.tune.summary import place_winner, tabulate_trials

    searches = []
    for name in study.geometries:
        ranges = tuned.ranges(name, params.geometry[name])
        history = read_history(given.settings / name / "winner" / "history.csv", ranges)
        importance = measure_importance(ranges, history)
        trials = tabulate_trials(ranges, history)
        searches.append(Search(name, trials, place_winner(ranges, history), importance))
    files = build_search(study, searches, open_packed(given.data), params)
    write_folder(files, given.out)


if __name__ == "__main__":
    run(main)
