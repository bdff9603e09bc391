"""The rule `false_negative_elimination`: FNE, which seldom draws what looks like a positive."""

import math
from typing import Any

import torch
from torch import Tensor

from geomix.config.negatives import FalseNegativeElimination
from geomix.geometry.geometry import Geometry
from geomix.losses.batch_loss import BatchLoss, OnLogits
from geomix.losses.table import Table, positive_pairs
from geomix.losses.terms import draw_negatives, positive_means

ENOUGH = 200  # positives from which the running statistics of an epoch are believed


class Running:
    """Count, mean and variance of scores that come in batches."""

    def __init__(self) -> None:
        """Start with none."""
        self.count, self.total, self.squares = 0, 0.0, 0.0

    def add(self, scores: Tensor) -> None:
        """Add scores of any shape."""
        scores = scores.double()
        self.count += scores.numel()
        self.total += float(scores.sum())
        self.squares += float(scores.square().sum())

    @property
    def mean(self) -> float:
        """Return the mean, 0 of none."""
        return self.total / max(1, self.count)

    @property
    def variance(self) -> float:
        """Return the variance, not below 1e-12."""
        return max(self.squares / max(1, self.count) - self.mean**2, 1e-12)

    def log_density(self, scores: Tensor) -> Tensor:
        """Return the logs of the Gaussian density at scores, but for a constant."""
        return -0.5 * ((scores - self.mean) ** 2 / self.variance + math.log(self.variance))


class Elimination(OnLogits):
    r"""Draw one negative for each term, seldom one that looks like a positive; a triplet loss.

    With s = tau * logit, s_+ the mean over the row's positives, and q drawn with probability
    proportional to w_q:

        w_q = exp(-0.5 (s_q - s_+)^2)
        term = max(0, s_q - s_p + margin)

    From the second epoch on, once an epoch has seen 200 positives: two Gaussians, of the epoch's
    scores of positives and of negatives, give with a prior the probability P that q matches; where
    P is above `suspicious`, w_q = exp(-0.5 P); and w_q = 0 where s_q is below the positives' mean
    minus the margin.

    Cost:
        A few passes over (N, M), and over terms and columns, (T, M).

    Source:
        After FNE (arXiv:2308.04380), its released code, on raw scores. From when on low scores are
        cut is not said there: here from when the statistics are used.
    """

    generator: torch.Generator

    def __init__(self, settings: FalseNegativeElimination, tau: float, seed: int) -> None:
        """Take the settings, the temperature of the logits and the seed of the draws."""
        super().__init__(self.hinge_loss)
        self.settings, self.tau = settings, tau
        self.generator = torch.Generator().manual_seed(seed)
        self.start_epoch(0, 1)

    def start_epoch(self, epoch: int, epochs: int) -> None:
        """Forget the scores."""
        self.epoch, self.positives, self.negatives = epoch, Running(), Running()

    def get_extra_state(self) -> dict[str, Any]:
        """Add the scores of the epoch so far."""
        scores = [dict(vars(one)) for one in (self.positives, self.negatives)]
        return super().get_extra_state() | {"scores": scores}

    def set_extra_state(self, state: dict[str, Any]) -> None:
        """Take such a state."""
        super().set_extra_state(state)
        for running, kept in zip((self.positives, self.negatives), state["scores"], strict=True):
            vars(running).update(kept)

    def hinge_loss(self, logits: Tensor, rows: Table, columns: Table) -> Tensor:
        """Return the loss of logits (N, M), a scalar: mean over terms."""
        scores = logits * self.tau
        row, positive = positive_pairs(rows, columns)
        with torch.no_grad():
            self.positives.add(scores[row, positive])
            self.negatives.add(scores[rows.label.unsqueeze(1) != columns.label])
            drawn, found = self.draw(logits, rows, columns)
        hinges = (scores[row, drawn] - scores[row, positive] + self.settings.margin).clamp_min(0)
        return torch.where(found, hinges, 0).mean()

    def draw(self, logits: Tensor, rows: Table, columns: Table) -> tuple[Tensor, Tensor]:
        """Draw a negative of each term by the weights.

        Returns:
            Columns (T,), int64, and (T,) whether the term has any negative to draw.
        """
        log_weights = self.log_weights(logits, rows, columns)
        drawn, found = draw_negatives(log_weights, rows, columns, 1, self.generator)
        return drawn.squeeze(1), found

    def log_weights(self, logits: Tensor, rows: Table, columns: Table) -> Tensor:
        """Return the logs of the weights of the draw, (N, M), at most 0.

        The weights themselves underflow where scores are far from the positives'. They are 0, and
        their logs minus infinity, in the row's own class.
        """
        scores = logits * self.tau
        log_weights = -0.5 * (scores - positive_means(scores, rows, columns)) ** 2
        if self.epoch > 0 and self.positives.count >= ENOUGH:
            match = self._match(scores)
            suspicious = match > self.settings.suspicious
            log_weights = torch.where(suspicious, -0.5 * match, log_weights)
            lowest = self.positives.mean - self.settings.margin
            log_weights = log_weights.masked_fill(scores < lowest, -torch.inf)
        return log_weights.masked_fill(rows.label.unsqueeze(1) == columns.label, -torch.inf)

    def _match(self, scores: Tensor) -> Tensor:
        """Return the probability of a match, by Bayes' rule."""
        prior = self.settings.prior
        log_odds = self.positives.log_density(scores) - self.negatives.log_density(scores)
        return (log_odds + math.log(prior / (1 - prior))).sigmoid()


def build(
    settings: FalseNegativeElimination, geometry: Geometry, dimensions: int, seed: int
) -> BatchLoss:
    """Build the loss with this rule."""
    return Elimination(settings, geometry.tau, seed)
