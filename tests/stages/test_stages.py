"""Stages refuse bad input with a line for each mistake and exit code 1, before torch loads."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT

STAGES = sorted(path.stem for path in (ROOT / "stages").glob("*.py") if path.stem != "__init__")


def run_stage(
    folder: Path, stage: str, *arguments: str, env: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-X", "importtime", "-m", f"stages.{stage}", *arguments]
    return subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, check=False)


def messages(result: subprocess.CompletedProcess[str]) -> list[str]:
    return [line for line in result.stderr.splitlines() if not line.startswith("import time:")]


@pytest.fixture
def checkout(tmp_path: Path, root: Path) -> Path:
    """Return a checkout with the code and params.yaml, without data."""
    for name in ("stages", "src"):
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(root / name, tmp_path / name, ignore=ignored)
    shutil.copy(root / "params.yaml", tmp_path)
    return tmp_path


@pytest.mark.parametrize("stage", STAGES)
def test_every_stage_refuses_a_bad_file_at_once(checkout: Path, stage: str) -> None:
    path = checkout / "params.yaml"
    text = path.read_text().replace("\ntau: 0.1", "\ntau: -1")
    path.write_text(text.replace("\nepochs: 8", "\nepochs: many"))
    result = run_stage(checkout, stage)
    assert result.returncode == 1
    assert messages(result) == [
        "error: params.yaml: tau: found -1, expected greater than 0",
        "error: params.yaml: epochs: found 'many', expected a valid integer",
    ]
    assert " torch" not in result.stderr
    assert sorted(item.name for item in checkout.iterdir()) == ["params.yaml", "src", "stages"]


def test_a_stage_that_python_cannot_find_is_one_line_too(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "stages.train"]
    result = subprocess.run(
        command, cwd=tmp_path, env={}, capture_output=True, text=True, check=False
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
    command = [sys.executable, str(checkout / "stages" / f"{stage}.py")]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 1
    how = f"start this stage from the root of the repository: python -m stages.{stage}"
    assert result.stderr.splitlines() == [f"error: {how}"]


CELL = "--seeds 0 --data data --out out"
VERDICT = "--control c --results r --settings s --data data --bench b --summary v.json --out out"


@pytest.mark.parametrize(
    ("stage", "arguments", "message"),
    [
        ("download", "", "command line: the following arguments are required: --dataset, --out"),
        (
            "train",
            f"--geometry flat --tau warm {CELL}",
            "tau: found 'warm', expected a valid number",
        ),
        ("train", f"--geometry flat {CELL}", "command line: found no tau, expected one (--tau)"),
        ("train", f"--geometry flat --tau 0.1 --rate 2 {CELL}", "rate: found an unknown key"),
        (
            "train",
            f"--geometry flat --tau 0.1 0.2 {CELL}",
            "command line: found 0.2, expected --key",
        ),
        ("train", f"--tau 0.1 {CELL}", "found --geometry and --settings, expected one of them"),
        (
            "train",
            f"--geometry round --tau 0.1 {CELL}",
            "geometry.round: not there; known here: euclidean",
        ),
        (
            "train",
            f"--geometry flat --tau 0.1 {CELL}",
            "data/card.json: not found; expected it from an earlier stage (dvc repro)",
        ),
        ("train", f"--settings settings/hcl {CELL}", "settings/hcl: not found; expected it from"),
        (
            "train",
            f"--geometry flat --own tune.cub200 --tau 0.1 {CELL}",
            "--own: found tune.cub200, expected one of tune.glyphs, tune.omniglot",
        ),
        (
            "system_trials",
            "--settings none --data data --out out",
            "none: not found; expected it from an earlier stage (dvc repro)",
        ),
        (
            "system_choose",
            "--settings none --runs runs --data data --out out",
            "data/card.json: not found",
        ),
        (
            "settle",
            "--systems systems --code src/geomix --out out",
            "systems/hier.yaml: not found",
        ),
        ("preprocess", "--dataset glyphs --raw raw --out out", "raw/manifest.json: not found"),
        (
            "report",
            "--control c --results results --data data --metrics m.json --out reports",
            "results/tau/metrics.csv: not found",
        ),
        (
            "verdict",
            f"--own kernel.grocerystore {VERDICT}",
            "command line: found kernel.grocerystore, expected one of tune.of.sets: glyphs, omnig",
        ),
        (
            "verdict",
            f"--own tune.wordnet {VERDICT}",
            "data/card.json: not found",
        ),
        (
            "front",
            "--control c",
            "command line: the following arguments are required: --verdicts, --bench, --out",
        ),
        (
            "evaluate",
            "--study all --runs runs --data data --out out",
            "command line: --study: found all, expected one of study.compare, study.tau",
        ),
        ("trials", "--own tune.glyphs --settings none --data data --out out", "none: not found"),
        (
            "divide",
            "--dataset cub200 --raw raw --folds folds --splits splits",
            "command line: found cub200, expected one of tune.of.sets: glyphs, omniglot",
        ),
        (
            "winners",
            "--own tune.glyphs --settings none --data data --splits splits --out out",
            "none: not found",
        ),
        (
            "evaluate_winners",
            "--dataset cub200 --runs runs --data data --splits splits --out out",
            "command line: found cub200, expected one of tune.of.sets: glyphs, omniglot",
        ),
        (
            "propose",
            "--dataset cub200 --geometry flat --round 1 --out out",
            "--own: found tune.cub200, expected one of tune.glyphs, tune.omniglot",
        ),
        (
            "propose",
            "--dataset glyphs --geometry round --round 1 --out out",
            "command line: --geometry: found round, expected one of euclidean, flat",
        ),
        (
            "propose",
            "--dataset glyphs --geometry flat --round 2 --out out",
            "command line: --round: found 2, expected --before, --runs and --data beside it",
        ),
        (
            "choose",
            "--dataset glyphs --geometry flat --before none --runs runs --data data --out out",
            "none: not found; expected it from an earlier stage",
        ),
        (
            "page_search",
            "--own tune.glyphs --settings none --data data --out out",
            "none/euclidean/winner/history.csv: not found; expected it from an earlier stage",
        ),
        (
            "adopt",
            "--geometry power",
            "runs/glyphs/tune_settings/power/winner/winner.json: not found; expected it from",
        ),
        (
            "adopt",
            "--geometry power --dataset cub200",
            "command line: found cub200, expected one of tune.of.sets: glyphs, omniglot, grocery",
        ),
        ("preset", "cub-resnet", "preset: found 'cub-resnet', expected <data>-<system>"),
    ],
)
def test_bad_arguments_and_missing_files_are_one_line(
    checkout: Path, stage: str, arguments: str, message: str
) -> None:
    result = run_stage(checkout, stage, *arguments.split())
    assert result.returncode == 1
    assert len(messages(result)) == 1
    assert message in messages(result)[0]
    assert sorted(item.name for item in checkout.iterdir()) == ["params.yaml", "src", "stages"]


def test_a_defect_of_ours_keeps_its_traceback(checkout: Path) -> None:
    text = "def load(*keys):\n    raise RuntimeError('ours')\n"
    (checkout / "src" / "geomix" / "config" / "read.py").write_text(text)
    result = run_stage(checkout, "check")
    assert result.returncode == 1
    assert "Traceback" in result.stderr
