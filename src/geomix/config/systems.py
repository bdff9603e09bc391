"""Systems of the literature: one file systems/<name>.yaml for each, published facts.

params.yaml says which of them run, and `systems.override` wins over a file.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import Field, ValidationError

from geomix.config.base import Labels, Name, Section
from geomix.config.read import lay_over, load
from geomix.config.stages import CellParams
from geomix.config.studies import nest
from geomix.errors import InputError
from geomix.files import hash_file


class Published(Section):
    """A published score, with what it is a score of.

    Attributes:
        data: The data set.
        score: In percent.
        vector: Which vector was searched, and how it was compared.
        protocol: What else a reader needs to compare it.
    """

    data: str
    score: float
    vector: str
    protocol: str


class System(Section):
    """A system of the literature, or a reference for others.

    Attributes:
        about: One sentence.
        source: The paper or code.
        labels: What training knows of labels; both is a row in each table.
        geometry: A name under `geometry` of params.yaml.
        tuned_on: A study, such as tau: its values that validation chose are laid over the settings.
        settings: Laid over params.yaml.
        hidden: Laid over these where labels are hidden.
        published: Scores.
        preset: Laid over params.yaml by `make preset`, with the settings.
        data: By data preset, what is laid over that too.
    """

    about: Annotated[str, Field(min_length=1)]
    source: str | None = None
    labels: Literal["given", "hidden", "both"] = "both"
    geometry: Name
    tuned_on: Name | None = None
    settings: dict[str, Any]
    hidden: dict[str, Any] = Field(default_factory=dict)
    published: list[Published] = Field(default_factory=list)
    preset: dict[str, Any] = Field(default_factory=dict)
    data: dict[str, dict[str, Any]] = Field(default_factory=dict)


def read_system(folder: Path, name: str) -> System:
    """Read the file of a system.

    Args:
        folder: Of the files.
        name: Of the system.

    Raises:
        InputError: If there is no such file, or it is not a system's.
    """
    path = folder / f"{name}.yaml"
    try:
        return System.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        known = ", ".join(sorted(file.stem for file in folder.glob("*.yaml")))
        raise InputError(f"{path}: not found; known there: {known}") from None
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(map(str, first["loc"]))
        raise InputError(f"{path}: {key}: {first['msg']}") from None
    except yaml.YAMLError as error:
        raise InputError(f"{path}: not YAML: {' '.join(str(error).split())}") from None


def list_labels(system: System) -> list[Labels]:
    """Return the ways in which a system trains: with labels given, hidden, or both."""
    return ["given", "hidden"] if system.labels == "both" else [system.labels]


def settle(
    name: str,
    system: System,
    labels: Labels,
    common: Mapping[str, Any],
    override: Mapping[str, Any],
    chosen: Mapping[str, Mapping[str, Any]],
    code: Path,
) -> dict[str, Any]:
    """Return all that a system is trained with, and the code that it alone needs.

    Args:
        name: Of the system.
        system: Its file.
        labels: What training knows of labels.
        common: What the file's settings are laid over.
        override: Laid over the file's settings.
        chosen: By geometry the dotted keys that validation chose in the study that it is tuned on.
        code: The folder of the package.

    Returns:
        What is known of the system, `settings` laid over params.yaml, `full`, what these come to,
        and `code`, hashes by file: a cell depends on these contents alone.

    Raises:
        InputError: If the settings make a mistake in params.yaml.
    """
    settings = lay_over(common, system.settings)
    if system.tuned_on:
        if system.geometry not in chosen:
            known = ", ".join(chosen)
            raise InputError(
                f"systems/{name}.yaml: geometry: found {system.geometry}, "
                f"expected one that study {system.tuned_on} runs: {known}"
            )
        settings = lay_over(settings, nest(chosen[system.geometry]))
    if labels == "hidden":
        settings = lay_over(settings, system.hidden)
    settings = lay_over(settings, override)
    try:
        params = load(CellParams, {**settings, "labels": labels})
    except InputError as error:
        raise InputError(f"systems/{name}.yaml, labels {labels}: {error}") from None
    files = (
        f"negatives/{params.negatives.rule}.py",
        f"regularisers/{params.regulariser.name}.py",
    )
    words = system.model_dump(include={"about", "source", "tuned_on", "geometry", "published"})
    return {
        "system": name,
        "labels": labels,
        **words,
        "settings": settings,
        "full": params.model_dump(exclude={"geometry"}),
        "code": {file: hash_file(code / file) for file in files},
    }
