"""Work side by side in processes of one thread each: what comes out does not depend on how many."""

import os
import signal
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context, parent_process
from threading import Thread
from typing import TypeVar

import torch
from threadpoolctl import threadpool_limits

Item = TypeVar("Item")
Result = TypeVar("Result")


def count_processes() -> int:
    """Count the cores that this process may use; 1 where make runs stages side by side."""
    beside_others = os.environ.get("OMP_NUM_THREADS") == "1"
    return 1 if beside_others else len(os.sched_getaffinity(0))


def use_one_thread() -> None:
    """Compute on one thread from now on: sums of floats depend on their number."""
    torch.set_num_threads(1)
    threadpool_limits(1)


def map_in_order(
    work: Callable[[Item], Result], items: Sequence[Item], processes: int
) -> Iterator[Result]:
    """Yield the result of each item, in their order; the first error ends it.

    Args:
        work: A function that a fresh process can import, as its argument and result.
        items: What it takes.
        processes: How many work, which take 3 s to start; with less than 2 this one does it all.
    """
    if processes < 2:
        yield from map(work, items)
        return
    with ProcessPoolExecutor(processes, get_context("spawn"), initializer=_begin) as pool:
        yield from pool.map(work, items)


def _begin() -> None:
    """Prepare a process that works: it ends with the one that started it, which is interrupted."""
    os.environ["OMP_NUM_THREADS"] = "1"  # of libraries that are loaded with the work
    use_one_thread()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    Thread(target=_follow, daemon=True).start()


def _follow() -> None:
    """End this process as soon as the one that started it has ended, even if that was killed."""
    parent = parent_process()
    assert parent
    parent.join()
    os._exit(1)
