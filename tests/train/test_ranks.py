"""Two processes train as one: the same loss and gradients, embeddings in order, one history."""

import os
from pathlib import Path
from typing import Any, cast

import pytest
import torch
from lightning_fabric import Fabric

from geomix.config.stages import TrainParams
from geomix.data.packed import open_packed
from geomix.errors import InputError
from geomix.network.embed import embed
from geomix.network.ranks import gather, own_part, own_rank, part_of
from geomix.train.machine import open_machine
from tests.conftest import write_packed
from tests.train.conftest import build, fit_typed, small_settings, step_in_double

CPU = torch.device("cpu")
HIER = {"name": "hier", "weight": 0.5, "proxies": 8, "neighbours": 3, "triplets": 4, "margin": 0.1}
HIER |= {"curvature": 0.1, "clip_radius": 2.3, "rate_factor": 5}
CHANGES: dict[str, dict[str, Any]] = {
    "batch norm": {"head": {"outputs": 8, "norm": "batch"}},
    "uneven parts": {"batch": {"classes": 3, "images": 3}},
    "proxies": {
        "loss": {"name": "proxy_anchor", "margin": 0.1, "rate_factor": 100.0},
        "regulariser": HIER,
    },
}
PARTS = {"distance": {"space": "ball", "weight": 1, "scale": "learned", "clip_radius": 2.3}}
Found = dict[str, Any]


def compute(fabric: Fabric | None, folder: str, settings: dict[str, Any], out: str = "") -> Found:
    """Compute what must not depend on the number of processes; the first writes it to a file."""
    torch.set_num_threads(1)
    packed = open_packed(Path(folder))
    found: Found = {}
    for name, change in CHANGES.items():
        loss, gradients = step_in_double(packed, settings | change, 4)
        found[name] = loss, gradients
    geometry = build(PARTS, tau=0.5, curvature=0.5, lam=1)
    params = TrainParams.model_validate(settings | CHANGES["batch norm"])
    run = fit_typed(packed, geometry, params, 0, "cell", fabric)
    found["history"] = run.history
    vectors = embed(run.encoder, packed, "test", params.crop, CPU)["test_head"]
    found["embeddings"] = torch.from_numpy(vectors)
    part = own_part(5)
    found["gathered"] = gather(torch.arange(5)[part] + 10 * own_rank(), 5).tolist()
    if out and not own_rank():
        torch.save(found, out)  # a queue between processes takes no more than a few numbers
    return {} if out else found


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> tuple[Found, Found]:
    """Return what one process finds, and what the first of two does."""
    folder = str(write_packed(tmp_path_factory.mktemp("ranks") / "packed"))
    settings = small_settings()
    environment = dict(os.environ)
    fabric = Fabric(accelerator="cpu", devices=2, strategy="ddp_spawn")
    out = str(tmp_path_factory.mktemp("out") / "two.pt")
    fabric.launch(cast(Any, compute), folder, settings, out)
    os.environ.clear()
    os.environ.update(environment)
    return compute(None, folder, settings), torch.load(out)


@pytest.mark.parametrize("name", CHANGES)
def test_loss_and_gradients_are_those_of_one_process(both: tuple[Found, Found], name: str) -> None:
    (loss, gradients), (other, others) = (found[name] for found in both)
    assert other == pytest.approx(loss, rel=1e-6)
    assert others.keys() == gradients.keys()
    whole = sum(gradient.norm() for gradient in gradients.values())
    for key, gradient in gradients.items():
        # a batch norm leaves the head's bias no gradient but rounding
        gap = (others[key] - gradient).norm()
        assert gap <= 1e-5 * gradient.norm() + 1e-12 * whole, key


def test_a_training_has_the_history_of_one_process(both: tuple[Found, Found]) -> None:
    one, two = (found["history"] for found in both)
    assert len(one) == len(two) == 2
    for row, other in zip(one, two, strict=True):
        assert other == pytest.approx(row, rel=1e-4, nan_ok=True)


def test_each_sample_is_embedded_once_and_in_order(both: tuple[Found, Found]) -> None:
    one, two = (found["embeddings"] for found in both)
    assert one.shape == two.shape == (20, 8)
    torch.testing.assert_close(two, one, rtol=1e-3, atol=1e-4)


def test_parts_of_unequal_length_are_gathered_in_order(both: tuple[Found, Found]) -> None:
    assert [found["gathered"] for found in both] == [[0, 1, 2, 3, 4], [0, 1, 2, 13, 14]]


def test_a_process_alone_does_all() -> None:
    assert part_of(0, 7) == own_part(7) == slice(0, 7)


def test_processes_that_nobody_asked_for_are_refused(
    settings: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WORLD_SIZE", "8")
    expected = "machine: found devices 1 and nodes 1, expected 8 together"
    with pytest.raises(InputError, match=expected):
        open_machine(TrainParams.model_validate(settings))


def test_more_ranks_than_samples_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("geomix.network.ranks.count_ranks", lambda: 4)
    with pytest.raises(InputError, match="machine.devices: found 4 processes, expected at most"):
        part_of(0, 3)
