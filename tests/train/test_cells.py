"""The cells of a stage: whole or not there, none trained twice, one process at a time."""

import threading
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from filelock import FileLock

from geomix.config.settings import Cell
from geomix.config.stages import CellParams
from geomix.config.tuning import FAILED
from geomix.data.packed import Packed
from geomix.errors import InputError
from geomix.files import hash_file, read_json
from geomix.train import cells as module
from geomix.train.cells import SNAPSHOTS, Planned, hold, name_folder, train_cells
from geomix.train.fit import Run

BALL = {"distance": {"space": "ball", "weight": 1, "scale": "learned", "clip_radius": 2.3}}
KNOBS = {"tau": 0.1, "curvature": 0.5, "lam": 1}


@pytest.fixture(autouse=True)
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the root of a repository, as DVC names it."""
    monkeypatch.setenv("DVC_ROOT", str(tmp_path / "root"))
    monkeypatch.setattr(module, "fix_bytes", lambda _: None)
    return tmp_path / "root"


def plan(packed: Packed, settings: dict[str, Any], *seeds: int, **changes: Any) -> list[Planned]:
    params = CellParams.model_validate(settings | KNOBS | {"geometry": {"ball": BALL}} | changes)
    cell = Cell("ball", params, KNOBS)
    return [Planned(cell, seed, packed, f"{seed}/x") for seed in seeds]


def hashes(folder: Path) -> dict[str, str]:
    files = [path for path in folder.rglob("*") if path.is_file()]
    return {str(path.relative_to(folder)): hash_file(path) for path in files}


def test_finished_cells_of_a_stopped_stage_are_not_trained_again(
    packed: Packed,
    settings: dict[str, Any],
    root: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    planned = plan(packed, settings, 0, 1, 2)
    train_cells(planned, tmp_path / "peace")
    seeds: list[int] = []
    fit, stop = module.fit, [True]

    def note(*given: Any) -> Run:
        seeds.append(given[3])
        if given[3] == 1 and stop[0]:
            raise KeyboardInterrupt
        return fit(*given)

    monkeypatch.setattr(module, "fit", note)
    with pytest.raises(KeyboardInterrupt):
        train_cells(planned, tmp_path / "out")
    assert not (tmp_path / "out").exists()
    torn = next((root / SNAPSHOTS).glob("*/cells/0")) / ".y.1.part"
    torn.mkdir()
    stop[0] = False
    train_cells(planned, tmp_path / "out")
    assert seeds == [0, 1, 1, 2]
    assert hashes(tmp_path / "out") == hashes(tmp_path / "peace")
    assert len(hashes(tmp_path / "out")) == 3 * 6
    assert not list((root / SNAPSHOTS).iterdir())


def test_of_trials_one_that_fails_leaves_a_note_and_stops_no_other(
    packed: Packed, settings: dict[str, Any], root: Path, tmp_path: Path
) -> None:
    wild = {"optim": settings["optim"] | {"learning_rate": 1e30, "clip_norm": 1e30}}
    failing = plan(packed, settings, 1, **wild)
    planned = [*plan(packed, settings, 0), *failing]
    failures = train_cells(planned, tmp_path / "out", trials=True)
    assert len(failures) == 1
    assert read_json(tmp_path / "out/1" / FAILED) == {"failure": failures[0]}
    assert "out/1/x: step 2: " in failures[0]
    assert str(root) not in failures[0]
    assert (tmp_path / "out/0/x/history.csv").is_file()
    with pytest.raises(InputError, match="out/1/x: step 2"):
        train_cells(failing, tmp_path / "out", trials=True)
    with pytest.raises(InputError, match="out/1/x: step 2"):
        train_cells(planned, tmp_path / "out")


def test_a_trial_that_failed_before_a_stop_and_not_after_it_did_not_fail(
    packed: Packed,
    settings: dict[str, Any],
    root: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    planned, fit = plan(packed, settings, 0, 1), module.fit
    monkeypatch.setattr(module, "fit", fail_then_stop())
    with pytest.raises(KeyboardInterrupt):
        train_cells(planned, tmp_path / "out", trials=True)
    [note] = (root / SNAPSHOTS).glob(f"*/cells/0/{FAILED}")
    assert read_json(note) == {"failure": "the hub is away"}
    monkeypatch.setattr(module, "fit", fit)
    assert train_cells(planned, tmp_path / "out", trials=True) == []
    assert not list((tmp_path / "out").rglob(FAILED))


def fail_then_stop() -> Callable[..., None]:
    ends = iter([InputError("the hub is away"), KeyboardInterrupt()])

    def fail(*_: Any) -> None:
        raise next(ends)

    return fail


def test_nothing_of_test_is_computed_in_a_trial(
    packed: Packed, settings: dict[str, Any], root: Path, tmp_path: Path
) -> None:
    train_cells(plan(packed, settings, 0), tmp_path / "out", trials=True)
    with np.load(tmp_path / "out/0/x/embeddings.npz") as embeddings:
        assert sorted(embeddings) == ["val_backbone", "val_head"]


def test_cells_of_a_process_share_device_and_precision(
    packed: Packed, settings: dict[str, Any], tmp_path: Path
) -> None:
    planned = [*plan(packed, settings, 0), *plan(packed, settings, 1, precision="bfloat16")]
    with pytest.raises(InputError, match="precision: found 'auto', 'bfloat16', expected one for"):
        train_cells(planned, tmp_path / "out")


def test_a_stage_is_named_by_all_that_its_bytes_depend_on(
    packed: Packed, settings: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cpu = torch.device("cpu")

    def name(**changes: Any) -> str:
        return name_folder(plan(packed, settings, 0, **changes), tmp_path, cpu, 1)

    first = name()
    assert name() == name(machine={"snapshot_minutes": 0.5}) == first
    weights = tmp_path / "weights"
    weights.write_bytes(b"1")
    backbone = settings["backbone"] | {"checkpoint": str(weights)}
    others = {name(epochs=3), name(machine={"devices": 2}), name(precision="bfloat16")}
    others |= {name_folder(plan(packed, settings, 1), tmp_path, cpu, 1), name(backbone=backbone)}
    weights.write_bytes(b"2")
    same = plan(packed, settings, 0)
    others |= {name(backbone=backbone), name_folder(same, tmp_path / "x", cpu, 1)}
    others |= {name_folder(same, tmp_path, cpu, 2)}
    others |= {name_folder(same, tmp_path, torch.device("cuda"), 1)}
    packed.card["sha256"]["images.npy"] = "0"
    others.add(name())
    monkeypatch.setattr(module, "ROOMS", ("train",))
    others.add(name())
    assert len(others - {first}) == 11


@pytest.mark.parametrize("package", ["timm", "numpy", "geoopt", "pytorch-metric-learning"])
def test_a_stage_is_named_by_versions_too(
    packed: Packed,
    settings: dict[str, Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    package: str,
) -> None:
    planned, cpu = plan(packed, settings, 0), torch.device("cpu")
    first = name_folder(planned, tmp_path, cpu, 1)
    monkeypatch.setattr(module, "version", lambda one: "99" if one == package else version(one))
    assert name_folder(planned, tmp_path, cpu, 1) != first


def test_a_second_process_waits_for_the_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    waiting, done = threading.Event(), []
    monkeypatch.setattr(module, "print", lambda *_, **__: waiting.set(), raising=False)
    first = FileLock(tmp_path / "stage.lock")
    first.acquire()

    def run() -> None:
        with hold(tmp_path / "stage", "stage"):
            done.append((tmp_path / "stage").is_dir())

    second = threading.Thread(target=run)
    second.start()
    assert waiting.wait(10)
    assert not done
    first.release()
    second.join(10)
    assert done == [True]
    assert not list(tmp_path.iterdir())


def test_what_an_error_leaves_is_there_for_the_next(tmp_path: Path) -> None:
    def fail() -> None:
        (tmp_path / "stage/kept").touch()
        raise InputError

    with pytest.raises(InputError), hold(tmp_path / "stage", "stage"):
        fail()
    with hold(tmp_path / "stage", "stage"):
        assert (tmp_path / "stage/kept").is_file()
    assert not (tmp_path / "stage").exists()
