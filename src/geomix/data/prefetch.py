"""Work ahead: the next batches are made in a thread while the device works on this one."""

from collections import deque
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

import torch

from geomix.data.packed import Packed

AHEAD = 2  # batches that are made or wait beside the one in use

T = TypeVar("T")


def pays(packed: Packed, device: torch.device) -> bool:
    """Say whether working ahead pays: where files are decoded or another device computes, not within one busy CPU thread."""
    return packed.form == "encoded" or device.type != "cpu"


@contextmanager
def prefetch(items: Iterator[T], ahead: bool) -> Iterator[Iterator[T]]:
    """Give the same items in the same order, made in one thread before they are asked for.

    All items are made in that thread, one after the other, so that what is drawn in making them is
    drawn in the same order.

    Args:
        items: None of them None.
        ahead: Without it each item is made here, when it is asked for.

    Yields:
        The items. What goes wrong in making one is raised where that one is asked for. When the
        context is left, also by an exception or an interrupt, the item in the making is the last,
        and the thread has ended.
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
