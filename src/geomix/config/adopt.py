"""Write the winner of a search into params.yaml."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from geomix.config.base import Dataset
from geomix.config.read import lay_over, read_yaml
from geomix.config.studies import nest
from geomix.config.tuning import Tuned
from geomix.config.write import describe_changes, write_settings


def adopt_winner(path: Path, tuned: Tuned, dataset: Dataset, settings: Mapping[str, Any]) -> str:
    """Lay a winner's settings over params.yaml, comments and order kept, and say what changed.

    Below them lie those that it was tuned with: the data set, and what this has of its own.

    Args:
        path: params.yaml.
        tuned: Section tune.
        dataset: On which the winner was tuned.
        settings: Of the winner, by dotted key.

    Raises:
        InputError: If the result is no valid params.yaml; nothing is written then.
    """
    merged: dict[str, Any] = read_yaml(path)
    overlays: tuple[Mapping[str, Any], ...]
    overlays = {"dataset": dataset, "relevance": "class"}, tuned.own[dataset], nest(settings)
    for overlay in overlays:
        merged = lay_over(merged, overlay)
    # whole sections, so that none is taken for one of another kind
    touched = {name for overlay in overlays for name in overlay}
    whole = {name: value for name, value in merged.items() if name in touched}
    return "\n".join(describe_changes(write_settings(path, [whole])))
