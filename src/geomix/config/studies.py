"""The sections of params.yaml that say what is run: studies, baselines, data sets.

A study says which keys of params.yaml vary, in which geometries, over which seeds, and what is
pinned. A cell is one trained run of it.
"""

from collections.abc import Iterator, Mapping
from itertools import product
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field, ValidationInfo, field_validator

from geomix.config.base import Dataset, Name, Section, Seed


def flatten(settings: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return nested settings under dotted keys: {optim: {warmup: 0.2}} as {optim.warmup: 0.2}."""
    flat: dict[str, Any] = {}
    for key, value in settings.items():
        if isinstance(value, Mapping):
            flat |= flatten(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = value
    return flat


def nest(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return settings under dotted keys as nested ones, the inverse of `flatten`."""
    nested: dict[str, Any] = {}
    for key, value in settings.items():
        *sections, last = key.split(".")
        target = nested
        for section in sections:
            target = target.setdefault(section, {})
        target[last] = value
    return nested


def expand_group(group: str) -> list[int]:
    """Return the seeds of a group: 0-2 are 0, 1 and 2; 2-0 has none."""
    first, _, last = group.partition("-")
    return list(range(int(first), int(last or first) + 1))


def _as_text(group: Any) -> Any:
    """Write a single seed as a group: 3 as 3."""
    return str(group) if isinstance(group, int) and not isinstance(group, bool) else group


SeedGroup = Annotated[str, BeforeValidator(_as_text), Field(pattern=r"^\d+(-\d+)?$")]


def _each_seed_once(groups: list[str]) -> list[str]:
    """Refuse groups that are empty, or share a seed."""
    seeds = [seed for group in groups for seed in expand_group(group)]
    if not all(expand_group(group) for group in groups) or len(set(seeds)) < len(seeds):
        raise ValueError("rising groups that hold each seed once, such as [0-2, 3]")
    return groups


def _each_name_once(names: list[str]) -> list[str]:
    """Refuse a name that is there twice."""
    if len(set(names)) < len(names):
        raise ValueError("each geometry once")
    return names


Groups = Annotated[list[SeedGroup], Field(min_length=1), AfterValidator(_each_seed_once)]
Names = Annotated[list[Name], Field(min_length=1), AfterValidator(_each_name_once)]


class Seeded(Section):
    """What runs over seeds; the seeds of a group are trained in one process."""

    seeds: Groups

    @property
    def seed_list(self) -> list[Seed]:
        """All seeds, group by group."""
        return [seed for group in self.seeds for seed in expand_group(group)]

    def places(self, setting: str) -> Iterator[str]:
        """Yield the places of a setting's cells: a folder for a group, in it one for each seed."""
        for group in self.seeds:
            for seed in expand_group(group):
                yield f"{setting}-{group}/{seed}"


class Run(Seeded):
    """Which geometries are trained, and over which seeds."""

    geometries: Names


class Evaluated(Section):
    """What is evaluated as a whole: a folder of cells."""

    @property
    def axes(self) -> dict[str, list[Any]]:
        """What varies: dotted keys with their values."""
        return {}

    def cells(self) -> list[str]:
        """Return the places of all cells."""
        raise NotImplementedError


class Study(Evaluated):
    """One kind of study.

    Attributes:
        run: Geometries, names under `geometry`, and seeds.
        over: Keys of params.yaml that vary, nested as there, with a list in place of each value.
        pinned: Keys that are held at one value.
    """

    run: Run
    over: dict[str, Any] = Field(default_factory=dict)
    pinned: dict[str, Any] = Field(default_factory=dict)

    @field_validator("over")
    @classmethod
    def _lists_of_values(cls, over: dict[str, Any]) -> dict[str, Any]:
        for key, values in flatten(over).items():
            unique = isinstance(values, list) and len(set(map(str, values))) == len(values)
            if not unique or not values or None in values:
                raise ValueError(f"a list of values for {key}, each once and none of them null")
        return over

    @field_validator("pinned")
    @classmethod
    def _varied_or_held(cls, pinned: dict[str, Any], info: ValidationInfo) -> dict[str, Any]:
        axes = flatten(info.data.get("over", {}))
        for key in flatten(pinned):
            if any(f"{key}.".startswith(f"{axis}.") for axis in axes):
                raise ValueError(f"{key} here or in over, not in both")
        return pinned

    @property
    def geometries(self) -> list[str]:
        """The geometries."""
        return self.run.geometries

    @property
    def seeds(self) -> list[int]:
        """All seeds."""
        return self.run.seed_list

    @property
    def axes(self) -> dict[str, list[Any]]:
        """What varies: dotted keys with their values."""
        return flatten(self.over)

    @property
    def fixed(self) -> dict[str, Any]:
        """What is pinned: dotted keys with their values."""
        return flatten(self.pinned)

    @property
    def base(self) -> dict[str, Any]:
        """What is pinned, nested; with the first value of a key that varies beside pinned ones.

        A rule that is pinned is no whole section without its number that varies.
        """
        pinned = {key.split(".")[0] for key in self.fixed}
        beside = {k: values[0] for k, values in self.axes.items() if k.split(".")[0] in pinned}
        return nest(beside | self.fixed)

    def cells(self) -> list[str]:
        """Return the places of all cells, such as euclidean-0.1-0-2/0, as DVC names its matrix."""
        return [place for *_, setting in self.settings() for place in self.run.places(setting)]

    def settings(self) -> Iterator[tuple[str, dict[str, Any], str]]:
        """Yield each geometry with each combination of values, and the name of that setting."""
        for geometry, *values in product(self.geometries, *self.axes.values()):
            name = "-".join(map(str, (geometry, *values)))
            yield geometry, dict(zip(self.axes, values, strict=True)), name


class Baselines(Seeded, Evaluated):
    """Raw pixels or vectors, and an untrained network for each seed, in the form of cells."""

    def cells(self) -> list[str]:
        """Return the places of the cells."""
        return ["pixels", *(f"untrained-{seed}" for seed in self.seed_list)]


class Sets(Section):
    """The data sets of a study on several."""

    sets: Annotated[list[Dataset], Field(min_length=1)]


class Control(Section):
    """The calibration: studies on data sets of known distances.

    Attributes:
        of: The data sets.
        own: For each of them what is laid over params.yaml while it is trained on.
        parts: The studies, by name.
    """

    of: Sets
    own: dict[Dataset, dict[str, Any]]
    parts: Annotated[dict[Name, Study], Field(min_length=1)]


class Datasets(Study):
    """One study on several data sets.

    Attributes:
        of: The data sets.
        own: For each of them what is laid over params.yaml while it is trained on.
    """

    of: Sets
    own: dict[Dataset, dict[str, Any]]


class Report(Section):
    """What the pages show: queries in pictures, and the study that answers on the first page."""

    queries: Annotated[int, Field(ge=1)]
    answer: Name
