"""Refuse embeddings that differ by hardly more than the arithmetic that made them resolves."""

import math

import numpy as np
import torch

from geomix.errors import InputError

# Least spread in units of precision. bfloat16 resolves 0.4 %, and a spread of 0.16 % computed in it
# cost 6 points of R@1. At 8 units the rounding of one number is an eighth of what tells images
# apart.
UNITS = 8


def measure_spread(embeddings: np.ndarray) -> float:
    """Return how far embeddings lie from their mean, relative to their norms.

        spread = sqrt(mean_i |e(i) - m|^2) / sqrt(mean_i |e(i)|^2),    m = mean_i e(i)

    Its arcsine is the angle whose cosine is |m| over the root mean square norm; for unit vectors
    this is the mean cosine with the mean direction.

    Args:
        embeddings: Shape (N, D).

    Returns:
        In [0, 1]; 0 if all embeddings are zero.
    """
    exact = embeddings.astype(np.float64)
    length = np.square(exact).sum(1).mean()
    away = np.square(exact - exact.mean(0)).sum(1).mean()
    return math.sqrt(min(away / length, 1)) if length else 0.0


def refuse_near_precision(embeddings: np.ndarray, precision: torch.dtype, where: str) -> None:
    """Refuse embeddings whose spread is below 8 times the precision of the backbone.

    The precision is the relative error of one rounding: 2^-8 in bfloat16, 2^-24 in float32.

    Args:
        embeddings: Of a split, as the head returns them, (N, D).
        precision: In which the backbone was trained.
        where: The cell and the split, which the message begins with.

    Raises:
        InputError: With the spread found and the least expected, in degrees.
    """
    rounding = torch.finfo(precision).eps / 2
    spread, least = measure_spread(embeddings), UNITS * rounding
    if spread < least:
        found, expected = (math.degrees(math.asin(share)) for share in (spread, least))
        name = str(precision).removeprefix("torch.")
        raise InputError(
            f"{where}: head.norm: found embeddings spread over {found:.2g} degrees, expected at"
            f" least {expected:.2g}, {UNITS} times what {name} resolves: set head.norm to batch, or"
            " a larger tau"
        )
