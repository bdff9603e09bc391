"""Section `systems` of params.yaml: which systems of the literature run, and which are tuned.

A system is a file systems/<name>.yaml; `config/systems.py` reads it.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field

from geomix.config.base import Name, Section, Seed
from geomix.config.studies import Seeded, expand_group, flatten
from geomix.config.tuning import Ranges, Search

Pair = Annotated[list[Name], Field(min_length=2, max_length=2)]
# Of the second of a pair; validation chooses one.
WEIGHTS = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)


class References(Section):
    """The systems that others are compared with, by what training knows."""

    given: Name
    hidden: Name


class Table(Section):
    """The table of trials, the same for all systems.

    Attributes:
        trials: Rows.
        seed: Of the scrambling.
    """

    trials: Annotated[int, Field(ge=2, le=100)]  # numbers of two digits
    seed: Seed


class TunedSystems(Section):
    """The systems that are tuned: rows of a table are tried, and val chooses one.

    Attributes:
        names: Of these systems, those that cost most first.
        table: What is tried.
        run: Fresh seeds with which the winners are trained.
        settings: Laid over those of the published rows.
        search: What is tuned; a system's file may add to it.
    """

    names: list[Name]
    table: Table
    run: Seeded
    settings: dict[str, Any] = Field(default_factory=dict)
    search: Search

    @property
    def searched(self) -> Ranges:
        """All that is tuned, by dotted key."""
        return flatten(self.search)

    def cells(self, settled: Path) -> list[str]:
        """Return the places of the winners, such as hcl/given/10."""
        return [
            f"{name}/{labels}/{seed}"
            for name in self.names
            for labels in list_settled(settled, name)
            for seed in self.run.seed_list
        ]


class Systems(Section):
    """The systems of the literature that are run.

    Attributes:
        names: Of the files of those that run as published alone.
        run: The seeds of the published rows.
        references: What the others are compared with.
        common: Settings laid over this file for all systems, below those of their files.
        hidden: Laid over these where labels are hidden.
        tuned: The systems that run as published and tuned.
        ensemble: Pairs of winners with labels given that are fused at search, by what they differ
            in. A system with itself is fused from two seeds, others from one.
        override: By name, settings laid over those of the file.
    """

    names: list[Name]
    run: Seeded
    references: References
    common: dict[str, Any]
    hidden: dict[str, Any] = Field(default_factory=dict)
    tuned: TunedSystems
    ensemble: dict[Name, Pair]
    override: dict[Name, dict[str, Any]] = Field(default_factory=dict)

    @property
    def listed(self) -> list[str]:
        """All systems."""
        return [*self.tuned.names, *self.names]

    def cells(self, settled: Path) -> list[str]:
        """Return the places of the published rows, such as hcl-0/given/0.

        Args:
            settled: The folder that stage settle wrote.
        """
        return [
            f"{name}-{group}/{labels}/{seed}"
            for name in self.listed
            for group in self.run.seeds
            for labels in list_settled(settled, name)
            for seed in expand_group(group)
        ]

    def fusions(self) -> Iterator[tuple[str, list[tuple[str, str]]]]:
        """Yield by name of a pair the places of the two winners that are fused, for each seed."""
        seeds = self.tuned.run.seed_list
        for name, (first, second) in self.ensemble.items():
            others = [*seeds[1:], seeds[0]] if first == second else seeds
            members = zip(seeds, others, strict=True)
            yield name, [(f"{first}/given/{a}", f"{second}/given/{b}") for a, b in members]


def list_settled(settled: Path, name: str) -> list[str]:
    """Return what training knows of labels in the rows of a system, as stage settle wrote them."""
    return sorted(path.stem for path in (settled / "settings" / name).glob("*.json"))
