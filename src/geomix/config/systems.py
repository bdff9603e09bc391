"""Systems of the literature: one file systems/<name>.yaml for each, published facts.

params.yaml says which of them run, and `systems.override` wins over a file.
"""

from collections.abc import Mapping, Sequence
from functools import reduce
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import Field, ValidationError

from geomix.config.base import Labels, Name, Section
from geomix.config.literature import Systems, TunedSystems
from geomix.config.read import lay_over, load
from geomix.config.stages import CellParams
from geomix.config.studies import flatten, nest
from geomix.config.tuning import Ranges, Search, list_ends
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


class TunedSystem(Section):
    """What a system needs besides what all systems have where they are tuned.

    Attributes:
        why: One sentence.
        settings: Laid over those of all.
        search: Added to what all search; a key of the same name replaces it.
        reference: What the system is compared with; without it that of its labels.
    """

    why: Annotated[str, Field(min_length=1)]
    settings: dict[str, Any] = Field(default_factory=dict)
    search: Search = Field(default_factory=dict)
    reference: Name | None = None


class System(Section):
    """A system of the literature, or a reference for others.

    Attributes:
        about: One sentence.
        source: The paper or code.
        labels: What training knows of labels; both is a row in each table.
        geometry: A name under `geometry` of params.yaml.
        twin: The system that is the same in the limit of curvature 0.
        settings: Laid over params.yaml.
        hidden: Laid over these where labels are hidden.
        tuned: What it needs where it is tuned.
        trained: What the paper trained with, as far as it is known.
        published: Scores.
        preset: Laid over params.yaml by `make preset`, with the settings.
        data: By data preset, what is laid over that too.
    """

    about: Annotated[str, Field(min_length=1)]
    source: str | None = None
    labels: Literal["given", "hidden", "both"] = "both"
    geometry: Name
    twin: Name | None = None
    settings: dict[str, Any]
    hidden: dict[str, Any] = Field(default_factory=dict)
    tuned: TunedSystem | None = None
    trained: str | None = None
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
    name: str, system: System, labels: Labels, systems: Systems, code: Path
) -> dict[str, Any]:
    """Return all that a published row is trained with, and the code that it alone needs.

    Args:
        name: Of the system.
        system: Its file.
        labels: What training knows of labels.
        systems: What the file's settings are laid over, and what is laid over them.
        code: The folder of the package.

    Returns:
        What is known of the system, `settings` laid over params.yaml, `full`, what these come to,
        and `code`, hashes by file: a cell depends on these contents alone.

    Raises:
        InputError: If the settings make a mistake in params.yaml, or a system is not there.
    """
    settings = _lay_settings(name, system, labels, systems)
    params = _load(name, labels, settings)
    if system.twin is not None and system.twin not in systems.listed:
        known = ", ".join(systems.listed)
        expected = f"a system that runs: {known}"
        raise InputError(f"systems/{name}.yaml: twin: found {system.twin}, expected {expected}")
    words = system.model_dump(
        include={"about", "source", "twin", "tuned", "trained", "published"},
        exclude={"tuned": {"search"}},
    )
    return {
        "system": name,
        "labels": labels,
        "geometry": system.geometry,
        **words,
        "settings": settings,
        "full": params.model_dump(exclude={"geometry"}),
        "code": _hash_code(params, code),
    }


def list_ranges(system: System, tuned: TunedSystems) -> Ranges:
    """Return what a system searches, by dotted key: what all do, and what it adds."""
    return {**tuned.searched, **(flatten(system.tuned.search) if system.tuned else {})}


def settle_trials(
    name: str,
    system: System,
    labels: Labels,
    systems: Systems,
    rows: Sequence[Mapping[str, Any]],
    code: Path,
) -> list[dict[str, Any]]:
    """Return what the trials of a system are trained with.

    Args:
        name: Of the system.
        system: Its file.
        labels: What training knows of labels.
        systems: What all systems have.
        rows: Of each trial what is searched, by dotted key.
        code: The folder of the package.

    Returns:
        For each trial its `settings` under dotted keys, and `code` as `settle` has it.

    Raises:
        InputError: If the ends of what is searched make a mistake in params.yaml, or the reference
            is not tuned.
    """
    own = system.tuned or TunedSystem(why="-")
    if own.reference is not None and own.reference not in systems.tuned.names:
        expected = f"a name under systems.tuned.names: {', '.join(systems.tuned.names)}"
        found = f"found {own.reference}, expected {expected}"
        raise InputError(f"systems/{name}.yaml: tuned.reference: {found}")
    settings = _lay_settings(name, system, labels, systems)
    settings = lay_over(lay_over(settings, systems.tuned.settings), own.settings)
    ends = {key: list_ends(one) for key, one in list_ranges(system, systems.tuned).items()}
    for end in (0, -1):  # what lies between is as good as these
        extreme = nest({key: values[end] for key, values in ends.items()})
        params = _load(name, labels, lay_over(settings, extreme))
    facts = {"system": name, "labels": labels, "geometry": system.geometry}
    hashes = _hash_code(params, code)
    return [
        {
            **facts,
            "trial": f"{number:02d}",
            "settings": {**flatten(settings), **row},
            "code": hashes,
        }
        for number, row in enumerate(rows)
    ]


def _lay_settings(name: str, system: System, labels: Labels, systems: Systems) -> dict[str, Any]:
    """Lay the settings of a published row over each other."""
    hidden = labels == "hidden"
    overlays = [
        systems.hidden if hidden else {},
        system.settings,
        system.hidden if hidden else {},
        systems.override.get(name, {}),
    ]
    return reduce(lay_over, overlays, dict(systems.common))


def _load(name: str, labels: Labels, settings: Mapping[str, Any]) -> CellParams:
    """Lay settings over params.yaml."""
    try:
        return load(CellParams, {**settings, "labels": labels})
    except InputError as error:
        raise InputError(f"systems/{name}.yaml, labels {labels}: {error}") from None


def _hash_code(params: CellParams, code: Path) -> dict[str, str]:
    """Return the hashes of the code that some settings alone need, by file."""
    files = (
        f"negatives/{params.negatives.rule}.py",
        f"regularisers/{params.regulariser.name}.py",
    )
    return {file: hash_file(code / file) for file in files}
