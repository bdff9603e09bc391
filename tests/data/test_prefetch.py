"""Working ahead: the same items in the same order, two ahead, and nothing left running."""

import threading
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
import torch

from geomix.data.packed import Encoded, Packed
from geomix.data.prefetch import AHEAD, pays, prefetch
from geomix.errors import InputError


def running() -> list[str]:
    """Return the threads that work ahead."""
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("prefetch")]


def draws(generator: torch.Generator, count: int = 9) -> Iterator[float]:
    for _ in range(count):
        yield float(torch.rand((), generator=generator))


@pytest.mark.parametrize("count", [0, 1, 9])
@pytest.mark.parametrize("ahead", [False, True])
def test_items_come_in_their_order_with_the_same_draws(ahead: bool, count: int) -> None:
    generator = torch.Generator().manual_seed(0)
    with prefetch(draws(generator, count), ahead) as items:
        found = list(items)
    own = torch.Generator().manual_seed(0)
    assert found == list(draws(own, count))
    assert torch.equal(generator.get_state(), own.get_state())
    assert not running()


@pytest.mark.parametrize("ahead", [False, True])
def test_so_many_are_made_before_they_are_asked_for(ahead: bool) -> None:
    made = [threading.Event() for _ in range(9)]

    def make() -> Iterator[int]:
        for number, done in enumerate(made):
            done.set()
            yield number

    with prefetch(make(), ahead) as items:
        for number in items:
            if ahead:
                assert all(done.wait(10) for done in made[: number + AHEAD + 1])
            assert not any(done.is_set() for done in made[number + 1 + AHEAD * ahead :])


@pytest.mark.parametrize("ahead", [False, True])
def test_what_goes_wrong_is_raised_where_the_item_is_asked_for(ahead: bool) -> None:
    def make() -> Iterator[int]:
        yield from range(3)
        raise InputError("image: found a broken file")

    with prefetch(make(), ahead) as items:
        assert [next(items) for _ in range(3)] == [0, 1, 2]
        with pytest.raises(InputError, match="image: found a broken file"):
            next(items)
    assert not running()


@pytest.mark.parametrize("error", [KeyboardInterrupt, InputError])
def test_leaving_early_ends_the_thread(error: type[BaseException]) -> None:
    made = []

    def make() -> Iterator[int]:
        for number in range(1000):
            made.append(number)
            yield number

    def use() -> None:
        with prefetch(make(), True) as items:
            next(items)
            assert running()
            raise error

    with pytest.raises(error):
        use()
    assert not running()
    assert len(made) <= 1 + AHEAD


@pytest.mark.parametrize(
    ("form", "device", "expected"),
    [
        ("decoded", "cpu", False),
        ("encoded", "cpu", True),
        ("decoded", "cuda", True),
        ("encoded", "cuda", True),
    ],
)
def test_it_pays_where_files_are_decoded_or_a_device_works(
    packed: Packed, form: str, device: str, expected: bool
) -> None:
    files = Encoded(np.zeros(1, np.uint8), np.array([[0, 1]]))
    chosen = replace(packed, images=files) if form == "encoded" else packed
    assert pays(chosen, torch.device(device)) is expected
