"""Rules that draw negatives and compare them with the positive one by one, in place of a softmax over all."""

import math

import torch
from torch import Tensor
from torch.nn.functional import softplus

from geomix.geometry.geometry import Geometry, Points
from geomix.losses.table import Pairs, Table, equal_pairs, only_positives
from geomix.negatives.draws import Urn, draw_negatives
from geomix.negatives.positives import positive_means, positive_pairs
from geomix.negatives.rule import Rule
from geomix.negatives.weights import BLOCK

ENOUGH = 200  # positives from which the running statistics of an epoch are believed
TRIES = (
    8,
    64,
)  # columns tried for a term, and again if none of them is taken, before all are weighed


def ranking(
    logits: Tensor, rows: Table, columns: Table, *, count: int, generator: torch.Generator
) -> Tensor:
    r"""Rank the positive above drawn negatives, pair by pair: mean over draws q of -log sigmoid(l_p
    - l_q).

    Args:
        logits: Similarities over temperature, (N, M).
        rows: The anchors, N.
        columns: What they are compared with, M; as in `pairwise_cross_entropy`.
        count: Columns drawn for each term from the views of the row and of the positive, all alike,
            with replacement; those of the row's own class are passed over.
        generator: Of the draws, on the CPU.

    Returns:
        Scalar, mean over terms; 0 for a term without a negative among its draws.

    Raises:
        InputError: Where no row has a positive.

    Cost:
        A few passes over the draws, (T, count), and none over (N, M) but the gradient.

    Source:
        After GraphRank (arXiv:2310.14525): a stand-in for its idea.
    """
    row, positive = positive_pairs(rows, columns)
    chosen = Urn(rows, columns).draw(row, positive, count, generator)
    negative = (columns.label[chosen] != rows.label[row].unsqueeze(1)).to(logits.dtype)
    flat = logits.reshape(-1)
    start = row * len(columns)
    terms = (
        softplus(flat[start.unsqueeze(1) + chosen] - flat[start + positive].unsqueeze(1)) * negative
    )
    return (terms.sum(1) / negative.sum(1).clamp_min(1)).mean()


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
        """Give the variance, not below 1e-12."""
        return max(self.squares / max(1, self.count), 1e-12)


class FalseNegativeElimination(Rule):
    r"""Draw one negative for each term, seldom one that looks like a positive; a triplet loss with
    a margin.

    With s = tau * logit, s_+ the mean over the row's positives, and q drawn with probability
    proportional to w_q:

        w_q = exp(-0.5 (s_q - s_+)^2);    term = max(0, s_q - s_p + margin)

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

    def __init__(
        self, margin: float, prior: float, suspicious: float, generator: torch.Generator
    ) -> None:
        """Build the rule.

        Args:
            margin: In similarities.
            prior: Probability that a negative matches, in (0, 1).
            suspicious: The probability above which it is taken for one that may, in (0, 1).
            generator: Of the draws, on the CPU.
        """
        super().__init__()
        self.margin, self.prior, self.suspicious, self.generator = (
            margin,
            prior,
            suspicious,
            generator,
        )
        self.start_epoch(0, 1)

    def start_epoch(self, epoch: int, epochs: int) -> None:
        """Forget the scores."""
        self.epoch, self.positives, self.negatives = epoch, Running(), Running()

    def forward(
        self, geometry: Geometry, embeddings: Tensor, points: Points, batch: Table
    ) -> Tensor:
        """Give the loss, a scalar."""
        return self.loss(geometry.logits(points, points), batch, batch, geometry.tau)

    def loss(self, logits: Tensor, rows: Table, columns: Table, tau: float) -> Tensor:
        """Give the loss on logits (N, M), a scalar: mean over terms."""
        same_class = equal_pairs(rows.label, columns.label)
        row, positive = pairs = positive_pairs(rows, columns, same_class)
        with torch.no_grad():
            self._remember(logits.detach(), pairs, same_class, tau)
            chosen, there = self.draw(logits.detach(), rows, columns, pairs, same_class, tau)
        start = row * len(columns)
        drawn, mine = logits.reshape(-1)[torch.stack([start + chosen, start + positive])]
        return torch.where(there, ((drawn - mine) * tau + self.margin).clamp_min(0), 0).mean()

    def draw(
        self,
        logits: Tensor,
        rows: Table,
        columns: Table,
        pairs: Pairs,
        same_class: Pairs,
        tau: float,
    ) -> tuple[Tensor, Tensor]:
        """Draw a negative of each term by the weights: columns (T,), and (T,) whether there is any to draw."""
        row, positive = pairs
        allowed = None
        if self._informed:
            allowed = logits >= (self.positives.mean - self.margin) / tau
            allowed[same_class] = False
        urn = Urn(rows, columns, allowed)
        means = positive_means(logits, pairs) * tau
        chosen = positive.clone()
        there = urn.find(row, positive)[1].sum(0) > 0
        left = there.nonzero().squeeze(1)
        for count in TRIES:
            anchor = row[left]
            tried = urn.draw(anchor, positive[left], count, self.generator)
            scores = logits.reshape(-1)[(anchor * len(columns)).unsqueeze(1) + tried] * tau
            weights = torch.empty_like(scores)
            self._weigh(scores, means[anchor].unsqueeze(1), weights)
            weights *= rows.label[anchor].unsqueeze(1) != columns.label[tried]
            accepted = (
                torch.rand(weights.shape, generator=self.generator).to(weights.device) < weights
            )
            chosen[left] = tried.gather(1, accepted.byte().argmax(1, keepdim=True)).squeeze(1)
            left = left[~accepted.any(1)]
            if not len(left):
                break
        if len(left):
            these, place = row[left].unique(return_inverse=True)
            some = Table(rows.sample[these], rows.label[these], rows.view[these])
            weights = self.weights(logits[these], some, columns, tau)
            chosen[left], there[left] = draw_negatives(
                weights, some, columns, (place, positive[left]), self.generator
            )
        return chosen, there

    @property
    def _informed(self) -> bool:
        """Give whether the statistics are believed."""
        return self.epoch > 0 and self.positives.count >= ENOUGH

    def weights(self, logits: Tensor, rows: Table, columns: Table, tau: float) -> Tensor:
        """Give the weights of the draw, (N, M), in [0, 1]; 0 in the row's own class."""
        same = equal_pairs(rows.label, columns.label)
        means = positive_means(logits, only_positives(same, rows, columns)).unsqueeze(1) * tau
        weights = torch.empty_like(logits)
        for part, mean, into in zip(
            *(given.split(BLOCK) for given in (logits, means, weights)), strict=True
        ):
            self._weigh(part * tau, mean, into)
        weights[same] = 0
        return weights

    def _weigh(self, scores: Tensor, means: Tensor, out: Tensor) -> None:
        """Write the weights of some rows, whatever their class."""
        torch.sub(scores, means, out=out).square_().mul_(-0.5).exp_()
        if self._informed:
            match = self._match(scores)
            kept = torch.ge(scores, self.positives.mean - self.margin, out=torch.empty_like(scores))
            suspected = torch.gt(
                match, self.suspicious, out=torch.empty_like(scores)
            )  # factors: torch.where takes longer
            out += match.mul_(-0.5).exp_().sub_(out).mul_(suspected)
            out *= kept

    def _match(self, scores: Tensor) -> Tensor:
        """Give the probability of a match, by Bayes' rule: the sigmoid of log odds, a quadratic in x = score - mean_+."""
        mine, others, gap = (
            self.positives.variance,
            self.negatives.variance,
            self.positives.mean - self.negatives.mean,
        )
        constant = (
            math.log(self.prior / (1 - self.prior))
            + 0.5 * math.log(others / mine)
            + 0.5 * gap**2 / others
        )
        x = scores - self.positives.mean
        return (
            (x * (0.5 / others - 0.5 / mine)).add_(gap / others).mul_(x).add_(constant).sigmoid_()
        )

    def _remember(self, logits: Tensor, pairs: Pairs, same_class: Pairs, tau: float) -> None:
        mine = logits[pairs].double() * tau
        self.positives.add(
            len(mine), float(mine.mean()), float((mine - mine.mean()).square().sum())
        )
        same = logits[same_class].double()
        count = logits.numel() - len(same)
        if count:
            centre = (float(logits.sum()) - float(same.sum())) / count
            apart = torch.empty_like(logits[:BLOCK])
            squares = -float((same - centre).square().sum())
            for part in logits.split(BLOCK):
                flat = torch.sub(part, centre, out=apart[: len(part)]).view(-1)
                squares += float(flat.dot(flat))
            self.negatives.add(count, centre * tau, max(0.0, squares) * tau**2)
