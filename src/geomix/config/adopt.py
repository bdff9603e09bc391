"""Write the winner of a search into params.yaml."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from geomix.config.base import Dataset
from geomix.config.read import lay_over, read_yaml
from geomix.config.studies import nest
from geomix.config.tuning import Tuned
from geomix.config.write import describe_changes, write_settings
from geomix.errors import InputError


def choose_dataset(key: str, study: Tuned, dataset: str | None) -> Dataset:
    """Return the data set whose winner is meant: the one asked for, or the only one.

    Raises:
        InputError: If there are several and none is named, or another.
    """
    sets = study.of.sets
    if dataset is None and len(sets) == 1:
        return sets[0]
    for one in sets:
        if one == dataset:
            return one
    found, expected = dataset or "nothing", f"one of {key}.of.sets: {', '.join(sets)}"
    raise InputError(f"command line: --dataset: found {found}, expected {expected}")


def adopt_winner(path: Path, study: Tuned, dataset: Dataset, settings: Mapping[str, Any]) -> str:
    """Lay a winner's settings over params.yaml, comments and order kept, and say what changed.

    Below them lie those that it was tuned with: the data set, what the study pins, and what the
    data set has of its own.

    Args:
        path: params.yaml.
        study: The study.
        dataset: On which the winner was tuned.
        settings: Of the winner, by dotted key.

    Raises:
        InputError: If the result is no valid params.yaml; nothing is written then.
    """
    merged: dict[str, Any] = read_yaml(path)
    overlays: tuple[Mapping[str, Any], ...]
    overlays = {"dataset": dataset}, study.pinned, study.own[dataset], nest(settings)
    for overlay in overlays:
        merged = lay_over(merged, overlay)
    # whole sections, so that none is taken for one of another kind
    touched = {name for overlay in overlays for name in overlay}
    whole = {name: value for name, value in merged.items() if name in touched}
    return "\n".join(describe_changes(write_settings(path, [whole])))
