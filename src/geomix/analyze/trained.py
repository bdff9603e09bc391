"""The trained cells of two studies, as analyses need them: by geometry, setting and seed."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from geomix.config.studies import Study
from geomix.data.packed import Packed
from geomix.errors import InputError
from geomix.evaluate.cells import Cell, read_cell, read_points
from geomix.evaluate.score import find_task
from geomix.files import read_json
from geomix.geometry.geometry import Geometry


@dataclass(frozen=True)
class Setting:
    """A geometry with a value of each axis of its study.

    Attributes:
        study: Its name.
        geometry: Its name.
        values: By axis.
        places: Of its cells in the folder of the study, by seed.
    """

    study: str
    geometry: str
    values: Mapping[str, Any]
    places: Mapping[int, str]


@dataclass(frozen=True)
class Trained:
    """The cells of two studies on one data set.

    Attributes:
        packed: The data set.
        studies: By name.
        runs: The folder of each study's cells.
        tuned: The study of which validation chose values.
        beside: The study of which all settings count.
        chosen: By geometry the values of the axes of `tuned` that validation chose.
    """

    packed: Packed
    studies: Mapping[str, Study]
    runs: Mapping[str, Path]
    tuned: str
    beside: str
    chosen: Mapping[str, Mapping[str, Any]]

    @property
    def task(self) -> str:
        """What the cells were trained for: class, lineage or distances."""
        return find_task(self.runs[self.tuned], self.studies[self.tuned].cells())

    def settings(self, study: str) -> Iterator[Setting]:
        """List the settings of a study, in its order."""
        run = self.studies[study].run
        for geometry, values, name in self.studies[study].settings():
            places = dict(zip(run.seed_list, run.places(name), strict=True))
            yield Setting(study, geometry, values, places)

    def chosen_settings(self) -> list[Setting]:
        """List the settings of study `tuned` that validation chose, one for each geometry.

        Raises:
            InputError: If a geometry has none.
        """
        settings = list(self.settings(self.tuned))
        for setting in settings:
            if setting.geometry not in self.chosen:
                found = f"found {', '.join(self.chosen) or 'nothing'}"
                expected = f"expected {setting.geometry}: run evaluate again"
                raise InputError(f"chosen.json: {found}, {expected}")
        return [one for one in settings if one.values == self.chosen[one.geometry]]

    def machines(self) -> list[dict[str, str]]:
        """Return what the cells were trained with, each machine once."""
        found: list[dict[str, str]] = []
        for study in (self.beside, self.tuned):
            for setting in self.settings(study):
                for place in setting.places.values():
                    machine = read_json(self.runs[study] / place / "geometry.json")["machine"]
                    if machine not in found:
                        found.append(machine)
        return found

    def read(self, setting: Setting, seed: int) -> Cell:
        """Read a cell."""
        return read_cell(self.runs[setting.study], setting.places[seed])

    def read_head(self, setting: Setting, seed: int, split: str) -> tuple[Geometry, Tensor]:
        """Return the geometry of a cell and its head's outputs of a split, float64 (n, D).

        Raises:
            InputError: If a file is missing, or the cell has no head.
        """
        cell = self.read(setting, seed)
        if cell.geometry is None:
            found = "found no spaces in geometry.json, expected those of the head"
            raise InputError(f"{cell.name}: {found}: run train again")
        return cell.geometry, read_points(cell, self.packed, split, "head")
