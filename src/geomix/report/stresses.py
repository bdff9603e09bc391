"""Settings of the calibration with the stress that they reach, each at its own learning rate."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from geomix.report.text import stress

OUTPUTS, RATE = "head.outputs", "optim.learning_rate"
KEYS = ["dataset", OUTPUTS, "geometry", "curvature"]


@dataclass(frozen=True)
class Setting:
    """A geometry at one curvature and number of outputs, at the learning rate that val chose.

    Attributes:
        dataset: What is learned.
        outputs: Of the head.
        geometry: Its name.
        curvature: Of a ball; NaN of others.
        rate: The learning rate with the lowest mean val stress.
        val: That stress.
        by_seed: The test stress of each seed.
    """

    dataset: str
    outputs: int
    geometry: str
    curvature: float
    rate: float
    val: float
    by_seed: tuple[float, ...]

    @property
    def is_ball(self) -> bool:
        """Whether it is a ball, or flat space as the limit of one."""
        return not np.isnan(self.curvature)

    @property
    def mean(self) -> float:
        """The mean test stress."""
        return float(np.mean(self.by_seed))

    @property
    def sd(self) -> float:
        """Its standard deviation over seeds; NaN from one."""
        return float(np.std(self.by_seed, ddof=1)) if len(self.by_seed) > 1 else np.nan

    @property
    def words(self) -> str:
        """The test stress of each seed."""
        return " ".join(map(stress, self.by_seed))

    def below(self, other: "Setting", allowed: float = 0) -> bool:
        """Whether it is below another in each seed, or above it by less than what is allowed."""
        return all(a < b + allowed for a, b in zip(self.by_seed, other.by_seed, strict=True))


def list_settings(table: pd.DataFrame) -> list[Setting]:
    """List the settings in order of appearance, each at its learning rate.

    Args:
        table: A row for each cell and split, with `dataset`, `stress` and the columns of settings.
    """
    settings = []
    for key, rows in table.groupby(KEYS, sort=False, dropna=False):
        val = rows[rows["split"] == "val"].groupby(RATE)["stress"].mean()
        rate = val.idxmin()  # the lowest in a tie
        chosen = rows[(rows["split"] == "test") & (rows[RATE] == rate)].sort_values("seed")
        dataset, outputs, geometry, curvature = key
        by_seed = tuple(chosen["stress"].tolist())
        settings.append(
            Setting(dataset, int(outputs), geometry, curvature, rate, val.min(), by_seed)
        )
    return settings
