"""Ranks: the processes of one training. They hold the same weights, and share each batch.

A process that was started alone is the only rank, and nothing is exchanged.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, distributed

from geomix.errors import InputError


def count_ranks() -> int:
    """Return how many processes train together."""
    return distributed.get_world_size() if distributed.is_initialized() else 1


def own_rank() -> int:
    """Return the number of this process, counted from 0."""
    return distributed.get_rank() if distributed.is_initialized() else 0


def part_of(rank: int, length: int) -> slice:
    """Return which of a number of rows are a rank's; the parts differ by one row at most.

    Raises:
        InputError: If there are fewer rows than ranks.
    """
    ranks = count_ranks()
    if length < ranks:
        expected = f"at most the {length} samples of a batch or split"
        raise InputError(f"machine.devices: found {ranks} processes, expected {expected}")
    share, more = divmod(length, ranks)
    start = rank * share + min(rank, more)
    return slice(start, start + share + (rank < more))


def own_part(length: int) -> slice:
    """Return which of a number of rows are this rank's."""
    return part_of(own_rank(), length)


def gather(part: Tensor, length: int) -> Tensor:
    """Return the rows of all ranks, in the order of `part_of`; no gradient flows through.

    Args:
        part: The rows of this rank, (n, ...).
        length: Rows of all ranks together.
    """
    ranks = count_ranks()
    if ranks == 1:
        return part
    longest = -(-length // ranks)
    padded = part.new_zeros(longest, *part.shape[1:])
    padded[: len(part)] = part
    found = [torch.empty_like(padded) for _ in range(ranks)]
    distributed.all_gather(found, padded)
    parts = [part_of(rank, length) for rank in range(ranks)]
    return torch.cat([rows[: own.stop - own.start] for rows, own in zip(found, parts, strict=True)])


def add_up(tensors: Sequence[Tensor]) -> None:
    """Put the sums over all ranks in place of some tensors, in one exchange for each type."""
    for dtype in {tensor.dtype: None for tensor in tensors}:
        alike = [tensor for tensor in tensors if tensor.dtype == dtype]
        flat = torch.cat([tensor.flatten() for tensor in alike])
        distributed.all_reduce(flat)
        for tensor, sums in zip(alike, flat.split([one.numel() for one in alike]), strict=True):
            tensor.copy_(sums.view_as(tensor))


def highest(number: int, device: torch.device) -> int:
    """Return the highest of a number over all ranks."""
    if count_ranks() == 1:
        return number
    found = torch.tensor(number, device=device)
    distributed.all_reduce(found, distributed.ReduceOp.MAX)
    return int(found)
