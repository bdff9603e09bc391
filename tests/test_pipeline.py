"""The whole pipeline by `dvc repro`, on a tiny setting, in a clone of its own."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from geomix.files import hash_file

ROOT = Path(__file__).resolve().parent.parent
TINY = {
    r"^system:\n(?:  .*\n)+": """system:
  euclidean: {about: Plain., settings: {geometry: euclidean, tau: 0.1}}
  hypvit:
    about: Ball.
    settings: {geometry: hyperbolic, tau: 0.2, curvature: 0.1, labels: hidden}
  infonce: {about: Views., settings: {geometry: euclidean, tau: 0.1, labels: hidden}}
""",
    r"^systems: .*": "systems: {seeds: [0]}",
    r"^epochs: .*": "epochs: 1",
    r"^split: .*": "split: {seed: 0, train: 0.05, val: 0.02, test: 0.03}",
    r"^  patch: .*": "  patch: 16",
    r"^  width: .*": "  width: 16",
    r"^  depth: .*": "  depth: 1",
    r"^  heads: .*": "  heads: 2",
    r"^device: .*": "device: cpu",
    r"^compare: .*": "compare: {seeds: [0]}",
    r"^  tau: .*": "  tau: {values: [0.1], curvature: 0.1, lam: 1}",
    r"^  curvature: .*": "  curvature: {values: [0, 1], tau: 0.1, lam: 1}",
    r"^    tau: .*": "    tau: {geometries: [euclidean, flat, hyperbolic], seeds: [0]}",
    r"^    curvature: .*": "    curvature: {geometries: [hyperbolic], seeds: [0]}",
    r"^report: .*": "report: {queries: 2}",
    r"^  benchmarks: .*": "  benchmarks: {values: [0.1], curvature: 0.1, lam: 1}",
    r"^benchmarks: .*": "benchmarks: {datasets: [glyphs], seeds: [0]}",
    r"^benchmark:\n(?:  .*\n)+": """benchmark:
  glyphs:
    epochs: 1
    split: {seed: 0, train: 0.05, val: 0.02, test: 0.03}
    images: {form: auto, side: null, broken: 0}
    crop: {area: 1, flip: 0, centre: 1}
    backbone: {name: vit_tiny_patch16_224, pretrained: false, checkpoint: null, side: null, stem: conv, patch: 16, width: 16,
      depth: 1, heads: 2, drop_path: 0, freeze_patch_embedding: false}
    batch: {classes: 8, images: 2}
    augment: {rotate: 0, zoom: 0, shear: 0, shift: 0, noise: 0}
    optim: {learning_rate: 0.001, weight_decay: 0, warmup: 0.1, clip_norm: 3}
""",
}
TRAINED = {
    *(f"train_{geometry}@0" for geometry in ("euclidean", "flat", "hyperbolic", "hybrid")),
    *(f"sweep_tau@{geometry}-0.1-0" for geometry in ("euclidean", "flat", "hyperbolic")),
    *(f"sweep_curvature@hyperbolic-{curvature}-0" for curvature in (0, 1)),
}
OTHERS = {
    "check",
    "download",
    "preprocess",
    "baselines",
    "evaluate_compare",
    "evaluate_baselines",
    "report",
}
STAGES = TRAINED | OTHERS | {f"evaluate_sweep@{study}" for study in ("tau", "curvature")}


def run(folder: Path, *command: str) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {
        "OMP_NUM_THREADS": "1",
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
    }
    return subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, check=False
    )


def executed(output: str) -> set[str]:
    return set(re.findall(r"Running stage '(.+)'", output))


def stale(folder: Path) -> set[str]:
    """Give the stages of the default flow whose code, params or command changed."""
    result = run(folder, "dvc", "status", "--json", "dvc.yaml")
    assert result.returncode == 0, result.stderr
    return set(json.loads(result.stdout))


def edit(folder: Path, pattern: str, replacement: str) -> None:
    path = folder / "params.yaml"
    text, count = re.subn(pattern, replacement, path.read_text(), flags=re.MULTILINE)
    assert count == 1, pattern
    path.write_text(text)


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a clone with tiny settings in which the whole pipeline ran once."""
    folder = tmp_path_factory.mktemp("clone") / "geomix"
    names = run(
        ROOT, "git", "ls-files", "--cached", "--others", "--exclude-standard"
    ).stdout.splitlines()
    for name in names:
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, folder / name)
    (folder / "dvc.lock").unlink(missing_ok=True)
    for pattern, replacement in TINY.items():
        edit(folder, pattern, replacement)
    author = ("-c", "user.name=test", "-c", "user.email=test@example.org")
    for command in (
        ["git", "init", "-q"],
        ["git", "add", "-A"],
        ["git", *author, "commit", "-q", "-m", "tiny"],
    ):
        assert run(folder, *command).returncode == 0
    result = run(folder, "dvc", "repro")
    assert result.returncode == 0, result.stdout + result.stderr
    assert executed(result.stdout) == STAGES
    return folder


def test_a_second_run_executes_nothing(clone: Path) -> None:
    result = run(clone, "dvc", "repro")
    assert result.returncode == 0
    assert not executed(result.stdout)
    assert "Data and pipelines are up to date" in result.stdout


def test_the_first_page_answers_from_this_run(clone: Path) -> None:
    page = (clone / "reports" / "README.md").read_text()
    assert page.splitlines()[2].startswith(
        "**On glyphs at curvature 0.1, nothing can be said of hyperbolic space yet (one seed): "
    )
    assert "epochs 1" in page
    assert set(json.loads((clone / "reports" / "metrics.json").read_text())) == {
        "euclidean",
        "flat",
        "hyperbolic",
        "hybrid",
    }


def test_hyperbolic_at_curvature_zero_is_flat_to_the_byte(clone: Path) -> None:
    flat, limit = (
        clone / "runs/glyphs" / name for name in ("compare/flat-0", "curvature/hyperbolic-0-0")
    )
    assert hash_file(flat / "model.safetensors") == hash_file(limit / "model.safetensors")
    assert hash_file(flat / "embeddings.npz") == hash_file(limit / "embeddings.npz")


def test_a_cell_run_again_has_the_same_bytes(clone: Path, tmp_path: Path) -> None:
    first = clone / "runs/glyphs/compare/hybrid-0"
    command = "python -m stages.train --geometry hybrid --seed 0 --tau 0.1 --curvature 0.1 --lam 1 --data data/packed/glyphs --out"
    assert run(clone, *command.split(), str(tmp_path / "hybrid-0")).returncode == 0
    for path in first.iterdir():
        assert hash_file(path) == hash_file(tmp_path / "hybrid-0" / path.name), path.name


def test_the_study_over_data_sets_runs_and_answers(clone: Path) -> None:
    result = run(clone, "dvc", "repro", "studies/benchmarks/dvc.yaml")
    assert result.returncode == 0, result.stdout + result.stderr
    names = {name.removeprefix("studies/benchmarks/dvc.yaml:") for name in executed(result.stdout)}
    assert {name for name in names if name.startswith("train@")} == {
        f"train@glyphs-{geometry}-0.1-0"
        for geometry in ("euclidean", "flat", "hyperbolic", "hybrid")
    }
    page = (clone / "reports/benchmarks/glyphs/README.md").read_text()
    assert page.startswith("# glyphs: does curved space help?")
    assert "4 cells, each trained from scratch for 1 pass over" in page
    assert not executed(run(clone, "dvc", "repro", "studies/benchmarks/dvc.yaml").stdout)


def test_the_study_over_systems_runs_and_compares(clone: Path) -> None:
    result = run(clone, "dvc", "repro", "studies/systems/dvc.yaml")
    assert result.returncode == 0, result.stdout + result.stderr
    names = {name.removeprefix("studies/systems/dvc.yaml:") for name in executed(result.stdout)}
    assert names == {
        "train@euclidean",
        "train@hypvit",
        "train@infonce",
        "evaluate_systems",
        "report",
    }
    page = (clone / "reports/systems.md").read_text()
    assert page.startswith("# glyphs: the literature's systems side by side")
    assert re.search(r"^\| euclidean +\| nothing ", page, re.MULTILINE)
    assert re.search(
        r"^\| ensemble: similarities \| similarities of euclidean and hypvit, weight",
        page,
        re.MULTILINE,
    )
    plain = [
        clone / "runs/glyphs" / name / "embeddings.npz"
        for name in ("systems/euclidean/0", "compare/euclidean-0")
    ]
    assert hash_file(plain[0]) == hash_file(plain[1])
    assert not executed(run(clone, "dvc", "repro", "studies/systems/dvc.yaml").stdout)


@pytest.mark.parametrize(
    ("pattern", "replacement", "expected"),
    [
        (
            r"^tau: 0.1",
            "tau: 0.2",
            {name for name in TRAINED if name.startswith("train_")} | {"check", "report"},
        ),
        (
            r"^curvature: 0.1",
            "curvature: 0.2",
            {"train_hyperbolic@0", "train_hybrid@0", "check", "report"},
        ),
        (r"^lam: 1.0", "lam: 2.0", {"train_hybrid@0", "check", "report"}),
        (
            r"^  tau: \{values: \[0.1\]",
            "  tau: {values: [0.1, 0.3]",
            {
                *(f"sweep_tau@{name}-0.3-0" for name in ("euclidean", "flat", "hyperbolic")),
                "evaluate_sweep@tau",
                "check",
                "report",
            },
        ),
        (r"queries: 2", "queries: 3", {"report", "check"}),
    ],
)
def test_a_change_makes_stale_what_it_concerns_and_nothing_else(
    clone: Path, pattern: str, replacement: str, expected: set[str]
) -> None:
    before = (clone / "params.yaml").read_text()
    try:
        edit(clone, pattern, replacement)
        assert stale(clone) == expected
    finally:
        (clone / "params.yaml").write_text(before)
    assert not stale(clone)


def test_a_change_of_wording_makes_only_the_report_stale(clone: Path) -> None:
    path = clone / "src/geomix/report/index.py"
    before = path.read_text()
    try:
        path.write_text(before.replace("Does curved space help?", "Does it help?"))
        assert stale(clone) == {"report"}
    finally:
        path.write_text(before)


@pytest.mark.parametrize(
    ("pattern", "replacement", "message"),
    [
        (r"^tau: .*", "tau: -1", "params.yaml: tau: found -1, expected greater than 0"),
        (r"^tau: .*", "tau: abc", "params.yaml: tau: found 'abc', expected a valid number"),
        (r"^tau: .*", "tau: 0.1\nmomentum: 1", "params.yaml: momentum: found an unknown key"),
        (r"^tau: .*", "tau: 0.1\nsize: 1", "params.yaml: size: found a parameter of this name"),
        (r"^dataset: .*", "dataset: cub", "params.yaml: dataset: found 'cub', expected 'glyphs'"),
        (r"^optim: .*", "", "params.yaml: optim: found nothing, expected a value"),
    ],
)
def test_a_bad_file_stops_a_complete_pipeline_and_loses_nothing(
    clone: Path, pattern: str, replacement: str, message: str
) -> None:
    before = (clone / "params.yaml").read_text()
    pages = {path: path.read_bytes() for path in (clone / "reports").rglob("*.*")}
    try:
        edit(clone, pattern, replacement)
        stage = run(clone, "python", "-m", "stages.check")
        assert stage.returncode == 1
        assert [line for line in stage.stderr.splitlines() if message in line]
        assert len(stage.stderr.splitlines()) == 1
        assert run(clone, "dvc", "repro").returncode != 0
    finally:
        (clone / "params.yaml").write_text(before)
    assert {path: path.read_bytes() for path in (clone / "reports").rglob("*.*")} == pages


@pytest.mark.parametrize(
    ("name", "message"), [("images.npy", "damaged"), ("samples.csv", "expected label too")]
)
def test_damaged_data_stops_every_stage_that_reads_it(clone: Path, name: str, message: str) -> None:
    path = clone / "data/packed/glyphs" / name
    before = path.read_bytes()
    mode = path.stat().st_mode
    path.chmod(0o644)
    try:
        path.write_bytes(
            before[: len(before) // 2]
            if name == "images.npy"
            else before.replace(b"label", b"lable", 1)
        )
        for command in (
            "stages.train --geometry flat --seed 0 --tau 0.1 --data data/packed/glyphs --out runs/new",
            "stages.baselines --seeds compare --data data/packed/glyphs --out runs/new",
            "stages.evaluate --study tau --runs runs/glyphs/tau --data data/packed/glyphs --out runs/new",
            "stages.report --results results/glyphs --data data/packed/glyphs --out runs/new",
        ):
            result = run(clone, "python", "-m", *command.split())
            assert result.returncode == 1
            assert len(result.stderr.splitlines()) == 1
            assert message in result.stderr
        assert not (clone / "runs" / "new").exists()
    finally:
        path.write_bytes(before)
        path.chmod(mode)
