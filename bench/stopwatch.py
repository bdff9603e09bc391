"""Phases of training: hooks note when each ends, so that any training loop is timed as it is.

A step is data, forward, loss, backward and update. What a loop does between an update and the next
batch (its progress bar, for one) counts as data.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from torch import Tensor
from torch.optim.optimizer import register_optimizer_step_post_hook

from geomix.network.encoder import Encoder

PHASES = ("data", "forward", "loss", "backward", "update")
SKIPPED = 3  # steps at the start, which allocate and choose algorithms

Mark = tuple[str, float]  # a phase, and the second in which it ended


@dataclass(frozen=True)
class Pace:
    """How fast a training went, its first steps left out.

    Attributes:
        steps: How many were timed.
        seconds: Of one step, by phase, as means.
    """

    steps: int
    seconds: dict[str, float]


@contextmanager
def watch(wait: Callable[[], None] = lambda: None) -> Iterator[list[Mark]]:
    """Note when phases end while the context lasts.

    Hooked are the backbones of encoders that are built meanwhile, `Tensor.backward`, and the steps
    of optimisers. Head and norm count as loss.

    Args:
        wait: Called before the clock is read; on a GPU it waits for what is under way, which slows
            training down and makes phases true.

    Yields:
        The marks, in order of time.
    """
    marks: list[Mark] = []
    build, backward = Encoder.__init__, Tensor.backward

    def mark(phase: str) -> None:
        wait()
        marks.append((phase, time.perf_counter()))

    def timed_build(self: Encoder, *arguments: Any, **named: Any) -> None:
        build(self, *arguments, **named)
        self.backbone.register_forward_pre_hook(lambda *_: mark("data"))
        self.backbone.register_forward_hook(lambda *_: mark("forward"))

    def timed_backward(self: Tensor, *arguments: Any, **named: Any) -> None:
        mark("loss")
        backward(self, *arguments, **named)
        mark("backward")

    hook = register_optimizer_step_post_hook(lambda *_: mark("update"))
    Encoder.__init__, Tensor.backward = timed_build, timed_backward  # type: ignore[method-assign]
    try:
        yield marks
    finally:
        Encoder.__init__, Tensor.backward = build, backward  # type: ignore[method-assign]
        hook.remove()


def measure_pace(marks: Sequence[Mark], skipped: int = SKIPPED) -> Pace:
    """Return the pace of a training from its marks.

    A step ends with the last of its updates; what follows the last step is left out.

    Args:
        marks: As `watch` yields them.
        skipped: Steps left out at the start, at least 1: nobody knows when the first one began.

    Raises:
        ValueError: If no step is left.
    """
    following = [phase for phase, _ in marks[1:]] + ["data"]
    ends = [
        place
        for place, ((phase, _), after) in enumerate(zip(marks, following, strict=True))
        if phase == "update" and after != "update"
    ]
    steps = len(ends) - skipped
    if steps < 1:
        raise ValueError(f"steps: found {len(ends)}, expected more than {skipped}")
    timed = marks[ends[skipped - 1] : ends[-1] + 1]
    seconds = dict.fromkeys(PHASES, 0.0)
    for (_, start), (phase, end) in pairwise(timed):
        seconds[phase] += (end - start) / steps
    return Pace(steps, seconds)
