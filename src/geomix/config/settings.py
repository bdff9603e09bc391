"""What makes a cell: its geometry and settings, from a command line or a settled file."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from geomix.config.read import load
from geomix.config.sections import Geometry
from geomix.config.stages import CellParams
from geomix.config.studies import Study, flatten, nest
from geomix.errors import InputError

KNOBS = ("tau", "curvature", "lam")
NAMES = ("system", "labels", "trial")  # what a file of settings says besides the geometry


@dataclass(frozen=True)
class Cell:
    """A setting that is trained, with any seed.

    Attributes:
        geometry: Its name.
        params: All that it is trained with.
        settings: What makes it, under dotted names of params.yaml.
        names: What else names it: the system and what training knows of labels, or the trial.
    """

    geometry: str
    params: CellParams
    settings: Mapping[str, Any]
    names: Mapping[str, str] = field(default_factory=dict)

    @property
    def spaces(self) -> Geometry:
        """The spaces of its geometry."""
        return self.params.geometry[self.geometry]

    @property
    def knobs(self) -> dict[str, Any]:
        """Temperature, curvature and lam, nothing where a setting does not say."""
        return {key: self.settings.get(key) for key in KNOBS}

    def place(self, seed: int) -> str:
        """Return where the cell of a seed lies in the folder of its setting."""
        folder = self.names.get("labels") or self.names.get("trial")
        return f"{folder}/{seed}" if folder else str(seed)

    def identity(self, seed: int) -> dict[str, Any]:
        """Return what names the cell of a seed, and what makes it."""
        plain = {key: value for key, value in self.settings.items() if not isinstance(value, list)}
        return {**self.names, "geometry": self.geometry, "seed": seed, **self.knobs, **plain}


def list_runs(study: Study, own: str | None) -> list[tuple[Cell, int, str]]:
    """List all runs of a study: what is trained, with which seed, and its place."""
    runs = []
    for geometry, values, setting in study.settings():
        cell = _build_cell(geometry, {**study.fixed, **values}, {}, own)
        places = study.run.places(setting)
        runs += [(cell, seed, place) for seed, place in zip(study.seeds, places, strict=True)]
    return runs


def read_cells(
    geometry: str | None, settled: Path | None, overrides: Mapping[str, Any], own: str | None
) -> list[Cell]:
    """Read the settings that a command line asks for.

    Args:
        geometry: A name under `geometry` of params.yaml.
        settled: In its place, a folder of settings: of a system by what training knows of labels,
            of the trials of a round by their number, or of a winner.
        overrides: Settings under dotted names, laid over all others.
        own: A data set whose settings are laid over params.yaml.

    Raises:
        InputError: If neither or both are given, the geometry is not there, or tau is not said.
    """
    if (geometry is None) == (settled is None):
        raise InputError("command line: found --geometry and --settings, expected one of them")
    if settled is None:
        assert geometry is not None
        return [_build_cell(geometry, dict(overrides), {}, own)]
    files = sorted(settled.glob("*.json"))
    if not files:
        raise InputError(f"{settled}: not found; expected it from an earlier stage (dvc repro)")
    return [_read_cell(file, overrides, own) for file in files]


def _read_cell(file: Path, overrides: Mapping[str, Any], own: str | None) -> Cell:
    """Read the settings of a system, a trial or a winner."""
    content = json.loads(file.read_text(encoding="utf-8"))
    names = {key: content[key] for key in NAMES if key in content}
    labels = {"labels": content["labels"]} if "labels" in content else {}
    settings = {**content["settings"], **labels, **overrides}
    return _build_cell(content["geometry"], settings, names, own)


def _build_cell(
    geometry: str, settings: Mapping[str, Any], names: dict[str, str], own: str | None
) -> Cell:
    """Lay settings over params.yaml."""
    nested = nest(settings)
    params = load(CellParams, nested, own=own)
    if geometry not in params.geometry:
        known = ", ".join(params.geometry)
        raise InputError(f"params.yaml: geometry.{geometry}: not there; known here: {known}")
    if "tau" not in settings:
        raise InputError("command line: found no tau, expected one (--tau)")
    # A system is named by its file; only its temperature and the like stand beside the name.
    made = {key: nested.get(key) for key in KNOBS} if "system" in names else flatten(nested)
    return Cell(geometry, params, made, names)
