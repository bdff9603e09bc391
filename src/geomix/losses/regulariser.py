"""What a regulariser is to training: a term added to any loss, and what it learns for that."""

from torch import Tensor, nn
from torch.optim import Optimizer


class Regulariser(nn.Module):
    """A term added to any loss, made by learned proxies that are the inner nodes of a tree.

    It is called with the embeddings (N, D) of a batch and the table of who they are, and returns
    a scalar.
    """

    def optimizers(self, learning_rate: float) -> list[Optimizer]:
        """Build the optimisers of the proxies; each group has its `factor` of the rate."""
        raise NotImplementedError

    def nearest(self, embeddings: Tensor) -> Tensor:
        """Return the number of the proxy nearest to each embedding, int64 (N,)."""
        raise NotImplementedError

    def grow(self) -> Tensor:
        """Return the parent of each proxy, int64 (P,); -1 for the root."""
        raise NotImplementedError
