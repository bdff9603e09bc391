"""Stages refuse bad input with a line for each mistake and exit code 1, before torch is imported."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

STAGES = (
    "check",
    "download",
    "preprocess",
    "train",
    "train_system",
    "baselines",
    "evaluate",
    "report",
    "report_systems",
)


def run_stage(
    folder: Path, stage: str, *arguments: str, env: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-X", "importtime", "-m", f"stages.{stage}", *arguments]
    return subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, check=False)


def messages(result: subprocess.CompletedProcess[str]) -> list[str]:
    return [line for line in result.stderr.splitlines() if not line.startswith("import time:")]


@pytest.fixture
def checkout(tmp_path: Path, root: Path) -> Path:
    """Give a checkout with the code and params.yaml, without data."""
    for name in ("stages", "src"):
        shutil.copytree(root / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(root / "params.yaml", tmp_path)
    return tmp_path


@pytest.mark.parametrize("stage", STAGES)
def test_every_stage_refuses_a_bad_file_at_once(checkout: Path, stage: str) -> None:
    path = checkout / "params.yaml"
    path.write_text(
        path.read_text().replace("\ntau: 0.1", "\ntau: -1").replace("\nepochs: 3", "\nepochs: many")
    )
    result = run_stage(checkout, stage)
    assert result.returncode == 1
    assert messages(result) == [
        "error: params.yaml: tau: found -1, expected greater than 0",
        "error: params.yaml: epochs: found 'many', expected a valid integer",
    ]
    assert " torch" not in result.stderr
    assert sorted(item.name for item in checkout.iterdir()) == ["params.yaml", "src", "stages"]


def test_a_stage_that_python_cannot_find_is_one_line_too(tmp_path: Path) -> None:
    result = subprocess.run(
        [sys.executable, "-m", "stages.train"],
        cwd=tmp_path,
        env={},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 1
    assert len(result.stderr.splitlines()) == 1


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_on_the_path_but_outside_the_root_says_where_to_start(
    checkout: Path, tmp_path_factory: pytest.TempPathFactory, stage: str
) -> None:
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    result = run_stage(elsewhere, stage, env={"PYTHONPATH": str(checkout)})
    assert result.returncode == 1
    assert messages(result) == [
        "error: params.yaml: not found; start stages from the root of the repository"
    ]
    assert not list(elsewhere.iterdir())


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_started_as_a_file_says_how_to_start_it(checkout: Path, stage: str) -> None:
    result = subprocess.run(
        [sys.executable, checkout / "stages" / f"{stage}.py"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 1
    assert result.stderr.splitlines() == [
        f"error: start this stage from the root of the repository: python -m stages.{stage}"
    ]


@pytest.mark.parametrize(
    ("stage", "arguments", "message"),
    [
        ("download", [], "command line: the following arguments are required: --dataset, --out"),
        ("train", ["--tau", "warm"], "command line: argument --tau: invalid float value: 'warm'"),
        (
            "train",
            [
                "--geometry",
                "round",
                "--seed",
                "0",
                "--tau",
                "0.1",
                "--data",
                "data",
                "--out",
                "out",
            ],
            "geometry.round: not there; known here: euclidean",
        ),
        (
            "train",
            ["--geometry", "flat", "--seed", "0", "--tau", "0.1", "--data", "data", "--out", "out"],
            "data/card.json: not found; expected it from an earlier stage (dvc repro)",
        ),
        (
            "train",
            [
                "--geometry",
                "hybrid",
                "--seed",
                "0",
                "--tau",
                "0.1",
                "--data",
                "data",
                "--out",
                "out",
            ],
            "geometry: found no curvature, expected one for a ball (--curvature)",
        ),
        (
            "train_system",
            ["--system", "round", "--seeds", "0", "1", "--data", "data", "--out", "out"],
            "system.round.settings: not there; known here: euclidean",
        ),
        (
            "preprocess",
            ["--dataset", "glyphs", "--raw", "raw", "--out", "out"],
            "raw/manifest.json: not found",
        ),
        (
            "report",
            ["--results", "results", "--data", "data", "--out", "reports"],
            "data/card.json: not found",
        ),
        (
            "evaluate",
            ["--study", "all", "--runs", "runs", "--data", "data", "--out", "out"],
            "argument --study: invalid choice",
        ),
    ],
)
def test_bad_arguments_and_missing_files_are_one_line(
    checkout: Path, stage: str, arguments: list[str], message: str
) -> None:
    result = run_stage(checkout, stage, *arguments)
    assert result.returncode == 1
    assert len(messages(result)) == 1
    assert message in messages(result)[0]
    assert sorted(item.name for item in checkout.iterdir()) == ["params.yaml", "src", "stages"]


def test_a_defect_of_ours_keeps_its_traceback(checkout: Path) -> None:
    (checkout / "src" / "geomix" / "params.py").write_text(
        "def load(*keys):\n    raise RuntimeError('ours')\n"
    )
    result = run_stage(checkout, "check")
    assert result.returncode == 1
    assert "Traceback" in result.stderr
