"""Rules that draw negatives and compare them with the positive one by one, in place of a softmax over all."""

import math

import torch
from torch import Tensor
from torch.nn.functional import softplus

from geomix.errors import InputError
from geomix.model.geometry import Geometry, Points
from geomix.train.losses import Table, equal_pairs
from geomix.train.negatives.rule import Rule
from geomix.train.negatives.weights import BLOCK, positive_means

ENOUGH = 200  # positives from which the running statistics of an epoch are believed


def positive_pairs(rows: Table, columns: Table) -> tuple[Tensor, Tensor]:
    """Give row and column of each term's positive: of one class, in different views.

    Raises:
        InputError: If there is none.
    """
    first, second = equal_pairs(rows.label, columns.label)
    positive = (rows.view[first] != columns.view[second]) & (rows.sample[first] != columns.sample[second])
    if not positive.any():
        raise InputError("negatives: found no row with a positive, expected at least one class with two samples or views")
    return first[positive], second[positive]


def view_bounds(columns: Table, views: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Give the columns ordered by view, (M,), and for each view asked for where in that order it starts and ends, (T,)."""
    order = columns.view.argsort(stable=True)
    ordered = columns.view[order]
    return order, torch.searchsorted(ordered, views), torch.searchsorted(ordered, views, right=True)


def draw_negatives(
    weights: Tensor, rows: Table, columns: Table, pairs: tuple[Tensor, Tensor], generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Draw a negative of each term by weights, from the views of the row and of the positive.

    Args:
        weights: (N, M), at least 0, and 0 in the columns of the row's own class.
        rows: The anchors, N.
        columns: What they are compared with, M.
        pairs: Row and column of each term's positive, (T,) each.
        generator: Of the draws, on the CPU.

    Returns:
        Columns (T,), int64, and (T,) whether the term has any negative to draw.
    """
    row, positive = pairs
    order, start, end = view_bounds(columns, torch.stack([rows.view[row], columns.view[positive]]))
    ordered = weights if torch.equal(order, order.sort().values) else weights[:, order]
    sums = weights.new_zeros(len(rows), len(columns) + 1)  # the weight before a column
    torch.cumsum(ordered, 1, out=sums[:, 1:])
    begin, finish = sums[row, start], sums[row, end]
    mass = finish - begin  # (2, T)
    drawn = torch.rand(len(row), generator=generator, dtype=weights.dtype).to(weights.device) * mass.sum(0)
    which = (drawn >= mass[0]).long().unsqueeze(0)
    which = torch.where(mass[1:] > 0, which, 0)
    begin, finish, low, high = (both.gather(0, which).squeeze(0) for both in (begin, finish, start, end))
    target = begin + drawn - torch.where(which.squeeze(0) == 1, mass[0], 0)
    target = torch.minimum(target, torch.nextafter(finish, begin)).maximum(begin)
    high = high - 1
    for _ in range(len(columns).bit_length()):  # the first column after which the sum is above the target
        middle = (low + high) // 2
        above = sums[row, middle + 1] > target
        low, high = torch.where(above, low, torch.minimum(middle + 1, high)), torch.where(above, middle, high)
    return order[high.clamp_min(0)], mass.sum(0) > 0


def ranking(logits: Tensor, rows: Table, columns: Table, *, count: int, generator: torch.Generator) -> Tensor:
    r"""Rank the positive above drawn negatives, pair by pair: mean over draws q of -log sigmoid(l_p - l_q).

    Args:
        logits: Similarities over temperature, (N, M).
        rows: The anchors, N.
        columns: What they are compared with, M; as in `pairwise_cross_entropy`.
        count: Columns drawn for each term from the views of the row and of the positive, all alike, with replacement; those of
            the row's own class are passed over.
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
    chosen = draw_columns(rows, columns, (row, positive), count, generator)
    negative = (columns.label[chosen] != rows.label[row].unsqueeze(1)).to(logits.dtype)
    flat = logits.reshape(-1)
    start = row * len(columns)
    terms = softplus(flat[start.unsqueeze(1) + chosen] - flat[start + positive].unsqueeze(1)) * negative
    return (terms.sum(1) / negative.sum(1).clamp_min(1)).mean()


def draw_columns(rows: Table, columns: Table, pairs: tuple[Tensor, Tensor], count: int, generator: torch.Generator) -> Tensor:
    """Draw columns for each term, (T, count), from the views of the row and of the positive, all alike, with replacement."""
    row, positive = pairs
    order, start, end = view_bounds(columns, torch.stack([rows.view[row], columns.view[positive]]))
    sizes = (end - start).unsqueeze(2)
    share = torch.rand(len(row), count, generator=generator).to(row.device)
    place = (share * sizes.sum(0)).long().minimum(sizes.sum(0) - 1)
    return order[torch.where(place < sizes[0], start[0].unsqueeze(1) + place, start[1].unsqueeze(1) + place - sizes[0])]


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
    r"""Draw one negative for each term, seldom one that looks like a positive; a triplet loss with a margin.

    With s = tau * logit, s_+ the mean over the row's positives, and q drawn with probability proportional to w_q:

        w_q = exp(-0.5 (s_q - s_+)^2);    term = max(0, s_q - s_p + margin)

    From the second epoch on, once an epoch has seen 200 positives: two Gaussians, of the epoch's scores of positives and of
    negatives, give with a prior the probability P that q matches; where P is above `suspicious`, w_q = exp(-0.5 P); and
    w_q = 0 where s_q is below the positives' mean minus the margin.

    Cost:
        About twelve passes over (N, M) without gradient, in place of the softmax.

    Source:
        After FNE (arXiv:2308.04380), its released code, on raw scores. From when on low scores are cut is not said there: here
        from when the statistics are used.
    """

    def __init__(self, margin: float, prior: float, suspicious: float, generator: torch.Generator) -> None:
        """Build the rule.

        Args:
            margin: In similarities.
            prior: Probability that a negative matches, in (0, 1).
            suspicious: The probability above which it is taken for one that may, in (0, 1).
            generator: Of the draws, on the CPU.
        """
        super().__init__()
        self.margin, self.prior, self.suspicious, self.generator = margin, prior, suspicious, generator
        self.start_epoch(0, 1)

    def start_epoch(self, epoch: int, epochs: int) -> None:
        """Forget the scores."""
        self.epoch, self.positives, self.negatives = epoch, Running(), Running()

    def forward(self, geometry: Geometry, embeddings: Tensor, points: Points, batch: Table) -> Tensor:
        """Give the loss, a scalar."""
        return self.loss(geometry.logits(points, points), batch, batch, geometry.tau)

    def loss(self, logits: Tensor, rows: Table, columns: Table, tau: float) -> Tensor:
        """Give the loss on logits (N, M), a scalar: mean over terms."""
        pairs = positive_pairs(rows, columns)
        with torch.no_grad():
            self._remember(logits.detach() * tau, rows, columns, pairs)
            weights = self.weights(logits.detach(), rows, columns, tau)
            chosen, there = draw_negatives(weights, rows, columns, pairs, self.generator)
        apart = (logits[pairs[0], chosen] - logits[pairs]) * tau + self.margin
        return torch.where(there, apart.clamp_min(0), 0).mean()

    def weights(self, logits: Tensor, rows: Table, columns: Table, tau: float) -> Tensor:
        """Give the weights of the draw, (N, M), in [0, 1]; 0 in the row's own class."""
        means = positive_means(logits, rows, columns).unsqueeze(1) * tau
        weights = torch.empty_like(logits)
        for part, mean, into in zip(*(given.split(BLOCK) for given in (logits, means, weights)), strict=True):
            self._weigh(part * tau, mean, into)
        weights[equal_pairs(rows.label, columns.label)] = 0
        return weights

    def _weigh(self, scores: Tensor, means: Tensor, out: Tensor) -> None:
        """Write the weights of some rows, whatever their class."""
        torch.sub(scores, means, out=out).square_().mul_(-0.5).exp_()
        if self.epoch > 0 and self.positives.count >= ENOUGH:
            match = self._match(scores)
            kept = torch.ge(scores, self.positives.mean - self.margin, out=torch.empty_like(scores))
            suspected = torch.gt(match, self.suspicious, out=torch.empty_like(scores))  # factors: torch.where takes longer
            out += match.mul_(-0.5).exp_().sub_(out).mul_(suspected)
            out *= kept

    def _match(self, scores: Tensor) -> Tensor:
        """Give the probability of a match, by Bayes' rule: the sigmoid of log odds, a quadratic in x = score - mean_+."""
        mine, others, gap = self.positives.variance, self.negatives.variance, self.positives.mean - self.negatives.mean
        constant = math.log(self.prior / (1 - self.prior)) + 0.5 * math.log(others / mine) + 0.5 * gap**2 / others
        x = scores - self.positives.mean
        return (x * (0.5 / others - 0.5 / mine)).add_(gap / others).mul_(x).add_(constant).sigmoid_()

    def _remember(self, scores: Tensor, rows: Table, columns: Table, pairs: tuple[Tensor, Tensor]) -> None:
        mine = scores[pairs].double()
        self.positives.add(len(mine), float(mine.mean()), float((mine - mine.mean()).square().sum()))
        same = scores[equal_pairs(rows.label, columns.label)].double()
        count = scores.numel() - len(same)
        if count:
            centre = (float(scores.sum()) - float(same.sum())) / count
            apart = (scores - centre).flatten()
            self.negatives.add(count, centre, max(0.0, float(apart.dot(apart)) - float((same - centre).square().sum())))
