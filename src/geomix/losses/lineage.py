"""Losses of samples in a tree: which pairs are related, and how far apart they are."""

import torch
from torch import Tensor
from torch.nn.functional import softplus

from geomix.geometry.geometry import Geometry, Points
from geomix.losses.batch_loss import BatchLoss
from geomix.losses.sums import check_shape
from geomix.losses.table import Table, require_pairs

RESOLVED = 1e-14  # variance over squared mean up to which float32 numbers may be one, rounded


def shared_levels(rows: Table, columns: Table) -> Tensor:
    """Count the levels that the paths of rows and columns share, int64 (N, M)."""
    a, b = require_paths(rows), require_paths(columns)
    shared = torch.zeros(len(rows), len(columns), dtype=torch.int64, device=a.device)
    for row, column in zip(a.T, b.T, strict=True):
        # equal numbers are equal paths, so a level is shared only if all above it are
        shared += (row[:, None] == column) & (row[:, None] >= 0)
    return shared


def related(rows: Table, columns: Table) -> Tensor:
    """Tell which rows and columns are related: one path begins with the other, bool (N, M)."""
    return begin_with(rows, columns) | begin_with(columns, rows).T


def begin_with(rows: Table, columns: Table) -> Tensor:
    """Tell the paths of which columns begin with those of which rows, bool (N, M)."""
    paths, last = require_paths(rows), depth(rows) - 1
    node = paths.gather(1, last[:, None])
    # equal numbers are equal paths, so the level of a row's own node tells all above it
    return require_paths(columns).T.contiguous()[last] == node


def distances(rows: Table, columns: Table) -> Tensor:
    """Return how far rows and columns are apart, float32 (N, M).

    These are Euclidean distances where the tables have places. Else they are hops, the edges of the
    tree between two nodes; different roots meet at a virtual root.
    """
    if rows.place is not None and columns.place is not None:
        return torch.cdist(rows.place.double(), columns.place.double()).float()
    shared = shared_levels(rows, columns)
    return (depth(rows)[:, None] + depth(columns) - 2 * shared).float()


def depth(table: Table) -> Tensor:
    """Return the levels of each path, int64 (n,)."""
    return (require_paths(table) >= 0).sum(1)


def require_paths(table: Table) -> Tensor:
    """Return the paths of a table.

    Raises:
        ValueError: If it has none.
    """
    if table.path is None:
        raise ValueError("table: found no paths, expected those of samples in a tree")
    return table.path


def related_pairs(logits: Tensor, rows: Table, columns: Table) -> Tensor:
    r"""Tell each related pair from all columns that the row is not related to.

        loss = mean over related (r, p) of softplus( log sum_{q unrelated} exp l(r, q)  -  l(r, p) )

    Args:
        logits: Similarities over temperature, (N, M).
        rows: The anchors, N, with paths.
        columns: What they are compared with, M.

    Returns:
        Scalar, mean over pairs of a row and another sample that is its ancestor, its descendant or
        of its node.

    Raises:
        ValueError: On other shapes, or where no row has a relative.

    Source:
        The pairwise cross-entropy of Hyp-ViT (arXiv:2203.10833, eq. 6), its classes in place of
        relatives.
    """
    check_shape(logits, rows, columns)
    kin = related(rows, columns)
    itself = rows.sample[:, None] == columns.sample
    others = (kin & ~itself).nonzero()
    first, second = require_pairs((others[:, 0], others[:, 1]))
    nothing = torch.finfo(logits.dtype).min / 2  # of a row that is related to all
    unrelated = logits.masked_fill(kin | itself, nothing).logsumexp(1)
    return softplus(unrelated[first] - logits[first, second]).mean()


def fit_affine(similarity: Tensor, known: Tensor, scaled: bool = True) -> Tensor:
    r"""Return the a and b that minimise the relative stress of a - b * similarity.

        mean over pairs of ( a - b * similarity - t )^2 / t^2,    t > 0 the known distance

    Args:
        similarity: Of the pairs, (P,).
        known: Their distances t, (P,).
        scaled: Whether b is free; else it is 1, and a the best beside it.

    Returns:
        a and b, float64 (2,). Where all similarities are equal, as far as float32 tells, b is 1.
    """
    similarity, known = similarity.double(), known.double()
    weights = known.pow(-2)
    weights = weights / weights.sum()
    mean = (weights * similarity).sum()
    factor = torch.ones_like(mean)
    if scaled:
        apart = similarity - mean
        spread = (weights * apart.square()).sum()
        slope = (weights * apart * known).sum() / spread
        factor = torch.where(spread > RESOLVED * mean.square(), -slope, factor)
    return torch.stack([(weights * known).sum() + factor * mean, factor])


class DistanceRegression(BatchLoss):
    r"""The relative stress of distances predicted from similarities by an affine map.

        loss = mean over pairs of ( a - b * similarity - t )^2 / t^2,    t > 0 the known distance

    The similarity is the geometry's, without temperature. a and b are those of least squares in
    each batch, and the last ones are kept: no geometry has to learn a scale by gradient steps, for
    which those of a cosine, from 1 to several edges of a tree, would be too short. At the minimum
    the gradient of all else is that with a and b as constants.

    Where the similarity is minus a distance, b is 1. Points have a scale of their own there, and
    b d_c(x, y) = d_c'(b x, b y) with c' = c / b^2: with b free, every c > 0 would be every other.

    Source:
        Relative stress: Sala et al. 2018 (arXiv:1804.03329), as a squared error. Variable
        projection: Golub and Pereyra 1973.
    """

    affine: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("affine", torch.tensor([0.0, 1.0], dtype=torch.float64))

    def learned(self) -> dict[str, float]:
        """Return a and b."""
        offset, factor = self.affine.tolist()
        return {"offset": offset, "factor": factor}

    def forward(
        self, geometry: Geometry, embeddings: Tensor, points: Points, batch: Table
    ) -> Tensor:
        """Return the loss of all pairs of a batch, a scalar."""
        known = distances(batch, batch)
        apart = known > 0
        known = known[apart]
        similarity = geometry.similarity(points, points, torch.float32)[apart]
        self.affine.copy_(fit_affine(similarity.detach(), known, not geometry.is_distance))
        offset, factor = self.affine.to(similarity.dtype)
        return ((offset - factor * similarity) / known - 1).square().mean()
