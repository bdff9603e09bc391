"""The stopwatch: hooks mark the phases of any loop, and a pace is a mean over its steps."""

from itertools import pairwise

import pytest
import torch
from torch import Tensor, nn

from bench.stopwatch import PHASES, Mark, measure_pace, watch
from geomix.config.sections import Head
from geomix.network.encoder import Encoder

STEP = {"data": 5.0, "forward": 3.0, "loss": 1.0, "backward": 6.0, "update": 2.0}


def marks_of(*steps: dict[str, float], start: float = 100.0) -> list[Mark]:
    """Return the marks of steps that follow each other."""
    marks, now = [], start
    for step in steps:
        for phase, seconds in step.items():
            now += seconds
            marks.append((phase, now))
    return marks


def test_a_pace_is_the_mean_over_the_steps_that_are_not_skipped() -> None:
    slow = {phase: 7 * seconds for phase, seconds in STEP.items()}
    longer = STEP | {"data": 6.0}
    pace = measure_pace(marks_of(slow, STEP, longer), skipped=1)
    assert pace.steps == 2
    assert pace.seconds == STEP | {"data": 5.5}


def test_what_follows_the_last_update_is_left_out() -> None:
    after = [("data", 900.0), ("forward", 950.0)]  # the train split is embedded once more
    pace = measure_pace([*marks_of(STEP, STEP, STEP), *after], skipped=1)
    assert pace.seconds == STEP


def test_a_step_may_have_several_optimisers() -> None:
    marks = marks_of(STEP, STEP)
    both = [mark for mark in marks for _ in range(2 if mark[0] == "update" else 1)]
    assert measure_pace(both, skipped=1).seconds == STEP


def test_too_few_steps_have_no_pace() -> None:
    with pytest.raises(ValueError, match="steps: found 3, expected more than 3"):
        measure_pace(marks_of(STEP, STEP, STEP))


def test_hooks_mark_all_phases_in_order_and_are_taken_off_again() -> None:
    head = Head(outputs=2, norm="none")
    build, backward = Encoder.__init__, Tensor.backward
    waits = 0

    def wait() -> None:
        nonlocal waits
        waits += 1

    with watch(wait) as marks:
        encoder = Encoder(nn.Flatten(), 4, head, 2, torch.zeros(1), torch.ones(1), {})
        adam = torch.optim.AdamW(encoder.parameters())
        for _ in range(2):
            _, embeddings = encoder(torch.ones(3, 1, 2, 2))
            embeddings.sum().backward()
            adam.step()
    assert [phase for phase, _ in marks] == [*PHASES, *PHASES]
    assert waits == len(marks)
    assert all(a[1] <= b[1] for a, b in pairwise(marks))
    other = Encoder(nn.Flatten(), 4, head, 2, torch.zeros(1), torch.ones(1), {})
    other(torch.ones(3, 1, 2, 2))[1].sum().backward()
    adam.step()
    assert len(marks) == 2 * len(PHASES)
    assert (Encoder.__init__, Tensor.backward) == (build, backward)
