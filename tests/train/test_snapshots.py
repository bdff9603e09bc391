"""Snapshots: a training that was killed at any moment ends with the bytes of one that was not."""

import json
import signal
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from geomix.config.stages import TrainParams
from geomix.data.packed import Packed
from geomix.errors import InputError
from geomix.train import fit as module
from geomix.train import snapshots as snapshots_module
from geomix.train.fit import Run
from geomix.train.snapshots import BAD_BATCH, SNAPSHOT, Snapshots, pack, unpack
from tests.train.conftest import build, fit_typed

PARTS = {
    "cosine": {"space": "sphere", "weight": 1, "learn_weight": True},
    "distance": {"space": "ball", "weight": 1, "scale": "learned", "clip_radius": 2.3},
}
HIER = {"name": "hier", "weight": 0.5, "proxies": 8, "neighbours": 3, "triplets": 4, "margin": 0.1}
HIER |= {"curvature": 0.1, "clip_radius": 2.3, "rate_factor": 5}
FNE = {"rule": "false_negative_elimination", "margin": 0.2, "prior": 0.0001, "suspicious": 0.001}
CHANGES: dict[str, dict[str, Any]] = {
    "drop path": {"head": {"outputs": 8, "norm": "batch"}},
    "hidden labels": {"labels": "hidden", "crop": {"area": 0.3, "flip": 0.5, "centre": 1}},
    "draws of a rule": {"negatives": {"rule": "limited", "count": 1}},
    "scores of an epoch": {"negatives": FNE},
    "centroids": {
        "negatives": {"rule": "cluster", "clusters": 3, "momentum": 0.9, "start": 1, "weight": 0.1}
    },
    "tree": {"loss": {"name": "proxy_anchor", "margin": 0.1, "rate_factor": 100.0}},
}
CHANGES["tree"] |= {"regulariser": HIER}


class Killed(BaseException):
    """The end of a process, at which nothing is cleaned up."""


def train(packed: Packed, settings: dict[str, Any], folder: Path | None = None) -> Run:
    geometry = build(PARTS, tau=0.1, curvature=0.5, lam=1)
    params = TrainParams.model_validate(settings)
    return fit_typed(packed, geometry, params, 0, "cell", snapshots=Snapshots(folder))


def tensors(run: Run) -> list[Tensor]:
    modules = (run.encoder, run.geometry, run.objective)
    states = [value for module in modules for value in module.state_dict().values()]
    return [value for value in states if isinstance(value, Tensor)]


def assert_equal(run: Run, other: Run) -> None:
    assert repr(run.history) == repr(other.history)
    assert all(torch.equal(a, b) for a, b in zip(tensors(run), tensors(other), strict=True))


def kill_at(step: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the process end in the middle of a step, counted from 0."""
    left = [step]
    take_step = module.take_step

    def take(*given: Any) -> module.Step:
        if not left[0]:
            raise Killed
        left[0] -= 1
        return take_step(*given)

    monkeypatch.setattr(module, "take_step", take)


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("step", [0, 4, 6, 11])
def test_a_killed_training_ends_with_the_bytes_of_another(
    packed: Packed,
    settings: dict[str, Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    change: str,
    step: int,
) -> None:
    settings |= CHANGES[change] | {"epochs": 4}  # of 3 steps
    settings["backbone"] |= {"drop_path": 0.5, "depth": 2}
    expected = train(packed, settings)
    with monkeypatch.context() as patched:
        kill_at(step, patched)
        with pytest.raises(Killed):
            train(packed, settings, tmp_path)
    torch.manual_seed(99)  # the state of another process
    assert_equal(train(packed, settings, tmp_path), expected)


def test_a_kill_while_a_snapshot_is_written_leaves_the_one_before(
    packed: Packed, settings: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = train(packed, settings)
    left = [3]
    write = snapshots_module.replace_file

    def tear(path: Path, content: bytes) -> None:
        if not left[0]:
            path.with_name(f".{path.name}.1.part").write_bytes(content[: len(content) // 2])
            raise Killed
        left[0] -= 1
        write(path, content)

    with monkeypatch.context() as patched:
        patched.setattr(snapshots_module, "replace_file", tear)
        with pytest.raises(Killed):
            train(packed, settings, tmp_path)
    assert_equal(train(packed, settings, tmp_path), expected)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_the_step_and_keeps_it(
    packed: Packed,
    settings: dict[str, Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    number: signal.Signals,
) -> None:
    expected = train(packed, settings)
    before, steps = signal.getsignal(number), []
    take_step = module.take_step

    def take(*given: Any) -> module.Step:
        steps.append(given[0].step)
        if len(steps) == 4:
            signal.raise_signal(number)
        return take_step(*given)

    monkeypatch.setattr(module, "take_step", take)
    geometry, params = build(PARTS, tau=0.1, curvature=0.5, lam=1), TrainParams(**settings)
    rarely = Snapshots(tmp_path, minutes=1e9)
    with pytest.raises(SystemExit) as end:
        fit_typed(packed, geometry, params, 0, "cell", snapshots=rarely)
    assert end.value.code == 128 + number
    assert signal.getsignal(number) == before
    assert steps == [0, 1, 2, 3]
    assert_equal(train(packed, settings, tmp_path), expected)
    assert steps[4:] == [4, 5]


def test_a_full_disk_ends_no_training(
    packed: Packed,
    settings: dict[str, Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def refuse(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(snapshots_module, "replace_file", refuse)
    assert_equal(train(packed, settings, tmp_path), train(packed, settings))
    assert "no snapshot was written: No space left on device" in capsys.readouterr().err


BAD_STEP = r"cell: step 2: .* worst in geometry\.spaces\.1\.log_scale \(.*not made"


def test_the_samples_of_a_bad_batch_are_kept(
    packed: Packed, settings: dict[str, Any], tmp_path: Path
) -> None:
    settings["optim"] |= {"learning_rate": 1e30, "clip_norm": 1e30}
    with pytest.raises(InputError, match=BAD_STEP) as error:
        train(packed, settings, tmp_path)
    facts = json.loads((tmp_path / BAD_BATCH).read_text())
    assert f"step {facts['step']}: {facts['error']}; learning rate" in str(error.value)
    assert facts["learning_rate"] > 1e28
    assert len(facts["samples"]) == 6
    train_ids = set(packed.samples["id"].iloc[packed.rows("train")])
    assert set(facts["samples"]) <= train_ids


def test_a_snapshot_is_one_file_of_numbers_and_text(tmp_path: Path) -> None:
    tree = {
        "state": {0: {"step": torch.tensor(3.0), "moment": torch.arange(4.0)[::2]}, 7: {}},
        "empty": torch.empty(0),
        "bytes": torch.arange(3, dtype=torch.uint8),
        "losses": [0.1, float("nan"), 1e-300],
        "none": None,
        "radii": (),
    }
    found = unpack(pack(tree))
    assert found["state"][0]["step"] == 3
    assert found["state"][0]["moment"].tolist() == [0, 2]
    assert found["state"][7] == {}
    assert found["empty"].shape == (0,)
    assert found["bytes"].dtype == torch.uint8
    assert repr(found["losses"]) == repr(tree["losses"])
    assert found["none"] is None
    assert found["radii"] == []
    assert SNAPSHOT.endswith(".safetensors")
