"""Stages plan and count: which cells run, how long they take, and which have ended."""

import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from geomix.config.read import read_yaml
from geomix.config.tuning import TRIAL_SEED
from geomix.data.packed import Packed
from geomix.train.batches import ClassBatches
from stages.count import count_cells
from stages.plan import (
    count_steps,
    describe_time,
    estimate,
    list_stale,
    list_work,
    take_few,
    time_step,
)

TRAIN = "python -m stages.train --geometry flat --seeds 0-2 --tau 0.1 --epochs 3 --data {} --out o"
SMALL = (
    "--batch.classes 2 --batch.images 3 --backbone.side 16 --backbone.width 16 --backbone.depth 1"
)


def tick(*times: float) -> Iterator[float]:
    yield from times


def test_a_cell_that_ends_has_a_number_its_words_and_the_time_left() -> None:
    times = tick(0, 60, 120, 150)
    lines = [
        "flat-0: 8 epochs, loss 0.123\n",
        "a warning of a library\n",
        "ended compare@flat-0 0\n",
        "error: params.yaml: tau: found 0\n",
        "ended compare@power-0 1\n",
        "ended flows/kernel/dvc.yaml:train@dot-0 0\n",  # out of the run-cache: it says nothing
    ]
    assert list(count_cells(lines, 3, lambda: next(times))) == [
        "a warning of a library",
        "[1/3] flat-0: 8 epochs, loss 0.123, about 2 minutes left",
        "error: params.yaml: tau: found 0",
        "[2/3] compare@power-0 failed, about 60 seconds left",
        "[3/3] flows/kernel/dvc.yaml:train@dot-0",
    ]


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0, "about 10 seconds"),
        (74, "about 70 seconds"),
        (120, "about 2 minutes"),
        (5000, "about 83 minutes"),
        (9000, "about 2.5 hours"),
    ],
)
def test_a_time_is_told_as_roughly_as_it_is_known(seconds: float, words: str) -> None:
    assert describe_time(seconds) == words


def test_the_cells_of_a_command_are_those_that_it_trains(root: Path) -> None:
    works = list_work(TRAIN.format("d"))
    assert [work.seed for work in works] == [0, 1, 2]
    assert {work.cell.params.epochs for work in works} == {3}
    assert works[0].data == Path("d")
    part = "python -m stages.train --study control.flat --own control.tree --data d --out o"
    control = read_yaml(root / "params.yaml")["control"]["parts"]["flat"]
    assert {work.cell.geometry for work in list_work(part)} == set(control["run"]["geometries"])
    tune = read_yaml(root / "params.yaml")["tune"]["budget"]["grocerystore"]
    tuned = "--own tune.grocerystore --settings s --data d"
    trials = list_work(f"python -m stages.trials {tuned} --out runs/dot-2")
    assert {work.cell.geometry for work in trials} == {"dot"}
    assert [str(work.data) for work in trials] == ["d/0", "d/1"] * tune["trials"]
    winner = list_work(f"python -m stages.winners {tuned} --splits p --out runs/hybrid_free")
    assert {work.cell.geometry for work in winner} == {"hybrid_free"}
    places = [(str(work.data), work.seed) for work in winner]
    assert places == [(data, seed) for data in ("d", "p/1", "p/2") for seed in (10, 11, 12)]
    assert not list_work("python -m stages.baselines --seeds 0 --data d --out o")


def test_a_round_of_trials_has_its_words_too() -> None:
    lines = ["dot-1: 8 trials, 1 could not be trained\n", "ended flows/tune/a/dvc.yaml:t@dot-1 0\n"]
    assert list(count_cells(lines, 1)) == ["[1/1] dot-1: 8 trials, 1 could not be trained"]


def test_the_trials_of_a_system_are_one_seed_of_each(tmp_path: Path) -> None:
    for labels in ("given", "hidden"):
        (tmp_path / labels).mkdir()
        for trial in ("00", "01"):
            content = {"geometry": "dot", "settings": {"tau": 0.1}, "trial": trial}
            (tmp_path / labels / f"{trial}.json").write_text(json.dumps(content))
    works = list_work(f"python -m stages.system_trials --settings {tmp_path} --data d --out o")
    assert [(work.cell.geometry, work.seed, work.data) for work in works] == [
        ("dot", TRIAL_SEED, Path("d"))
    ] * 4


def test_steps_are_those_of_the_whole_and_a_trial_has_a_few(packed: Packed) -> None:
    work = list_work(f"{TRAIN.format('d')} {SMALL}")[0]
    train = packed.samples["split"] == "train"  # 4 classes of 5 images
    batches = ClassBatches(packed.samples["label"][train].to_numpy(), 2, 3)
    assert count_steps(packed, work) == 3 * batches.per_epoch == 9
    many = packed.samples.assign(split="train")  # 12 classes: more than four batches of 6
    few = take_few(replace(packed, samples=many), work)
    assert few.samples.loc[few.samples["split"] == "train", "label"].nunique() == 4
    assert (few.samples["id"] == packed.samples["id"]).all()
    assert take_few(packed, work).samples["split"].eq("val").sum() == 20


def test_an_estimate_grows_with_the_steps_and_counts_a_kind_once(
    packed_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried = []

    def try_step(packed: Packed, work: object) -> float:
        tried.append(work)
        return 2.0

    monkeypatch.setattr("stages.plan.time_step", try_step)
    command = f"{TRAIN.format(packed_folder)} {SMALL}"
    seconds = estimate([command, command], 100.0)
    assert 200 + 6 * 9 * 2 <= seconds < 260 + 6 * 9 * 2  # three seeds of 9 steps in each
    assert len(tried) == 1


def test_a_step_takes_time(packed: Packed) -> None:
    work = list_work(f"{TRAIN.format('d')} {SMALL}")[0]
    assert time_step(packed, work) >= 0


def test_stale_are_the_stages_that_dvc_would_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from dvc.repo import Repo

    (tmp_path / "flow").mkdir()
    for folder in (tmp_path, tmp_path / "flow"):
        stage = {"matrix": {"of": [1, 2]}, "cmd": "echo ${key} > ${key}", "outs": ["${key}"]}
        (folder / "dvc.yaml").write_text(json.dumps({"stages": {"make": stage}}))
    for arguments in ("init -q --no-scm", "repro -q -s make@1 flow/dvc.yaml:make@2"):
        command = [sys.executable, "-m", "dvc", *arguments.split()]
        subprocess.run(command, cwd=tmp_path, check=True)
    monkeypatch.chdir(tmp_path)
    names = ["make@1", "make@2", "flow/dvc.yaml:make@1", "flow/dvc.yaml:make@2"]
    stale = {"make@2": "echo 2 > 2", "flow/dvc.yaml:make@1": "echo 1 > 1"}
    assert list_stale(names) == stale
    assert list_stale(["make@1"]) == list_stale([]) == {}
    with Repo() as repo, repo.lock:  # as another process would hold it
        assert list(list_stale(names)) == names
