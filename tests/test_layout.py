"""dvc.yaml tells the truth: code and params of a stage are those it reads, dvc.lock is of them."""

import ast
import json
import re
import shutil
import subprocess
import sys
from functools import cache
from itertools import product
from pathlib import Path
from typing import Any, get_args

import pytest
from dvc.repo import Repo
from dvc.utils.hydra import apply_overrides
from ruamel.yaml import YAML

from bench.page import PAGE, RESULTS, TABLES, write_page
from geomix.config import stages as parts
from geomix.config.base import Dataset
from geomix.config.read import KIND, load, read_yaml
from geomix.config.stages import StudyParams
from geomix.config.tuning import ROUNDS

ROOT = Path(__file__).resolve().parent.parent
FLOWS = {
    "": ROOT / "dvc.yaml",
    **{
        str(path.parent.relative_to(ROOT / "flows")): path
        for path in ROOT.glob("flows/**/dvc.yaml")
    },
}
TUNED = set(ROOT.glob("flows/tune/*/dvc.yaml"))  # a data set each, copies of one flow
STAGES: dict[str, dict[str, Any]] = {
    f"{flow}: {name}".removeprefix(": "): {**stage, **stage.get("do", {})}
    for flow, path in [*FLOWS.items(), ("tune", ROOT / "flows/tune/flow.yaml")]
    if path not in TUNED
    for name, stage in read_yaml(ROOT / path)["stages"].items()
}
# What changes no result: types of params, names for users, the class of errors, the shells' parser.
FREE = (
    "src/geomix/config/",
    "src/geomix/__init__.py",
    "src/geomix/errors.py",
    "src/geomix/progress.py",
    "stages/__init__.py",
)
PLACES = {"download", "machine"}  # where files are looked for, and what computes: no result changes
# Found by name: that of params.yaml, or where all data sets of a stage have the same, this one.
LAZY = re.compile(r"src/geomix/(datasets|negatives|regularisers)/(\$\{.*\}|uniform|none)\.py")
ROOMS = (  # from below; a room imports itself and those in rows below its own
    {"errors", "progress"},
    {"files"},
    {"config"},
    {"geometry", "data"},
    {"losses", "network", "retrieval"},
    {"negatives", "regularisers", "datasets"},
    {"download", "preprocess", "features", "train", "tune", "evaluate", "report"},
    {"analyze"},  # takes from evaluate how cells are read, and how negatives are weighed
    {"library"},  # no stage needs it
)


def module_files(name: str) -> list[Path]:
    """Return the files that importing a module runs: its own and those of its packages."""
    parts = name.split(".")
    base = ROOT if parts[0] == "stages" else ROOT / "src"
    packages = [base.joinpath(*parts[:count], "__init__.py") for count in range(1, len(parts) + 1)]
    own = base.joinpath(*parts).with_suffix(".py")
    return [path for path in (*packages, own) if path.is_file()]


@cache
def imported_names(path: Path) -> frozenset[str]:
    """Return the modules that a file imports, wherever in it the import stands."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
        elif isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
    return frozenset(name for name in names if name.split(".")[0] in ("geomix", "stages"))


@cache
def is_docstring(path: Path) -> bool:
    """Say whether a file is nothing but a docstring."""
    body = ast.parse(path.read_text(encoding="utf-8")).body
    return all(isinstance(node, ast.Expr) for node in body)


def code_of(files: list[Path]) -> set[str]:
    """Return every file of this project that some files run, but docstrings and types of params."""
    found: set[Path] = set()
    left = list(files)
    while left:
        path = left.pop()
        if path not in found:
            found.add(path)
            left += [file for name in imported_names(path) for file in module_files(name)]
    code = {str(path.relative_to(ROOT)) for path in found if not is_docstring(path)}
    return {path for path in code if not path.startswith(FREE)}


def module_of(stage: dict[str, Any]) -> str:
    match = re.match(r"python -m (stages\.\w+)", stage["cmd"])
    assert match, stage["cmd"]
    return match.group(1)


@pytest.mark.parametrize("name", STAGES)
def test_a_stage_lists_exactly_the_code_it_runs(name: str) -> None:
    deps = {dep for dep in STAGES[name]["deps"] if dep.startswith(("src/", "stages/"))}
    if name == "check":
        assert "src/geomix/config" in deps
    module = module_of(STAGES[name])
    code = code_of(module_files(module))
    named = {dep for dep in deps if LAZY.match(dep) or dep == "src/geomix/config"}
    # a file that several of those found by name share, such as datasets/letters.py
    rooms = {f"{Path(dep).parent}" for dep in deps if LAZY.match(dep)}
    shared = code_of([path for room in rooms for path in (ROOT / room).glob("*.py")])
    if module == "stages.settle":  # it hashes these
        named |= {"src/geomix/negatives", "src/geomix/regularisers"}
    covered = {
        file: {dep for dep in deps if file == dep or file.startswith(f"{dep}/")} for file in code
    }
    assert not [file for file, by in covered.items() if not by], "read but not listed"
    read = {dep for by in covered.values() for dep in by} | shared
    assert not deps - named - read, "listed, not read"


@pytest.mark.parametrize("room", ["datasets", "negatives", "regularisers"])
def test_what_is_found_by_name_needs_no_code_that_its_stages_do_not_list(room: str) -> None:
    named = f"src/geomix/{room}/$"
    users = [s["deps"] for s in STAGES.values() if any(d.startswith(named) for d in s["deps"])]
    assert users
    for path in (ROOT / "src/geomix" / room).glob("*.py"):
        for deps in users:
            shared = {f"src/geomix/{room}/{path.name}"} | set(deps)
            missing = [
                file
                for file in code_of([path])
                if not any(file == dep or file.startswith(f"{dep}/") for dep in shared)
            ]
            assert not missing, (path.name, missing)


def parts_read(stage: dict[str, Any]) -> set[str]:
    """Return the keys of params.yaml that a stage asks for, by the fields of its typed part."""
    path = ROOT / f"{module_of(stage).replace('.', '/')}.py"
    tree = ast.parse(path.read_text(encoding="utf-8"))
    names = {
        ast.unparse(node.args[0])
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "load" and node.args
    }
    return {key for name in names for key in getattr(parts, name).model_fields}


def given_by_all(section: str) -> set[str]:
    """Return the keys of params.yaml that all data sets of a section set as a whole.

    A section is set as a whole by its kind, or by all of its fields.
    """

    def whole(key: str, value: Any) -> bool:
        """Say whether nothing of what stands at the top is left under a key."""
        if not isinstance(value, dict):
            return True
        fields = getattr(parts.CellParams.model_fields[key].annotation, "model_fields", {})
        return {*value} == {*fields} or (key != "backbone" and bool(KIND & value.keys()))

    sets = read_yaml(ROOT / "params.yaml")[section]["own"].values()
    given = [{key for key, value in own.items() if whole(key, value)} for own in sets]
    return set.intersection(*given)


def test_params_that_every_data_set_of_the_calibration_sets_are_not_listed() -> None:
    assert not given_by_all("control") & {*STAGES["control"]["params"]}
    assert given_by_all("control") >= {"epochs", "loss", "relevance", "labels", "crop"}
    own = read_yaml(ROOT / "params.yaml")["control"]["own"]
    for section, kind in (("negatives", "rule"), ("regulariser", "name")):
        names = {one[section][kind] for one in own.values()}
        folder = f"src/geomix/{section.removesuffix('s')}s"
        assert {f"{folder}/{name}.py" for name in names} == {
            dep for dep in STAGES["control"]["deps"] if dep.startswith(f"{folder}/")
        }


def asked_of(dataset: str) -> set[str]:
    """Return the keys that the module of a data set asks for when its raw files are written."""
    source = (ROOT / f"src/geomix/datasets/{dataset}.py").read_text(encoding="utf-8")
    return {key for key in parts.DownloadParams.model_fields if f"params.{key}" in source}


@pytest.mark.parametrize("name", [name for name in STAGES if name != "check"])
def test_a_stage_lists_exactly_the_params_it_reads(name: str) -> None:
    stage = STAGES[name]
    if module_of(stage) == "stages.download":
        listed_of = {"${item}"} & {*stage.get("params", [])}
        for dataset in stage["foreach"]:
            assert asked_of(dataset) == {key.replace("${item}", dataset) for key in listed_of}
        return
    listed = {str(key) for key in stage.get("params", [])}
    study = re.search(r"--study (\S+)", stage["cmd"])
    read = parts_read(stage) - PLACES
    if module_of(stage) == "stages.train":  # only with --study
        read -= set(StudyParams.model_fields)
    if study:  # of what is run it reads one entry
        read -= set(StudyParams.model_fields)
        listed = {key for key in listed if key.split(".")[0] != study[1].split(".")[0]}
        read -= given_by_all("control") if name == "control" else set()
    own = {key for key in listed if ".own." in key or key.endswith(".pinned")}
    assert {key.split(".")[0] for key in listed - own} == read
    source = ROOT / f"{module_of(stage).replace('.', '/')}.py"
    lays = "--own" in stage["cmd"] or "own=f" in source.read_text()
    assert bool(own) == (lays and not study and "tune" not in listed)


@pytest.mark.parametrize("module", sorted({module_of(stage) for stage in STAGES.values()}))
def test_a_stage_imports_torch_only_after_params_are_valid(module: str) -> None:
    tree = ast.parse((ROOT / f"{module.replace('.', '/')}.py").read_text())
    early = {node.module or "" for node in tree.body if isinstance(node, ast.ImportFrom)}
    allowed = {"stages", "argparse", "pathlib", "geomix.errors"}
    assert {name for name in early if not name.startswith("geomix.config")} <= allowed


@pytest.mark.parametrize("path", sorted((ROOT / "src/geomix").rglob("*.py")), ids=str)
def test_imports_point_downwards(path: Path) -> None:
    def row(room: str) -> int:
        return next(number for number, rooms in enumerate(ROOMS) if room in rooms)

    place = path.relative_to(ROOT / "src/geomix")
    own = place.parts[0].removesuffix(".py")
    if own == "__init__":
        return
    for name in imported_names(path):
        room = [*name.split("."), ""][1]
        if any(room in rooms for rooms in ROOMS):
            assert room == own or row(room) < row(own), f"{place}: {name}"


def test_modules_do_not_import_each_other_in_a_circle() -> None:
    files: dict[Path, set[Path]] = {path: set() for path in (ROOT / "src/geomix").rglob("*.py")}
    for path in files:
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("geomix."):
                names = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
                files[path] |= {f for n in names for f in module_files(str(n))[-1:]} - {path}
    while leaves := [path for path, needs in files.items() if not needs & files.keys()]:
        for path in leaves:
            del files[path]
    assert not files


def test_no_parameter_has_a_name_that_dvc_ignores() -> None:
    keys = re.findall(r"(\w+):", (ROOT / "params.yaml").read_text())
    assert not {"size", "nfiles"} & set(keys)


def test_params_yaml_is_short_enough_to_read() -> None:
    assert len((ROOT / "params.yaml").read_text().splitlines()) <= 495


def test_pages_are_in_git_and_survive_a_failing_report() -> None:
    for name, stage in STAGES.items():
        for out in stage.get("outs", []):
            path, settings = next(iter(out.items())) if isinstance(out, dict) else (out, {})
            kept = {"cache": False, "persist": True} if path.startswith("reports/") else {}
            kept = {"persist": True} if path == "data/content" else kept  # what is known stays
            assert settings == kept, (name, path)


@cache
def outs() -> frozenset[str]:
    """Return what the stages of all dvc.yaml write, relative to the root."""
    with Repo(str(ROOT)) as repo:
        return frozenset(str(Path(out.fspath).relative_to(ROOT)) for out in repo.index.outs)


def below(folder: str) -> set[str]:
    return {path.removeprefix(f"{folder}/") for path in outs() if path.startswith(f"{folder}/")}


def test_evaluate_names_the_cells_that_train_writes() -> None:
    params = load(StudyParams, path=ROOT / "params.yaml")
    dataset = read_yaml(ROOT / "params.yaml")["dataset"]
    for name, study in params.study.items():
        assert {cell.rpartition("/")[0] for cell in study.cells()} == below(
            f"runs/{dataset}/{name}"
        )
    for name, study in params.further.items():
        assert {cell.rpartition("/")[0] for cell in study.cells()} == below(
            f"runs/{dataset}/{name}"
        )
    for dataset in params.kernel.of.sets:
        expected = {cell.rpartition("/")[0] for cell in params.kernel.cells()}
        assert below(f"runs/{dataset}/kernel") == expected
    for dataset in params.tune.of.sets:
        assert below(f"runs/{dataset}/tune_winners") == set(params.tune.geometries)


def test_trials_lie_where_the_next_round_looks_for_them() -> None:
    tuned = load(StudyParams, path=ROOT / "params.yaml").tune
    assert below("data/folds") == below("data/splits") == set(tuned.of.sets)
    rounds = [str(number + 1) for number in range(ROUNDS)]
    for dataset in tuned.of.sets:
        expected = set(map("-".join, product(tuned.geometries, rounds)))
        assert below(f"runs/{dataset}/tune") == expected
        settings = product(tuned.geometries, [*rounds, "winner"])
        assert below(f"runs/{dataset}/tune_settings") == set(map("/".join, settings))


def test_cells_of_systems_are_evaluated_where_they_are_written(tmp_path: Path) -> None:
    params = load(StudyParams, path=ROOT / "params.yaml")
    dataset, systems = read_yaml(ROOT / "params.yaml")["dataset"], params.systems
    for name in systems.listed:
        (tmp_path / "settings" / name).mkdir(parents=True)
        (tmp_path / "settings" / name / "given.json").touch()
    published = {cell.split("/")[0] for cell in systems.cells(tmp_path)}
    assert published == below(f"runs/{dataset}/systems")
    winners = {cell.split("/")[0] for cell in systems.tuned.cells(tmp_path)}
    assert winners == below(f"runs/{dataset}/systems_winners")


def test_every_data_set_can_be_made_by_its_flow() -> None:
    assert below("data/packed") == set(get_args(Dataset))


def test_no_stage_of_the_default_flow_needs_what_another_flow_makes() -> None:
    flows = [name for name in FLOWS if name not in ("", "data")]
    made = [
        str(next(iter(out)) if isinstance(out, dict) else out)
        for name, stage in STAGES.items()
        if name.split(":")[0] in flows
        for out in stage["outs"]
    ]
    needed = {dep for name, stage in STAGES.items() if ":" not in name for dep in stage["deps"]}
    assert not [(dep, out) for dep in needed for out in made if f"{out}/".startswith(f"{dep}/")]


def test_dvc_lock_is_of_this_code_and_these_params() -> None:
    targets = [str(path) for path in FLOWS.values()]
    command = [sys.executable, "-m", "dvc", "status", "--json", *targets]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    locked = {
        f"{flow and f'flows/{flow}/dvc.yaml:'}{name}"
        for flow, path in FLOWS.items()
        for name in locked_stages(ROOT / path)
    }
    changes = []
    for stage, entries in json.loads(result.stdout).items():
        for entry in entries if stage in locked else []:
            for kind, items in entry.items() if isinstance(entry, dict) else [(entry, {})]:
                if (stage, kind) == ("check", "always changed"):
                    continue
                kept = {path: what for path, what in items.items() if not made_here(path)}
                if kept or not items:
                    changes.append((stage, kind, kept))
    assert not changes


def test_data_sets_are_tuned_by_one_flow() -> None:
    assert len(TUNED) >= 7
    for path in TUNED:
        # DVC follows no link in a Git revision, and would show no metrics of it.
        assert not path.is_symlink()
        assert path.read_bytes() == (ROOT / "flows/tune/flow.yaml").read_bytes()
        assert read_yaml(path.with_name("set.yaml")) == {"set": path.parent.name}


def test_dvc_reads_the_metrics_of_a_revision() -> None:
    with Repo(str(ROOT)) as repo:
        committed = repo.metrics.show(revs=["HEAD"])["HEAD"]
    assert committed["data"]["reports/metrics.json"]["data"]


def locked_stages(path: Path) -> set[str]:
    """Return the stages of a flow that were run here or by those who committed it."""
    lock = path.with_name("dvc.lock")
    return set(read_yaml(lock)["stages"]) if lock.is_file() else set()


def made_here(path: str) -> bool:
    """Say whether a run on this machine decides what is there, whose digits may be others.

    Results are in no clone; pages count where they differ from the committed ones.
    """
    if path.startswith(("data/", "runs/", "results/")):
        return True
    command = ["git", "status", "--porcelain", "--", path]
    changed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return path.startswith("reports/") and bool(changed)


def test_committed_locks_agree_on_what_one_stage_makes_and_another_uses() -> None:
    made: dict[str, str] = {}
    used = []
    for flow, path in FLOWS.items():
        lock = f"HEAD:{path.relative_to(ROOT).with_name('dvc.lock')}"
        command = ["git", "show", lock]
        result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
        if result.returncode:
            continue  # never run
        for name, stage in YAML(typ="safe").load(result.stdout)["stages"].items():
            made |= {out["path"]: out["md5"] for out in stage.get("outs", [])}
            used += [(flow, name, dep["path"], dep["md5"]) for dep in stage.get("deps", [])]
    shared = [one for one in used if one[2] in made]
    assert len(shared) >= 1000
    assert not [one for one in shared if one[3] != made[one[2]]]


def test_a_flow_that_was_run_is_locked_as_a_whole() -> None:
    with Repo(str(ROOT)) as repo:
        names = {stage.addressing for stage in repo.index.stages}
    for flow, path in FLOWS.items():
        locked = locked_stages(ROOT / path)
        prefix = "" if not flow else f"flows/{flow}/dvc.yaml:"
        own = {name.removeprefix(prefix) for name in names if name.startswith(prefix)}
        own = {name for name in own if prefix or not name.startswith("flows/")}
        if flow == "data":
            assert locked <= own
        elif flow == "further":  # each study may wait for its first run
            parts = {part_of(name) for name in locked}
            assert locked == {name for name in own if part_of(name) in parts}
        elif locked or not flow:  # others may wait for their first run
            assert locked == own


def part_of(stage: str) -> str:
    """Return the data set of a stage such as trials@glyphs-dot-1, or the study of a cell."""
    further = load(StudyParams, path=ROOT / "params.yaml").further
    name, _, item = stage.partition("@")
    return name if name in further else item.partition("-")[0]


def test_every_page_is_in_git_and_nothing_else_is() -> None:
    command = ["git", "ls-files", "reports"]
    found = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    made = [path for path in outs() if path.startswith("reports/")]
    speed = [f"{PAGE}/README.md", f"{PAGE}/growth.png"]
    for path in found.split():
        known = path in speed or any(path == out or path.startswith(f"{out}/") for out in made)
        assert known, path


@pytest.mark.parametrize("path", sorted((ROOT / "reports").rglob("*.md")), ids=str)
def test_a_page_begins_with_an_answer_of_at_most_30_words(path: Path) -> None:
    answer = path.read_text(encoding="utf-8").splitlines()[2]
    assert answer.startswith("**")
    assert len(answer.split()) <= 30


def test_the_page_of_speed_is_made_of_the_committed_csvs(tmp_path: Path) -> None:
    shutil.copytree(ROOT / RESULTS, tmp_path / RESULTS)
    write_page(tmp_path)
    page = f"{PAGE}/README.md"
    assert (tmp_path / page).read_text() == (ROOT / page).read_text()
    # The page says which of these were not measured.
    assert {path.stem for path in (ROOT / RESULTS).glob("*.csv")} <= {*TABLES, "systems"}


@pytest.mark.parametrize(
    ("override", "old", "new"),
    [
        ("tau=0.2", "tau: 0.1", "tau: 0.2"),
        ("report.queries=7", "report: {queries: 6", "report: {queries: 7"),
        (
            "study.curvature.run.seeds=[0,3]",
            "hybrid_free], seeds: [0]}",
            "hybrid_free], seeds: [0, 3]}",
        ),
    ],
)
def test_params_yaml_survives_an_experiment(
    tmp_path: Path, override: str, old: str, new: str
) -> None:
    path = Path(shutil.copy(ROOT / "params.yaml", tmp_path))
    before = path.read_text().splitlines()
    apply_overrides(str(path), [override])
    after = path.read_text().splitlines()
    changed = [(a, b) for a, b in zip(before, after, strict=True) if a != b]
    assert len(changed) == 1
    assert changed[0][0].replace(old, new) == changed[0][1]


def committed(pattern: str) -> str:
    """Return the committed text of files; on another processor, a run changes pages."""
    command = ["git", "grep", "--no-color", "-h", "-e", "", "HEAD", "--", pattern]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout


def test_figures_of_the_readme_are_those_of_the_committed_run() -> None:
    text = " ".join(committed("README.md").split())
    figures = re.findall(r"\d+\.\d ± \d+\.\d|[+-]\d+\.\d \[[^]]*\]", text)
    pages = committed("reports/*.md")
    assert len(figures) >= 5
    assert not [figure for figure in figures if figure not in pages]
