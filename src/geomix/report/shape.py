"""The page of the shape of embeddings: reports/<dataset>/geometry/."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd

from geomix.config.sections import Geometry
from geomix.data.packed import EARLIER, Packed, open_packed
from geomix.errors import InputError
from geomix.files import read_json
from geomix.report.disks import THUMBNAILS, draw_disk
from geomix.report.figures import find_stand_ins
from geomix.report.kinds import add_kinds, mark_curved
from geomix.report.render import describe_origin, render
from geomix.report.results import Results, list_settings, over_seeds, own, read_metrics
from geomix.report.shapes import draw_deltas, draw_radii
from geomix.report.text import settings

DISK = 0.144  # relative delta of the Poincare disk (Khrulkov et al. 2020, arXiv:1904.02239, eq. 5)
EXACT = 1e-9  # relative delta below which rounding alone keeps a metric from that of a tree
KEYS = ["study", "geometry"]
MEASURED = (
    "radius_mean",
    "radius_sd",
    "relative_delta",
    "relative_delta_gaussian",
    "relative_delta_sphere",
    "diameter",
    "cophenetic",
    "distortion",
)
Row = dict[str, Any]


@dataclass(frozen=True)
class Shape:
    """What is known of the shape of embeddings.

    Attributes:
        cells: A row for each cell, from stage analyze.
        bins: Histograms of radii.
        correlations: Of radii, a row for each setting.
        disk: Samples in the Poincare disk.
        layout: Fewer of them, laid out there by UMAP.
        sampled: What was sampled.
        acted: Means over seeds by study and geometry, with `kind`, `use` and `bend`.
    """

    cells: pd.DataFrame
    bins: pd.DataFrame
    correlations: pd.DataFrame
    disk: pd.DataFrame
    layout: pd.DataFrame
    sampled: Row
    acted: pd.DataFrame

    @cached_property
    def rows(self) -> list[Row]:
        """A row for each setting: means over seeds, and `_sd`, with what acted."""
        groups = self.cells.groupby(KEYS, sort=False)
        means = groups[list(MEASURED)].mean()
        spreads = groups[list(MEASURED)].std().add_suffix("_sd")
        lower = self.cells["relative_delta"] < self.cells["relative_delta_gaussian"]
        counted = lower.groupby([self.cells[key] for key in KEYS], sort=False).sum()
        table = (
            means.join(spreads).join(counted.rename("below")).join(groups.size().rename("seeds"))
        )
        acted = self.acted.drop(columns=["radius_mean", "radius_sd", "seeds"])
        rows: list[Row] = table.reset_index().merge(acted, on=KEYS).to_dict("records")
        return [
            row
            | {
                "label": name_setting(row),
                "spread": row["radius_sd"] / row["radius_mean"],
                "ball": row["kind"] == "curved",
                "free": row["use"] != "forced" and not math.isnan(row["radius_mean"]),
                "implied": imply_curvature(row["relative_delta"]),
            }
            for row in rows
        ]

    @property
    def free(self) -> list[Row]:
        """The settings whose radii differ."""
        return [row for row in self.rows if row["free"]]

    @property
    def forced(self) -> list[Row]:
        """The settings all of whose points have one radius, or none at all."""
        return [row for row in self.rows if not row["free"]]

    @property
    def widest(self) -> Row | None:
        """The setting whose radii differ most."""
        return max(self.free, key=lambda row: float(row["spread"]), default=None)

    @property
    def measured(self) -> list[Row]:
        """The settings whose distances are a metric."""
        return [row for row in self.rows if not math.isnan(row["relative_delta"])]

    @property
    def treelike(self) -> list[Row]:
        """Those whose relative delta is below that of Gaussian points in every seed."""
        return [row for row in self.measured if row["below"] == row["seeds"]]

    @property
    def correlated(self) -> list[Row]:
        """Correlations of radii where radii differ, with the names of their settings."""
        known = {(row["study"], row["geometry"]): row for row in self.free}
        rows = self.correlations.to_dict("records")
        return [
            row | {"label": known[key]["label"], "by_seed": sign_numbers(str(row["per_seed"]))}
            for row in rows
            if (key := (row["study"], row["geometry"])) in known
        ]


def name_setting(row: Mapping[str, Any]) -> str:
    """Name a setting: its geometry, with the values that validation chose, if it did."""
    name = str(row["geometry"])
    return f"{name} ({row['values']})" if row["values"] else name


def sign_numbers(text: str) -> str:
    """Write numbers, separated by spaces, to two decimals with their signs: +0.12, -0.30."""
    signed = [f"{round(float(number), 2) + 0:+.2f}" for number in text.split()]  # never -0.00
    return ", ".join("-" if number == "+nan" else number for number in signed)


def imply_curvature(relative: float) -> float:
    """Return the curvature that a relative delta implies, (0.144 / relative)^2; NaN of a tree."""
    return (DISK / relative) ** 2 if relative > EXACT else math.nan


def read_shape(analysis: Path, acted: pd.DataFrame) -> Shape:
    """Read what stage analyze wrote.

    Raises:
        InputError: If a file is missing.
    """
    return Shape(
        cells=read_table(analysis / "shape.csv"),
        bins=read_table(analysis / "radii.csv"),
        correlations=read_table(analysis / "correlations.csv"),
        disk=read_table(analysis / "disk.csv"),
        layout=read_table(analysis / "layout.csv"),
        sampled=read_json(analysis / "shape.json"),
        acted=acted,
    )


def read_table(path: Path) -> pd.DataFrame:
    """Read a table.

    Raises:
        InputError: If it is missing.
    """
    try:
        return pd.read_csv(path)
    except FileNotFoundError:
        raise InputError(f"{path}: {EARLIER}") from None


def average_acted(
    metrics: pd.DataFrame, chosen: Mapping[str, Row] | None, geometries: Mapping[str, Geometry]
) -> pd.DataFrame:
    """Average what acted over seeds, on test.

    Args:
        metrics: Of a study.
        chosen: By geometry the value of each axis that counts; None of a study without axes.
        geometries: Their spaces by name.

    Returns:
        A row for each geometry, with `kind`, `use`, `bend`, `clipped_share`, `radius_relative` and
        `values`, the chosen ones in words.
    """
    wanted = chosen or {}
    rows = own(metrics, "test")
    kept = [
        all(row[axis] == value for axis, value in wanted.get(row["geometry"], {}).items())
        for row in rows.to_dict("records")
    ]
    rows = rows[kept]
    values = [describe_values(wanted.get(name, {})) for name in rows["geometry"]]
    table = over_seeds(rows.assign(values=values), ["geometry", "values"])
    return add_kinds(mark_curved(table), geometries)


def describe_values(values: Row) -> str:
    """Write the values of axes with their keys; nothing without an axis."""
    return settings(values, list(values)) if values else ""


def list_held(metrics: pd.DataFrame) -> Row:
    """Return the settings that all cells of a study share."""
    return {
        name: metrics[name].iloc[0]
        for name in list_settings(metrics)
        if metrics[name].nunique() == 1
    }


def build_shape(
    analysis: Path,
    studies: Mapping[str, Path],
    data: Path,
    geometries: Mapping[str, Geometry],
) -> dict[str, bytes]:
    """Build the page of the shape of embeddings, its figures and table.

    Args:
        analysis: The folder that stage analyze wrote.
        studies: By name the folders of the results of the two studies.
        data: The packed data set.
        geometries: Their spaces by name.

    Returns:
        Content by file name.
    """
    packed = open_packed(data)
    results = {
        name: Results(read_metrics(folder), {}, read_json(folder / "machine.json"))
        for name, folder in studies.items()
    }
    tuned, parts = read_json(analysis / "shape.json")["tuned"], []
    for name, found in results.items():
        chosen = read_json(studies[name] / "chosen.json") if name == tuned else None
        parts.append(average_acted(found.metrics, chosen, geometries).assign(study=name))
    shape = read_shape(analysis, pd.concat(parts, ignore_index=True))
    page = render(
        "geometry",
        s=shape,
        dataset=packed.card["dataset"],
        held={name: list_held(found.metrics) for name, found in results.items()},
        levels=packed.card["levels"],
        things="vectors" if packed.form == "vectors" else "images",
        thumbnails=THUMBNAILS if packed.form != "vectors" else 0,
        stand_ins=find_stand_ins(list_groups(packed)),
        origin=describe_origin(packed, list(results.values())),
    )
    files = {"README.md": page, "shape.csv": write_rows(shape.rows)}
    names = list(dict.fromkeys(row["geometry"] for row in shape.rows))
    if shape.free:
        files["radii.png"] = draw_radii(shape.bins, shape.free, names)
    if shape.measured:
        files["delta.png"] = draw_deltas(shape.cells, shape.measured, names)
    if len(shape.disk):
        files["disk.png"] = draw_disk(shape.disk, packed)
    if len(shape.layout):
        files["umap.png"] = draw_disk(shape.layout, packed)
    return files


def list_groups(packed: Packed) -> list[str]:
    """List the names of the coarsest level, which colours stand for."""
    level = packed.card["levels"][:1]
    return [str(name) for one in level for name in packed.samples[one].unique()]


def write_rows(rows: list[Row]) -> bytes:
    """Write the numbers of the page as CSV, six decimals."""
    columns = [*KEYS, "values", "seeds", "kind", "use", "clipped_share", "radius_relative", "bend"]
    columns += [name for one in MEASURED for name in (one, f"{one}_sd")]
    text: str = pd.DataFrame(rows)[columns].to_csv(index=False, float_format="%.6f")
    return text.encode()
