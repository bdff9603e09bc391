"""The sections of params.yaml that say what is tuned, over which ranges, and what chooses."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, Tag, TypeAdapter, field_validator, model_validator
from typing_extensions import TypeAliasType

from geomix.config.base import Count, Dataset, Number, Positive, Section, Seed
from geomix.config.sections import Ball, Geometry, Power
from geomix.config.studies import Groups, Names, Run, Sets, Study, flatten

TRIAL_SEED = 0  # of all trials
ROUNDS = 3  # of trials
PACKED = "packed"  # the folder of winners on the packed data, beside those on other splits
FAILED = "failed.json"  # what is left of a trial whose training had to stop
COLUMNS = 16  # of the table of the first round, and so the most keys that a geometry may tune


class Range(Section):
    """Numbers between two ends that tuning searches, evenly or evenly in their logarithm."""

    low: Number
    high: Number
    log: bool = False

    @model_validator(mode="after")
    def _rising(self) -> "Range":
        if self.low >= self.high:
            raise ValueError(f"low below high, not {self.low} and {self.high}")
        if self.log and self.low <= 0:
            raise ValueError(f"low above 0 as log is true, not {self.low}")
        return self


class Among(Section):
    """Values in no order that tuning searches."""

    among: Annotated[list[bool | int | float | str | None], Field(min_length=2)]

    @field_validator("among")
    @classmethod
    def _each_value_once(cls, values: list[Any]) -> list[Any]:
        if len(set(map(str, values))) < len(values):
            raise ValueError("each value once")
        return values


def _kind_of_search(value: Any) -> str:
    """Tell a range and a choice from a section that holds such."""
    if isinstance(value, Among) or (isinstance(value, Mapping) and "among" in value):
        return "among"
    ends = isinstance(value, Mapping) and {"low", "high", "log"} & value.keys()
    return "range" if ends or isinstance(value, Range) else "section"


# What is searched, nested as the keys of params.yaml are.
Search = TypeAliasType(  # type: ignore[misc]
    "Search",
    dict[
        str,
        Annotated[
            Annotated[Range, Tag("range")]
            | Annotated[Among, Tag("among")]
            | Annotated["Search", Tag("section")],  # type: ignore[misc]
            Discriminator(_kind_of_search),
        ],
    ],
)
Ranges = Mapping[str, Range | Among]  # what is searched, by dotted key


def read_ranges(content: Mapping[str, Any]) -> Ranges:
    """Read what is searched, by dotted key, from a file."""
    return TypeAdapter(Search).validate_python(content)


def list_ends(one: Range | Among) -> list[Any]:
    """Return the ends of a range, or all values where they have no order."""
    return [one.low, one.high] if isinstance(one, Range) else one.among


def is_within(one: Range | Among, value: Any) -> bool:
    """Say whether a value is one of those that are searched."""
    if isinstance(one, Among):
        return value in one.among
    return isinstance(value, int | float) and one.low <= value <= one.high


class Budget(Section):
    """What tuning may spend on each geometry of a data set.

    Attributes:
        trials: Settings in each of three rounds.
        folds: Divisions of train and val that score a trial; the first is the packed one.
        seeds: With which the winners are trained, in groups.
        splits: Seeds of further class splits on which the winners are trained too.
    """

    trials: Annotated[int, Field(ge=2, le=100)]  # numbers of two digits
    folds: Count
    seeds: Groups
    splits: list[Seed]

    @field_validator("splits")
    @classmethod
    def _each_split_once(cls, splits: list[int]) -> list[int]:
        if len(set(splits)) < len(splits):
            raise ValueError("each seed once")
        return splits


class Tuning(Study):
    """The search on one data set, as a study: its cells are the winners, and nothing varies.

    Attributes:
        seed: Of the table and of the sampler.
        budget: What a geometry may spend.
        search: What is tuned.
        own: What is laid over params.yaml.
    """

    seed: Seed
    budget: Budget
    search: Search
    own: dict[str, Any]

    @property
    def trials(self) -> int:
        """Trials of each geometry in all rounds."""
        return ROUNDS * self.budget.trials


class Tuned(Section):
    """Geometries that are tuned on data sets, with the same number of trials each.

    Attributes:
        of: The data sets.
        geometries: Names under `geometry`.
        seed: Of the table and of the sampler.
        starts: Settings that are tried first, by a name, nested as `search` is.
        budget: For each data set what a geometry may spend there.
        search: What is tuned; each geometry tunes the keys that it has.
        own: For each data set what is laid over params.yaml while it is trained on.
    """

    of: Sets
    geometries: Names
    seed: Seed
    starts: dict[str, dict[str, Any]]
    budget: dict[Dataset, Budget]
    search: Search
    own: dict[Dataset, dict[str, Any]]

    @property
    def searched(self) -> Ranges:
        """All that is tuned, by dotted key."""
        return flatten(self.search)

    def ranges(self, name: str, spaces: Geometry) -> Ranges:
        """Return what a geometry tunes.

        Args:
            name: Of the geometry.
            spaces: Of the geometry.
        """
        return {key: one for key, one in self.searched.items() if has_key(key, name, spaces)}

    def winners(self, dataset: Dataset) -> Tuning:
        """Return the winners on a data set as a study, at fresh seeds."""
        budget = self.budget[dataset]
        return Tuning(
            run=Run(geometries=self.geometries, seeds=budget.seeds),
            seed=self.seed,
            budget=budget,
            search=self.search,
            own=self.own.get(dataset, {}),
        )


def has_key(key: str, name: str, spaces: Geometry) -> bool:
    """Say whether a setting has a meaning for a geometry.

    Curvature has one for a ball and its kernel unless they have their own, lam where it is a
    weight, and what stands under `geometry` for the geometry of that name.
    """
    if key == "curvature":
        curved = [space for space in spaces.values() if isinstance(space, Ball | Power)]
        return any(space.curvature is None for space in curved)
    if key == "lam":
        return any(space.weight == "lam" for space in spaces.values())
    return key.split(".")[0] != "geometry" or key.split(".")[1] == name


class Verdict(Section):
    """What decides: the metric of tuning, verdicts and power, and what counts as equal.

    Attributes:
        metric: Of classes; of lineages it is the mean of both directions.
        margin: In points of the metric in percent.
    """

    metric: Literal["map_at_r", "recall_at_1"]
    margin: Positive
