"""Prefetch: a thread makes the next batches while the device works on this one."""

from collections import deque
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

import torch

from geomix.data.packed import Packed

AHEAD = 2  # batches in the making or waiting, beside the one in use

T = TypeVar("T")


def pays(packed: Packed, device: torch.device) -> bool:
    """Return whether prefetching pays: if files are decoded, or another device computes."""
    return packed.form == "encoded" or device.type != "cpu"


@contextmanager
def prefetch(items: Iterator[T], ahead: bool) -> Iterator[Iterator[T]]:
    """Iterate over the same items in the same order, made in a thread before they are needed.

    That thread makes all items, one after the other, so that their random draws keep their order.

    Args:
        items: None of them is None.
        ahead: If false, each item is made here when it is needed.

    Yields:
        An iterator over the items. An exception in making an item is raised when that item is
        taken. On leaving the context, also by an exception or an interrupt, the thread finishes the
        item in the making and ends.
    """
    if not ahead:
        yield items
        return
    thread = ThreadPoolExecutor(1, "prefetch")
    try:
        yield _take(items, thread)
    finally:
        thread.shutdown(cancel_futures=True)


def _take(items: Iterator[T], thread: ThreadPoolExecutor) -> Iterator[T]:
    waiting = deque(thread.submit(next, items, None) for _ in range(AHEAD))
    while (item := waiting.popleft().result()) is not None:
        waiting.append(thread.submit(next, items, None))
        yield item
