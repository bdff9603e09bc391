"""The whole pipeline by `dvc repro`, on a tiny setting, in a clone of its own."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import product
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from ruamel.yaml import YAML

from geomix.config.read import read_yaml
from geomix.config.studies import flatten
from geomix.files import hash_file

ROOT = Path(__file__).resolve().parent.parent
TINY: dict[str, Any] = {
    "epochs": 1,
    "device": "cpu",
    "split": {"train": 0.05, "val": 0.02, "test": 0.03},
    "backbone": {"patch": 16, "width": 16, "depth": 1, "heads": 2},
    "baselines": {"seeds": ["0"]},
    "report": {"queries": 2},
    "study": {
        "compare": {
            "run": {"geometries": ["euclidean", "flat", "hyperbolic", "hybrid"], "seeds": ["0"]}
        },
        "tau": {
            "run": {"geometries": ["euclidean", "flat", "hyperbolic"], "seeds": ["0"]},
            "over": {"tau": [0.1]},
        },
        "curvature": {
            "run": {"geometries": ["hyperbolic"]},
            "over": {"curvature": [0, 1]},
            "pinned": {"tau": 0.1},
        },
        "aa": {"run": {"geometries": ["flat"], "seeds": ["0-5"]}},
    },
    "systems": {
        "names": ["hcl_flat"],
        "tuned": {
            "names": ["hypvit", "hypvit_flat", "euclidean", "infonce"],
            "table": {"trials": 2},
            "run": {"seeds": ["10-11"]},
        },
    },
}
# Sections that are replaced as a whole.
CONTROLS: dict[str, Any] = {
    "run": {"geometries": ["euclidean", "dot", "flat_free"], "seeds": ["0"]},
    "over": {"optim": {"learning_rate": [0.003]}},
    "pinned": {"tau": 1, "lam": 1, "head": {"outputs": 3}},
}
BALLS: dict[str, Any] = CONTROLS | {
    "run": {"geometries": ["hyperbolic_free"], "seeds": ["0"]},
    "over": {"curvature": [0, 0.1, 1], "optim": {"learning_rate": [0.003]}},
}
WHOLE: dict[str, dict[str, Any]] = {
    "control": {
        "parts": {
            "flat": CONTROLS,
            "curved": BALLS,
            "flat_2d": CONTROLS | {"pinned": CONTROLS["pinned"] | {"head": {"outputs": 2}}},
            "curved_2d": BALLS | {"pinned": BALLS["pinned"] | {"head": {"outputs": 2}}},
        }
    },
    "tune": {
        "of": {"sets": ["glyphs", "wordnet"]},
        "geometries": ["euclidean", "hyperbolic_free"],
        "budget": {
            "glyphs": {"trials": 2, "folds": 2, "seeds": ["10"], "splits": [1]},
            "wordnet": {"trials": 2, "folds": 1, "seeds": ["10"], "splits": []},
        },
        "own": {
            "glyphs": {"backbone": {"stem": "conv"}, "batch": {"classes": 8, "images": 2}},
            "wordnet": {"relevance": "lineage", "backbone": {"name": "mlp"}},
        },
    },
    "systems": {"common": {"epochs": 1}, "hidden": {}},
}
PARTS = {f"{dataset}-{part}" for dataset in ("tree", "grid") for part in WHOLE["control"]["parts"]}
CONTROL = {f"control@{part}" for part in PARTS}
COMPARED = {f"compare@{name}-0" for name in ("euclidean", "flat", "hyperbolic", "hybrid")}
TRAINED = {
    *COMPARED,
    *(f"tau@{name}-0.1-0" for name in ("euclidean", "flat", "hyperbolic")),
    *(f"curvature@hyperbolic-{curvature}-0" for curvature in (0, 1)),
    "aa@flat-0-5",
    *CONTROL,
    "baselines",
}
STUDIES = ("compare", "tau", "curvature", "aa")
PAGES = {f"page@{study}" for study in STUDIES}
EVALUATED = {f"evaluate@{study}" for study in STUDIES} | {"evaluate_baselines"}
EVALUATED |= {f"evaluate_control@{part}" for part in PARTS}
DATA = {
    f"flows/data/dvc.yaml:{stage}@{dataset}"
    for stage in ("download", "preprocess")
    for dataset in ("glyphs", "tree", "grid")
}
STAGES = (
    {"analyze", "page_negatives", "page_geometry", "page_training", "page_control"}
    | {"report"}
    | TRAINED
    | PAGES
    | EVALUATED
    | DATA
)


def run(folder: Path, *command: str) -> subprocess.CompletedProcess[str]:
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PATH": path}
    return subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, check=False
    )


def repro(folder: Path, *targets: str) -> set[str]:
    """Run a flow and return the stages that were executed, but check, which is each time."""
    result = run(folder, "dvc", "repro", *targets)
    assert result.returncode == 0, result.stdout + result.stderr
    return set(re.findall(r"Running stage '(.+)'", result.stdout)) - {"check"}


def stale(folder: Path, *targets: str) -> set[str]:
    """Return the stages whose code, params or command changed."""
    result = run(folder, "dvc", "status", "--json", *(targets or ("dvc.yaml",)))
    assert result.returncode == 0, result.stderr
    return set(json.loads(result.stdout)) - {"check"}


@contextmanager
def edited(path: Path, pattern: str, replacement: str) -> Iterator[None]:
    """Change one place in a file, and back."""
    before = path.read_text()
    text, count = re.subn(pattern, replacement, before, count=1, flags=re.MULTILINE)
    assert count == 1, pattern
    path.write_text(text)
    try:
        yield
    finally:
        path.write_text(before)


def lay_tiny(path: Path) -> None:
    """Lay the tiny setting over params.yaml."""
    yaml = YAML()
    yaml.width = 10**6
    content = yaml.load(path.read_text())
    for section, settings in WHOLE.items():
        content[section].update(settings)
    for own in content["control"]["own"].values():
        own["epochs"] = 2
    for key, value in flatten(TINY).items():
        *sections, last = key.split(".")
        target = content
        for section in sections:
            target = target.setdefault(section, {})
        target[last] = value
    with path.open("w") as file:
        yaml.dump(content, file)


def copy_checkout(folder: Path) -> Path:
    """Copy all files of the repository but locks, for a run of their own."""
    listed = run(ROOT, "git", "ls-files", "--cached", "--others", "--exclude-standard").stdout
    for name in listed.splitlines():
        if (ROOT / name).is_file() and Path(name).name != "dvc.lock":
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, folder / name)
    assert run(folder, "git", "init", "-q").returncode == 0
    return folder


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a clone with tiny settings in which the whole pipeline ran once."""
    folder = copy_checkout(tmp_path_factory.mktemp("clone") / "geomix")
    lay_tiny(folder / "params.yaml")
    author = ("-c", "user.name=test", "-c", "user.email=test@example.org")
    commit = ["git", *author, "commit", "-q", "-m", "tiny"]
    for command in (["git", "add", "-A"], commit):
        assert run(folder, *command).returncode == 0
    assert repro(folder) == STAGES
    return folder


def test_a_second_run_executes_nothing_but_the_check(clone: Path) -> None:
    result = run(clone, "dvc", "repro")
    assert result.returncode == 0
    assert re.findall(r"Running stage '(.+)'", result.stdout) == ["check"]
    status = run(clone, "dvc", "status", "--json", "dvc.yaml")
    assert json.loads(status.stdout) == {"check": ["always changed"]}


def test_the_page_of_the_flow_answers_from_this_run(clone: Path) -> None:
    page = (clone / "reports" / "glyphs" / "README.md").read_text()
    # A few steps calibrate nothing and train no geometry above the raw pixels: that is said first.
    assert page.splitlines()[2].startswith("**Not calibrated: the [calibration](../control.md) did")
    assert page.splitlines()[5].startswith("**Training failed on glyphs: ")
    assert page.splitlines()[7].startswith("**On glyphs, ")
    assert (clone / "reports/control.md").read_text().splitlines()[2].startswith("**fail**")
    for study in STUDIES[:-1]:  # the repeats have their place beside the calibration
        assert f"({study}/README.md)" in page
        assert (clone / "reports/glyphs" / study / "README.md").is_file()
    metrics = json.loads((clone / "reports" / "metrics.json").read_text())
    assert set(metrics) == set(STUDIES)
    assert set(metrics["compare"]) == {"euclidean", "flat", "hyperbolic", "hybrid"}


def test_hyperbolic_at_curvature_zero_is_flat_to_the_byte(clone: Path) -> None:
    flat = clone / "runs/glyphs/compare/flat-0/0"
    limit = clone / "runs/glyphs/curvature/hyperbolic-0-0/0"
    assert hash_file(flat / "model.safetensors") == hash_file(limit / "model.safetensors")
    assert hash_file(flat / "embeddings.npz") == hash_file(limit / "embeddings.npz")


def test_a_cell_run_again_has_the_same_bytes(clone: Path, tmp_path: Path) -> None:
    first = clone / "runs/glyphs/compare/hybrid-0/0"
    command = (
        "python -m stages.train --geometry hybrid --seeds 0-1 --tau 0.1 --curvature 0.1 --lam 1.0 "
        "--data data/packed/glyphs --out"
    )
    assert run(clone, *command.split(), str(tmp_path / "hybrid-0")).returncode == 0
    for path in first.iterdir():
        assert hash_file(path) == hash_file(tmp_path / "hybrid-0" / "0" / path.name), path.name


def test_a_setting_on_the_command_line_is_that_of_params(clone: Path, tmp_path: Path) -> None:
    command = (
        "python -m stages.train --geometry flat --seeds 0 --tau 0.1 --head.outputs 8 "
        "--optim.learning_rate 1e-3 --data data/packed/glyphs --out"
    )
    assert run(clone, *command.split(), str(tmp_path / "line")).returncode == 0
    with edited(clone / "params.yaml", "outputs: 64", "outputs: 8"):
        command = command.replace("--head.outputs 8 ", "")
        assert run(clone, *command.split(), str(tmp_path / "file")).returncode == 0
    one, other = (tmp_path / name / "0" / "model.safetensors" for name in ("line", "file"))
    assert hash_file(one) == hash_file(other)


TUNED = ("glyphs", "wordnet")  # by classes, and by lineages
TUNING = [f"flows/tune/{dataset}/dvc.yaml" for dataset in TUNED]


def list_tuning() -> set[str]:
    """Return the stages of the flow that tunes, and those of the data that only it needs."""
    single = ("divide", "baselines", "evaluate", "evaluate_baselines")
    pages = ("page", "page_search", "verdict")
    of_each = [f"propose_{number}@{{}}" for number in (1, 2, 3)]
    of_each += ["choose@{}", "winners@{}", *(f"trials@{{}}-{number}" for number in (1, 2, 3))]
    pairs = product(of_each, ("euclidean", "hyperbolic_free"))
    names = [*single, *pages, *(name.format(geometry) for name, geometry in pairs)]
    return {
        *(f"{flow}:{name}" for flow, name in product(TUNING, names)),
        *(f"flows/data/dvc.yaml:{name}@wordnet" for name in ("download", "preprocess")),
    }


def test_tuning_runs_in_rounds_and_ends_in_winners(clone: Path) -> None:
    assert repro(clone, *TUNING) == list_tuning()
    for dataset, name in product(TUNED, ("euclidean", "hyperbolic_free")):
        settings = clone / f"runs/{dataset}/tune_settings/{name}"
        counts = [len((settings / str(n) / "history.csv").read_text().splitlines()) for n in "123"]
        assert counts == [1, 3, 5]  # a heading, and two trials of each round before
        history = pd.read_csv(settings / "winner/history.csv", keep_default_na=False)
        winner = json.loads((settings / "winner/winner.json").read_text())
        best = history.loc[history["score"].idxmax()]
        assert winner["settings"]["tau"] == best["tau"]
        trained = clone / f"runs/{dataset}/tune_winners/{name}/packed/10/geometry.json"
        assert json.loads(trained.read_text())["cell"]["tau"] == best["tau"]
    assert not repro(clone, *TUNING)


def test_classes_and_lineages_are_tuned_alike(clone: Path) -> None:
    repro(clone, *TUNING)

    def list_names(folder: str) -> set[str]:
        return {path.name for path in (clone / folder).iterdir()}

    for dataset, folds, splits in (("glyphs", {"0", "1"}, {"1"}), ("wordnet", {"0"}, set())):
        assert list_names(f"data/folds/{dataset}") == folds
        assert list_names(f"runs/{dataset}/tune/euclidean-2") == folds
        assert list_names(f"data/splits/{dataset}") == splits
        for folder in ("runs/{}/tune_winners/euclidean", "results/tune/{}/winners"):
            assert list_names(folder.format(dataset)) == {"packed", *splits}
        for folder in ("tune", "tune_search", "tune_winners"):
            page = (clone / "reports" / dataset / folder / "README.md").read_text()
            assert "nan" not in page.partition("<details>")[0]
    page = (clone / "reports/wordnet/tune_winners/README.md").read_text()
    assert "from inner node to leaves" in page
    assert "R@1" not in page


def test_the_first_page_stands_on_the_verdicts(clone: Path) -> None:
    repro(clone, *TUNING)
    front = "flows/front/dvc.yaml:front"
    assert repro(clone, "-s", front) == {front}
    page = (clone / "reports/README.md").read_text()
    # A few steps calibrate nothing, which takes all answers back.
    assert page.splitlines()[2].startswith("**Not calibrated: the [calibration](control.md) did")
    rows = [line for line in page.splitlines() if line.startswith("| [")]
    assert [row.partition("]")[0] for row in rows] == [
        "| [glyphs, classes",
        "| [wordnet, leaf to ancestors and back",
        "| [wordnet, leaf to ancestors",
        "| [wordnet, inner node to leaves",
    ]
    for row in rows:
        assert row.count("| not calibrated ") == 4
    assert "Not judged yet" not in page
    assert not repro(clone, "-s", front)


def test_a_half_written_lock_costs_no_training(clone: Path) -> None:
    flow = TUNING[0]
    repro(clone, flow)
    lock = clone / "flows/tune/glyphs/dvc.lock"
    whole = read_yaml(lock)
    lock.write_text("")
    assert run(clone, "dvc", "repro", flow).returncode != 0
    assert run(clone, "python", "-m", "stages.mend").returncode == 0
    written = ("page", "page_search", "verdict")  # pages are in no cache
    assert repro(clone, flow) == {f"{flow}:{name}" for name in written}
    assert read_yaml(lock) == whole


def test_the_systems_run_as_published_and_tuned(clone: Path) -> None:
    flow = "flows/systems/dvc.yaml"
    names = TINY["systems"]["tuned"]["names"]
    executed = {name.removeprefix(f"{flow}:") for name in repro(clone, flow)}
    chains = {f"{stage}@{name}" for stage in ("trials", "choose", "winners") for name in names}
    published = {"train@hcl_flat-0", *(f"train_tuned@{name}-0" for name in names)}
    assert executed == {"settle", "evaluate", "page"} | chains | published
    runs = clone / "runs/glyphs"
    for folder in ("systems/hypvit-0", "systems_trials/hypvit", "systems_winners/hypvit"):
        assert sorted(path.name for path in (runs / folder).iterdir()) == ["given", "hidden"]
    plain = [
        runs / name / "embeddings.npz"
        for name in ("systems/euclidean-0/given/0", "compare/euclidean-0/0")
    ]
    assert hash_file(plain[0]) == hash_file(plain[1])
    chosen = runs / "systems_chosen/hypvit"
    history = pd.read_csv(chosen / "history/given.csv", keep_default_na=False)
    best = history.loc[history["score"].idxmax()]
    winner = json.loads((chosen / "settings/given.json").read_text())
    trained = json.loads((runs / "systems_winners/hypvit/given/11/geometry.json").read_text())
    assert winner["settings"]["optim.learning_rate"] == best["optim.learning_rate"]
    assert trained["cell"]["tau"] == winner["settings"]["tau"] == best["tau"]
    for folder in ("published", "tuned"):
        assert (clone / "results/systems/glyphs" / folder / "metrics.csv").is_file()
    assert (clone / "reports/glyphs/systems/README.md").is_file()
    assert not repro(clone, flow)


def test_relevance_by_lineage_runs_on_a_data_set_of_classes(clone: Path) -> None:
    page = clone / "reports/glyphs/compare/README.md"
    before = page.read_bytes()
    with edited(clone / "params.yaml", "^relevance: class", "relevance: lineage"):
        assert repro(clone, "page@compare") >= COMPARED | {"page@compare", "evaluate_baselines"}
        assert "R@1" in page.read_text()
        assert page.read_bytes() != before
    assert repro(clone, "page@compare") >= {"page@compare"}
    assert page.read_bytes() == before


RATE = """
  rate:
    <<: *cell
    matrix:
      geometry: ${study.rate.run.geometries}
      rate: ${study.rate.over.optim.learning_rate}
      seeds: ${study.rate.run.seeds}
    cmd: >-
      python -m stages.train --geometry ${item.geometry} --seeds ${item.seeds}
      --optim.learning_rate ${item.rate} ${study.rate.pinned}
      --data data/packed/${dataset} --out runs/${dataset}/rate/${key}
    outs: ['runs/${dataset}/rate/${key}']
"""
RATE_ENTRY = """
  rate:
    run: {geometries: [euclidean, flat], seeds: [0]}
    over: {optim: {learning_rate: [0.001, 0.004]}}
    pinned: {tau: 0.1, optim: {warmup: 0.2}}
"""


def test_a_study_is_an_entry_and_a_block(clone: Path) -> None:
    cells = {f"rate@{name}-{rate}-0" for name in ("euclidean", "flat") for rate in (0.001, 0.004)}
    with (
        edited(clone / "params.yaml", r"^study:\n", f"study:{RATE_ENTRY}"),
        edited(clone / "dvc.yaml", r"^  # Raw pixels", f"{RATE.lstrip(chr(10))}\n  # Raw pixels"),
    ):
        pages = {"evaluate@rate", "page@rate"}
        assert repro(clone) == cells | pages | {"report", "page_training"}
        page = (clone / "reports/glyphs/rate/README.md").read_text()
        assert "optim.learning_rate" in page
        assert (clone / "reports/glyphs/rate/figure.png").is_file()
        with edited(
            clone / "params.yaml",
            r"(flat\], seeds): \[0\]\}\n(    over: \{optim)",
            r"\1: [0, 1-2]}\n\2",
        ):
            added = {name.removesuffix("-0") + "-1-2" for name in cells}
            assert repro(clone) == added | pages | {"report", "page_training"}
        assert not {name for name in repro(clone) if name.startswith("rate@")}
    shutil.rmtree(clone / "reports/glyphs/rate")
    repro(clone)


@pytest.mark.parametrize(
    ("pattern", "replacement", "expected"),
    [
        (r"^tau: 0.1", "tau: 0.2", COMPARED),
        (r"over: \{tau: \[0.1\]", "over: {tau: [0.1, 0.3]", {
            *(f"tau@{name}-0.3-0" for name in ("euclidean", "flat", "hyperbolic")),
            "evaluate@tau", "page@tau", "report", "analyze", "page_negatives",
            "page_training",
        }),
        (r"queries: 2", "queries: 3", PAGES | {"report", "page_negatives"}),
    ],
)  # fmt: skip
def test_a_change_makes_stale_what_it_concerns_and_nothing_else(
    clone: Path, pattern: str, replacement: str, expected: set[str]
) -> None:
    with edited(clone / "params.yaml", pattern, replacement):
        assert stale(clone) == expected
    assert not stale(clone)


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("src/geomix/negatives/hard.py", set()),
        ("src/geomix/regularisers/hier.py", set()),
        ("src/geomix/negatives/uniform.py", TRAINED - {"baselines"}),
        (
            "src/geomix/report/render.py",
            PAGES | {"page_control", "report", "page_negatives", "page_geometry", "page_training"},
        ),
        ("systems/hcl.yaml", set()),
    ],
)
def test_a_comment_makes_stale_only_what_uses_its_file(
    clone: Path, path: str, expected: set[str]
) -> None:
    with edited(clone / path, r"\Z", "# A comment.\n"):
        assert stale(clone) == expected


def test_another_file_under_the_same_path_makes_stale_what_was_made_of_the_first(
    clone: Path, tmp_path: Path
) -> None:
    path = tmp_path / "mine.pth"
    path.write_bytes(b"first")

    def trained() -> set[str]:
        assert run(clone, "dvc", "repro", "-q", "check").returncode == 0
        return stale(clone)

    with edited(clone / "params.yaml", "^  checkpoint:$", f"  checkpoint: {path}"):
        assert trained() >= COMPARED | {"baselines"}
        # as if the cells had been trained with the first
        assert run(clone, "dvc", "commit", "-q", "-f", *COMPARED).returncode == 0
        assert not COMPARED & trained()
        path.write_bytes(b"other")
        assert trained() >= COMPARED
        path.write_bytes(b"first")
        assert not COMPARED & trained()
        path.unlink()  # as on the machine of a colleague
        assert not COMPARED & trained()
    repro(clone)


def test_a_systems_cells_depend_on_its_own_rule_and_settings(clone: Path) -> None:
    flow = "flows/systems/dvc.yaml"
    repro(clone, flow)

    def trained() -> set[str]:
        run(clone, "dvc", "repro", "-q", "-s", f"{flow}:settle")
        names = {name.removeprefix(f"{flow}:") for name in stale(clone, flow)}
        return {name for name in names if name.startswith(("train@", "train_tuned@", "trials@"))}

    for path in ("src/geomix/negatives/bayesian.py", "systems/hcl.yaml"):
        with edited(clone / path, r"\Z", "# A comment.\n"):
            assert not trained()
    with edited(clone / "src/geomix/negatives/hard.py", r"\Z", "# A comment.\n"):
        assert trained() == {"train@hcl_flat-0"}
    with edited(clone / "systems/hypvit.yaml", r"^about: .*", "about: Other words."):
        assert not trained()
    with edited(clone / "systems/hypvit.yaml", "tau: 0.2", "tau: 0.3"):
        assert trained() == {"train_tuned@hypvit-0"}  # trials have a tau of their own
    with edited(clone / "params.yaml", "override: {}", "override: {infonce: {tau: 0.2}}"):
        assert trained() == {"train_tuned@infonce-0"}
    with edited(clone / "src/geomix/negatives/uniform.py", r"\Z", "# A comment.\n"):
        assert len(trained()) == 2 * len(TINY["systems"]["tuned"]["names"])
    assert not trained()


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
    pages = {path: path.read_bytes() for path in (clone / "reports").rglob("*.*")}
    with edited(clone / "params.yaml", pattern, replacement):
        stage = run(clone, "python", "-m", "stages.check")
        assert stage.returncode == 1
        assert message in stage.stderr
        assert len(stage.stderr.splitlines()) == 1
        assert run(clone, "dvc", "repro").returncode != 0
    assert {path: path.read_bytes() for path in (clone / "reports").rglob("*.*")} == pages


@pytest.mark.parametrize(
    ("name", "message"), [("images.npy", "damaged"), ("samples.csv", "expected label too")]
)
def test_damaged_data_stops_every_stage_that_reads_it(clone: Path, name: str, message: str) -> None:
    path = clone / "data/packed/glyphs" / name
    before, mode = path.read_bytes(), path.stat().st_mode
    half = before[: len(before) // 2]
    path.chmod(0o644)
    try:
        path.write_bytes(half if name == "images.npy" else before.replace(b"label", b"lable", 1))
        results = "--results results/glyphs/tau --baselines results/glyphs/baselines"
        for command in (
            "train --geometry flat --seeds 0 --tau 0.1",
            "baselines --seeds 0",
            "evaluate --study study.tau --runs runs/glyphs/tau",
            f"page --control reports/control.csv --study study.tau {results}",
        ):
            line = f"python -m stages.{command} --data data/packed/glyphs --out runs/new"
            result = run(clone, *line.split())
            assert result.returncode == 1
            assert len(result.stderr.splitlines()) == 1
            # baselines compare hashes first, which is told of either file
            expected = "damaged" if command.startswith("baselines") else message
            assert expected in result.stderr
        assert not (clone / "runs" / "new").exists()
    finally:
        path.write_bytes(before)
        path.chmod(mode)
