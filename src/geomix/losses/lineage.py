"""Losses of samples in a tree: which pairs are related, and how far apart they are."""

import torch
from torch import Tensor, nn
from torch.nn.functional import softplus

from geomix.geometry.geometry import Geometry, Points
from geomix.losses.batch_loss import BatchLoss
from geomix.losses.sums import check_shape
from geomix.losses.table import Table, require_pairs


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
    shared = shared_levels(rows, columns)
    return (shared == depth(rows)[:, None]) | (shared == depth(columns))


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


class DistanceRegression(BatchLoss):
    r"""The relative stress of distances predicted from similarities by a learned affine map.

        loss = mean over pairs of ( a - b * similarity - t )^2 / t^2,    t > 0 the known distance

    The similarity is the geometry's, without temperature. Where it is minus a distance, a starts at
    0, else at the mean known distance; b starts at 1.

    Source:
        Relative stress: Sala et al. 2018 (arXiv:1804.03329), as a squared error.
    """

    def __init__(self, offset: float) -> None:
        super().__init__()
        self.offset = nn.Parameter(torch.tensor(float(offset)))
        self.factor = nn.Parameter(torch.tensor(1.0))

    def learned(self) -> dict[str, float]:
        """Return a and b."""
        return {"offset": self.offset.item(), "factor": self.factor.item()}

    def forward(
        self, geometry: Geometry, embeddings: Tensor, points: Points, batch: Table
    ) -> Tensor:
        """Return the loss of all pairs of a batch, a scalar."""
        known = distances(batch, batch)
        similarity = geometry.similarity(points, points, torch.float32)
        apart = known > 0
        predicted = self.offset - self.factor * similarity[apart]
        return (predicted / known[apart] - 1).square().mean()
