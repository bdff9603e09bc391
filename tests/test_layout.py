"""dvc.yaml tells the truth: the code and the params a stage lists are those it reads, and dvc.lock is of this code."""

import ast
import json
import re
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from dvc.repo import Repo
from dvc.utils.hydra import apply_overrides

from bench.page import TABLES, write_page
from geomix.config.read import load, read_yaml
from geomix.config.studies import Benchmark
from geomix.evaluate.cells import baseline_cells, compare_cells, sweep_cells, system_cells

ROOT = Path(__file__).resolve().parent.parent
STAGES: dict[str, dict[str, Any]] = read_yaml(ROOT / "dvc.yaml")["stages"]
STUDIES = sorted(path.parent.name for path in ROOT.glob("studies/*/dvc.yaml"))
ALL = STAGES | {
    f"{study}: {name}": stage.get("do", stage)
    for study in STUDIES
    for name, stage in read_yaml(ROOT / "studies" / study / "dvc.yaml")["stages"].items()
}
# A page or table of a data set of the study `benchmarks`.
DATASET_PAGES = {
    *(
        "README.md",
        "comparison.csv",
        "dataset.csv",
        "dataset.md",
        "metrics.json",
        "neighbours.png",
        "samples.png",
    ),
    *("temperature.csv", "temperature.md", "temperature.png"),
}
# A docstring; and what `params:` covers.
FREE = {f"src/geomix/{name}.py" for name in ("__init__", "params")} | {
    str(path.relative_to(ROOT)) for path in ROOT.glob("src/geomix/schema/*.py")
}
PLACES = {"download"}  # where files are looked for, which changes nothing in what is found


def module_files(name: str) -> list[Path]:
    """Give the files that importing a module runs: its own and those of the packages around it."""
    parts = name.split(".")
    base = ROOT if parts[0] == "stages" else ROOT / "src"
    packages = [base.joinpath(*parts[:count], "__init__.py") for count in range(1, len(parts) + 1)]
    return [
        path for path in (*packages, base.joinpath(*parts).with_suffix(".py")) if path.is_file()
    ]


@cache
def imports(path: Path) -> frozenset[Path]:
    """Give the files of this project that a file imports, wherever in it the import stands."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
        elif isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
    return frozenset(
        file
        for name in names
        if name.split(".")[0] in ("geomix", "stages")
        for file in module_files(name)
    )


def code_of(module: str) -> set[str]:
    """Give every file of this project that a stage runs."""
    found: set[Path] = set()
    left = module_files(module)
    while left:
        path = left.pop()
        if path not in found:
            found.add(path)
            left += imports(path)
    return {str(path.relative_to(ROOT)) for path in found}


def module_of(stage: dict[str, Any]) -> str:
    match = re.match(r"python -m (stages\.\w+)", stage["cmd"])
    assert match, stage["cmd"]
    return match.group(1)


def listed(stage: dict[str, Any], prefix: tuple[str, ...]) -> set[str]:
    return {dep for dep in stage["deps"] if dep.startswith(prefix)}


@pytest.mark.parametrize("name", ALL)
def test_a_stage_lists_exactly_the_code_it_runs(name: str) -> None:
    deps = listed(ALL[name], ("src/", "stages/"))
    code = code_of(module_of(ALL[name])) - (FREE if name != "check" else {"src/geomix/__init__.py"})
    covered = {
        file: [dep for dep in deps if file == dep or file.startswith(f"{dep}/")] for file in code
    }
    assert not [file for file, by in covered.items() if not by], "read but not listed"
    assert not deps - {dep for by in covered.values() for dep in by}, "listed but not read"


def keys_read(stage: dict[str, Any]) -> set[str]:
    """Give the keys that a stage asks `load` for, with what its command line puts into their
    braces.

    Sections that an entry named by --instead has are read from it.
    """
    keys = set()
    tree = ast.parse((ROOT / f"{module_of(stage).replace('.', '/')}.py").read_text())
    options = dict(re.findall(r"--(\w+) (\S+)", stage["cmd"]))
    study = options.get("study", "")
    branches = [node for node in ast.walk(tree) if isinstance(node, ast.If)]
    skipped = {
        call for branch in branches for call in ast.walk(branch) if not taken(branch, call, study)
    }
    for node in ast.walk(tree):
        if (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Name)
            and node.func.id == "load"
            and node not in skipped
        ):
            replaced = (
                set(Benchmark.model_fields) if node.keywords and "instead" in options else set()
            )
            for argument in map(ast.unparse, node.args):
                key = re.sub(
                    r"\{\w+\.(\w+)\}",
                    lambda name: options.get(name[1], ""),
                    argument.removeprefix("f").strip("'\""),
                )
                key = re.sub(
                    r"\{settings\[.(\w+).\]\}", r"${item.settings.\1}", key
                )  # of the entry that foreach is at
                keys.add(f"{options['instead']}.{key}" if key in replaced else key)
    return keys


def taken(branch: ast.If, node: ast.AST, study: str) -> bool:
    """Say whether a node inside `if given.study == "x": ... else: ...` runs for a study; a sweep takes every else."""
    match = re.match(r"given\.study == '(\w+)'", ast.unparse(branch.test))
    if not match or node in ast.walk(branch.test):
        return True
    inside = any(node in ast.walk(item) for item in branch.body)
    otherwise = any(node in ast.walk(item) for item in branch.orelse)
    return not (inside and study != match.group(1)) and not (otherwise and study == match.group(1))


@pytest.mark.parametrize("name", ALL)
def test_a_stage_lists_exactly_the_params_it_reads(name: str) -> None:
    assert set(ALL[name].get("params", [])) == keys_read(ALL[name]) - PLACES


@pytest.mark.parametrize("module", sorted({module_of(stage) for stage in ALL.values()}))
def test_a_stage_imports_torch_only_after_params_are_valid(module: str) -> None:
    tree = ast.parse((ROOT / f"{module.replace('.', '/')}.py").read_text())
    early = {node.module or "" for node in tree.body if isinstance(node, ast.ImportFrom)}
    assert early <= {"geomix.config.read", "stages", "pathlib"}


def test_no_parameter_has_a_name_that_dvc_ignores() -> None:
    assert not {
        key
        for key in re.findall(r"(\w+):", (ROOT / "params.yaml").read_text())
        if key in ("size", "nfiles")
    }


def test_pages_are_in_git_and_survive_a_failing_report() -> None:
    for out in STAGES["report"]["outs"]:
        ((path, settings),) = out.items()
        assert settings == {"cache": False, "persist": True}, path


@cache
def outs() -> frozenset[str]:
    """Give what the stages of all dvc.yaml write, relative to the root."""
    with Repo(str(ROOT)) as repo:
        return frozenset(str(Path(out.fspath).relative_to(ROOT)) for out in repo.index.outs)


def geometries_of(stage: dict[str, Any]) -> list[str]:
    """Give the geometries that an evaluate stage is told."""
    found = re.search(r"--geometries ([\w ]+?) --", stage["cmd"])
    assert found
    return found.group(1).split()


def cells_below(folder: str) -> set[str]:
    return {path.removeprefix(f"{folder}/") for path in outs() if path.startswith(f"{folder}/")}


def test_evaluate_names_the_cells_that_train_writes() -> None:
    params = load("dataset", "compare", "sweep", path=ROOT / "params.yaml")
    runs, sweep, seeds = params["sweep"]["runs"], params["sweep"], params["compare"]["seeds"]
    expected = {
        f"compare/{cell}"
        for cell in compare_cells(geometries_of(STAGES["evaluate_compare"]), seeds)
    }
    for study in ("tau", "curvature"):
        axes = runs[study]["geometries"], sweep[study]["values"], runs[study]["seeds"]
        expected |= {f"{study}/{cell}" for cell in sweep_cells(*axes)}
    found = {
        path for path in cells_below(f"runs/{params['dataset']}") if not path.startswith("systems/")
    }
    assert found - {"baselines"} == expected
    assert baseline_cells(seeds)[0] == "pixels"


def test_evaluate_names_the_cells_of_the_benchmarks() -> None:
    params = load("benchmarks", "sweep.benchmarks", path=ROOT / "params.yaml")
    study, values = params["benchmarks"], params["sweep.benchmarks"]["values"]
    stages = ALL["benchmarks: train"], ALL["benchmarks: evaluate_cells"]
    assert geometries_of(stages[1]) == stages[0]["matrix"]["geometry"]
    for dataset in study["datasets"]:
        expected = set(sweep_cells(geometries_of(stages[1]), values, study["seeds"]))
        assert cells_below(f"runs/benchmarks/{dataset}/cells") == expected


def test_evaluate_names_the_cells_of_the_systems() -> None:
    params = load("dataset", "systems.seeds", "system", path=ROOT / "params.yaml")
    below = cells_below(f"runs/{params['dataset']}/systems")
    assert {
        path.split("/")[0] for path in system_cells(params["system"], params["systems.seeds"])
    } == below


@pytest.mark.parametrize("study", STUDIES)
def test_no_stage_of_the_default_flow_needs_what_a_study_makes(study: str) -> None:
    below = (f"runs/${{dataset}}/{study}", f"results/${{dataset}}/{study}", f"reports/{study}")
    assert not [dep for stage in STAGES.values() for dep in stage["deps"] if dep.startswith(below)]


def test_dvc_lock_is_of_this_code_and_these_params() -> None:
    command = [sys.executable, "-m", "dvc", "status", "--json"]
    status = json.loads(
        subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    )
    changes = []
    for stage, entries in status.items():
        for entry in entries:
            for kind, items in entry.items() if isinstance(entry, dict) else [(entry, {})]:
                kept = {path: what for path, what in items.items() if not absent(path, what)}
                if kept or not items:
                    changes.append((stage, kind, kept))
    assert not changes


def absent(path: str, what: str) -> bool:
    """Say whether a file is only missing here, as data and results are in a fresh clone; pages and code never are."""
    return what in ("deleted", "not in cache") and path.startswith(("data/", "runs/", "results/"))


def test_every_page_is_in_git_and_nothing_else_is() -> None:
    command = ["git", "ls-files", "reports"]
    found = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.split()
    benchmarks = [
        f"reports/benchmarks/{name}"
        for name in ("core.md", "growth.png", *(f"{name}.csv" for name in TABLES))
    ]
    datasets = load("benchmarks.datasets", path=ROOT / "params.yaml")["benchmarks.datasets"]
    benchmarks += [
        f"reports/benchmarks/{dataset}/{page}" for dataset in datasets for page in DATASET_PAGES
    ]
    benchmarks.append("reports/benchmarks/systems.csv")
    outs_of = [*STAGES["report"]["outs"], *ALL["systems: report"]["outs"]]
    assert sorted(found) == sorted([*benchmarks, *(path for out in outs_of for path in out)])


def test_the_page_of_the_benchmarks_is_made_of_the_committed_csvs(tmp_path: Path) -> None:
    committed = ROOT / "reports" / "benchmarks"
    for table in committed.glob("*.csv"):
        shutil.copy(table, tmp_path)
    write_page(tmp_path)
    assert (tmp_path / "core.md").read_text() == (committed / "core.md").read_text()


@pytest.mark.parametrize(
    ("override", "old", "new"),
    [
        ("tau=0.2", "tau: 0.1", "tau: 0.2"),
        ("report.queries=7", "report: {queries: 6}", "report: {queries: 7}"),
        ("compare.seeds=[0,5]", "compare: {seeds: [0, 1, 2]}", "compare: {seeds: [0, 5]}"),
    ],
)
def test_params_yaml_survives_an_experiment(
    tmp_path: Path, override: str, old: str, new: str
) -> None:
    path = Path(shutil.copy(ROOT / "params.yaml", tmp_path))
    before = path.read_text().splitlines()
    apply_overrides(str(path), [override])
    changed = [(a, b) for a, b in zip(before, path.read_text().splitlines(), strict=True) if a != b]
    assert changed == [(old, new)]


def test_figures_of_the_readme_are_those_of_the_committed_run() -> None:
    figures = re.findall(
        r"\d+\.\d ± \d+\.\d|[+-]\d+\.\d \[[^]]*\]",
        " ".join((ROOT / "README.md").read_text().split()),
    )
    pages = "".join(
        path.read_text()
        for path in [ROOT / "reports/README.md", *ROOT.glob("reports/benchmarks/*/README.md")]
    )
    assert len(figures) >= 5
    assert not [figure for figure in figures if figure not in pages]


def test_source_files_stay_readable() -> None:
    for path in [*ROOT.glob("src/**/*.py"), *ROOT.glob("stages/*.py"), *ROOT.glob("bench/*.py")]:
        assert len(path.read_text().splitlines()) <= 300, path
