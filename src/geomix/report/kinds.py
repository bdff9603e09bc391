"""What a geometry is: its kind, and whether its curvature was free to act.

A curvature alone does not make a geometry curved. The power kernel has one, but it is a function of
the cosine; only a ball, whose points have radii, is curved.
"""

from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
import pandas as pd

from geomix.config.sections import Geometry

FORCED = 0.999  # share of clipped points from which the clip radius leaves curvature no choice
ONE_RADIUS = 1e-6  # s.d. of radii over their mean below which all points lie at one radius
UNUSED = 0.05  # nats of bend below which the weights of negatives differ by less than 5 %

Kind = Literal["curved", "flat", "inner", "chord", "power", "cosine", "uncurved"]
# Controls of a curved geometry, those that share most with it first: so is a tie decided.
CONTROLS: tuple[Kind, ...] = ("flat", "inner", "chord", "power", "uncurved", "cosine")


def mark_curved(summary: pd.DataFrame) -> pd.DataFrame:
    """Tell balls from kernels among the rows that have a curvature.

    Args:
        summary: From `over_seeds`, with `curved`: whether some space has a curvature.

    Returns:
        The same with `curved` only where there is a ball, and `kernel` where there is none.
    """
    has, ball = summary["curved"] > 0, summary["radius_relative"].notna()
    return summary.assign(curved=(has & ball).astype(float), kernel=has & ~ball)


def add_kinds(rows: pd.DataFrame, geometries: Mapping[str, Geometry]) -> pd.DataFrame:
    """Add the `kind` of each geometry, and the `use` of its curvature.

    A use is forced where the clip radius or a normalisation puts all points at one radius, so that
    curvature could not change a ranking; unused where radii are free and the bend is near 0; else
    used. It means something of curved geometries alone.

    Args:
        rows: From `mark_curved`.
        geometries: Their spaces by name. Without those of a geometry with radii a distance is not
            told from an inner product, and its kind is uncurved.
    """
    vary = rows["radius_sd"] > ONE_RADIUS * rows["radius_mean"]  # False without radii
    fixed = ~vary | (rows["clipped_share"] >= FORCED)
    use = np.select([fixed, rows["bend"] < UNUSED], ["forced", "unused"], "used")
    kinds = [
        name_kind(row, geometries.get(row["geometry"]))
        for row in rows.assign(fixed=fixed).to_dict("records")
    ]
    return rows.assign(kind=kinds, use=use)


def name_kind(row: Mapping[str, Any], spaces: Geometry | None) -> Kind:
    """Name the kind of a geometry.

    Args:
        row: Whether it is `curved`, or a `kernel`; `radius_mean`, NaN without radii; and whether
            the radii are `fixed`, all the same.
        spaces: What it consists of, if that is known.

    Returns:
        curved: a ball is in it; power: a kernel of the cosine; cosine; inner: an inner product;
        flat: a distance between points of free radii; chord: of points at one radius.
    """
    if row["curved"]:
        return "curved"
    if row["kernel"]:
        return "power"
    if np.isnan(row["radius_mean"]):
        return "cosine"
    if spaces is None:
        return "uncurved"
    if any(space.space == "inner" for space in spaces.values()):
        return "inner"
    return "chord" if row["fixed"] else "flat"
