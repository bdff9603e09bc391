"""The rule `false_negative_elimination`: FNE, which seldom draws what looks like a positive."""

import math

import torch
from torch import Tensor

from geomix.config.negatives import FalseNegativeElimination
from geomix.geometry.geometry import Geometry
from geomix.losses.batch_loss import BatchLoss, OnLogits
from geomix.losses.draws import Urn, draw_negatives
from geomix.losses.table import Pairs, Table, equal_pairs, only_positives, positive_pairs
from geomix.losses.terms import BLOCK, positive_means

ENOUGH = 200  # positives from which the running statistics of an epoch are believed
# Columns tried for a term, and again if none of them is taken, before all are weighed.
TRIES = (8, 64)


class Running:
    """Count, mean and variance of numbers that come in batches."""

    def __init__(self) -> None:
        """Start with none."""
        self.count, self.mean, self.squares = 0, 0.0, 0.0

    def add(self, count: int, mean: float, squares: float) -> None:
        """Add numbers by their count, mean and sum of squared deviations from it."""
        if not count:
            return
        total = self.count + count
        self.squares += squares + (mean - self.mean) ** 2 * self.count * count / total
        self.mean += (mean - self.mean) * count / total
        self.count = total

    @property
    def variance(self) -> float:
        """Return the variance, not below 1e-12."""
        return max(self.squares / max(1, self.count), 1e-12)


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
        About four passes over (N, M) in place of the softmax. Of columns drawn alike a term keeps
        the first that a coin of probability w_q accepts; all weights are computed only for rows
        with a term that keeps none.

    Source:
        After FNE (arXiv:2308.04380), its released code, on raw scores. From when on low scores are
        cut is not said there: here from when the statistics are used.
    """

    def __init__(self, settings: FalseNegativeElimination, tau: float, seed: int) -> None:
        """Take the settings, the temperature of the logits and the seed of the draws."""
        super().__init__(self.hinge_loss)
        self.settings, self.tau = settings, tau
        self.generator = torch.Generator().manual_seed(seed)
        self.start_epoch(0, 1)

    def start_epoch(self, epoch: int, epochs: int) -> None:
        """Forget the scores."""
        self.epoch, self.positives, self.negatives = epoch, Running(), Running()

    def hinge_loss(self, logits: Tensor, rows: Table, columns: Table) -> Tensor:
        """Return the loss of logits (N, M), a scalar: mean over terms."""
        same_class = equal_pairs(rows.label, columns.label)
        row, positive = pairs = positive_pairs(rows, columns, same_class)
        with torch.no_grad():
            self._remember(logits.detach(), pairs, same_class)
            chosen, found = self.draw(logits.detach(), rows, columns, pairs, same_class)
        start = row * len(columns)
        drawn, mine = logits.reshape(-1)[torch.stack([start + chosen, start + positive])]
        hinges = ((drawn - mine) * self.tau + self.settings.margin).clamp_min(0)
        return torch.where(found, hinges, 0).mean()

    def draw(
        self, logits: Tensor, rows: Table, columns: Table, pairs: Pairs, same_class: Pairs
    ) -> tuple[Tensor, Tensor]:
        """Draw a negative of each term by the weights.

        Returns:
            Columns (T,), int64, and (T,) whether the term has any negative to draw.
        """
        row, positive = pairs
        allowed = None
        if self._informed:
            allowed = logits >= (self.positives.mean - self.settings.margin) / self.tau
            allowed[same_class] = False
        urn = Urn(rows, columns, allowed)
        means = positive_means(logits, pairs) * self.tau
        chosen = positive.clone()
        found = urn.find(row, positive)[1].sum(0) > 0
        left = found.nonzero().squeeze(1)
        for count in TRIES:
            anchor = row[left]
            tried = urn.draw(anchor, positive[left], count, self.generator)
            scores = logits.reshape(-1)[(anchor * len(columns)).unsqueeze(1) + tried] * self.tau
            weights = torch.empty_like(scores)
            self._weigh(scores, means[anchor].unsqueeze(1), weights)
            weights *= rows.label[anchor].unsqueeze(1) != columns.label[tried]
            coins = torch.rand(weights.shape, generator=self.generator).to(weights.device)
            accepted = coins < weights
            taken = accepted.byte().argmax(1, keepdim=True)
            chosen[left] = tried.gather(1, taken).squeeze(1)
            left = left[~accepted.any(1)]
            if not len(left):
                break
        if len(left):
            anchors, place = row[left].unique(return_inverse=True)
            weights = self.weights(logits[anchors], rows[anchors], columns)
            chosen[left], found[left] = draw_negatives(
                weights, rows[anchors], columns, (place, positive[left]), self.generator
            )
        return chosen, found

    @property
    def _informed(self) -> bool:
        """Return whether the statistics are believed."""
        return self.epoch > 0 and self.positives.count >= ENOUGH

    def weights(self, logits: Tensor, rows: Table, columns: Table) -> Tensor:
        """Return the weights of the draw, (N, M), in [0, 1]; 0 in the row's own class."""
        same_class = equal_pairs(rows.label, columns.label)
        means = positive_means(logits, only_positives(same_class, rows, columns))
        means = means.unsqueeze(1) * self.tau
        weights = torch.empty_like(logits)
        blocks = (given.split(BLOCK) for given in (logits, means, weights))
        for part, mean, into in zip(*blocks, strict=True):
            self._weigh(part * self.tau, mean, into)
        weights[same_class] = 0
        return weights

    def _weigh(self, scores: Tensor, means: Tensor, out: Tensor) -> None:
        """Write the weights of some rows, whatever their class."""
        torch.sub(scores, means, out=out).square_().mul_(-0.5).exp_()
        if self._informed:
            match = self._match(scores)
            # Factors of 0 and 1: torch.where takes longer.
            lowest = self.positives.mean - self.settings.margin
            kept = torch.ge(scores, lowest, out=torch.empty_like(scores))
            suspected = torch.gt(match, self.settings.suspicious, out=torch.empty_like(scores))
            out += match.mul_(-0.5).exp_().sub_(out).mul_(suspected)
            out *= kept

    def _match(self, scores: Tensor) -> Tensor:
        """Return the probability of a match, by Bayes' rule.

        It is the sigmoid of log odds, a quadratic in x = score - mean_+.
        """
        prior, mine, others = self.settings.prior, self.positives.variance, self.negatives.variance
        gap = self.positives.mean - self.negatives.mean
        constant = math.log(prior / (1 - prior)) + 0.5 * math.log(others / mine)
        constant += 0.5 * gap**2 / others
        x = scores - self.positives.mean
        odds = (x * (0.5 / others - 0.5 / mine)).add_(gap / others).mul_(x).add_(constant)
        return odds.sigmoid_()

    def _remember(self, logits: Tensor, pairs: Pairs, same_class: Pairs) -> None:
        """Add the scores of the batch to the statistics of the epoch."""
        mine = logits[pairs].double() * self.tau
        mean = mine.mean()
        self.positives.add(len(mine), float(mean), float((mine - mean).square().sum()))
        same = logits[same_class].double()
        count = logits.numel() - len(same)
        if count:
            centre = (float(logits.sum()) - float(same.sum())) / count
            apart = torch.empty_like(logits[:BLOCK])
            squares = -float((same - centre).square().sum())
            for part in logits.split(BLOCK):
                flat = torch.sub(part, centre, out=apart[: len(part)]).view(-1)
                squares += float(flat.dot(flat))
            self.negatives.add(count, centre * self.tau, max(0.0, squares) * self.tau**2)


def build(
    settings: FalseNegativeElimination, geometry: Geometry, dimensions: int, seed: int
) -> BatchLoss:
    """Build the loss with this rule."""
    return Elimination(settings, geometry.tau, seed)
