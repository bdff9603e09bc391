"""What README.md and docs/dvc.md show of DVC, in clones: each command ends with exit code 0."""

import csv
import io
import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from geomix.config.read import read_yaml

ROOT = Path(__file__).resolve().parent.parent
AUTHOR = ("-c", "user.name=test", "-c", "user.email=test@example.org")
WAIT = 1200  # seconds for a queued experiment, on a busy machine
GRID = "flows/data/dvc.yaml:preprocess@grid"
COPY = "flows/data/dvc.yaml:copy@folder"
PICTURE = b"no picture, which copying does not mind"
BACK = "git restore params.yaml &&"  # begins the command that ends an experiment
BY_LOCK = "git restore params.yaml dvc.lock reports &&"  # and the one for cells that were pulled
STUB = """\
import hashlib
import sys
from pathlib import Path

stage, given = Path(sys.argv[0]).stem, dict(zip(sys.argv[1::2], sys.argv[2::2], strict=True))
out, metrics = given.pop("--out"), given.pop("--metrics", None)
digest = hashlib.sha256(repr(given).encode())
for value in given.values():
    for path in sorted(Path(value).rglob("*")):
        digest.update(path.read_bytes() if path.is_file() else b"")
if stage == "train":
    digest.update(Path(".git/digits").read_bytes())
    Path(".git/trained").touch()
several = {"reports": "control.md control.png control.csv", "data/content": "checkpoints.json"}
files = [Path(out, name) for name in several.get(out, "README.md").split()]
for file in [*files, *([Path(metrics)] if metrics else [])]:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(f'"{digest.hexdigest()}"')
"""  # a stage that writes a hash of what it reads; training also has the last digits of a machine
ELSEWHERE = """\
  download@omniglot:
    cmd: python -m stages.download --dataset omniglot --out data/raw/omniglot
    outs:
    - path: data/raw/omniglot
      hash: md5
      md5: 0123456789abcdef0123456789abcdef.dir
      size: 3
      nfiles: 1
"""  # of the lock of a flow: a stage that was run on another machine alone


def call(folder: Path, *command: str) -> str:
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PATH": path}
    for role in ("AUTHOR", "COMMITTER"):  # DVC commits an experiment
        environment |= {f"GIT_{role}_NAME": "test", f"GIT_{role}_EMAIL": "test@example.org"}
    result = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


def commit(folder: Path) -> None:
    call(folder, "git", "add", "-A")
    call(folder, "git", *AUTHOR, "commit", "-q", "-m", "state")


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a clone of what is here, in which nothing was run."""
    folder = tmp_path_factory.mktemp("clone") / "geomix"
    listed = call(ROOT, "git", "ls-files", "--cached", "--others", "--exclude-standard")
    for name in listed.splitlines():
        if (ROOT / name).is_file() and Path(name).name != "dvc.lock":
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, folder / name)
    call(folder, "git", "init", "-q")
    commit(folder)
    return folder


@pytest.fixture
def restored(clone: Path) -> Iterator[Path]:
    """Return the clone, whose files are as committed again afterwards."""
    yield clone
    call(clone, "git", "checkout", "-q", "--", ".")


def test_experiments_run_here_and_in_the_queue(restored: Path) -> None:
    clone = restored
    call(clone, "dvc", "exp", "run", "-q", "-n", "warm", "-S", "tau=0.2", "check")
    assert read_yaml(clone / "params.yaml")["tau"] == 0.2
    call(clone, "dvc", "exp", "run", "-n", "warmer", "--queue", "-S", "tau=0.3", "check")
    call(clone, "dvc", "queue", "start")
    began = time.monotonic()
    while "Success" not in (status := call(clone, "dvc", "queue", "status")):
        assert "Failed" not in status
        assert time.monotonic() - began < WAIT, status
        time.sleep(2)
    assert read_yaml(clone / "params.yaml")["tau"] == 0.2  # the queue has a checkout of its own
    show = ("dvc", "exp", "show", "--only-changed", "--drop", ".*/", "--csv")
    rows = list(csv.DictReader(io.StringIO(call(clone, *show))))
    taus = {row["Experiment"]: row["tau"] for row in rows}
    assert (taus["warm"], taus["warmer"]) == ("0.2", "0.3")
    assert not [name for name in rows[0] if "/" in name]  # no column of code or data
    assert "epochs" not in rows[0]  # it is the same everywhere


def test_a_file_that_changed_in_a_folder_is_copied_again(restored: Path, tmp_path: Path) -> None:
    clone, own = restored, tmp_path / "own"
    for name in ("a", "b"):
        (own / name).mkdir(parents=True)
        (own / name / "1.png").write_bytes(PICTURE)
    params = clone / "params.yaml"
    text = params.read_text()
    params.write_text(text.replace("folder: {path: null", f"folder: {{path: {own}"))

    def list_run() -> list[str]:
        return re.findall(r"Running stage '(.+)'", call(clone, "dvc", "repro", COPY))

    assert list_run() == ["check", COPY]
    assert list_run() == ["check"]
    (own / "a/1.png").write_bytes(PICTURE)  # rewritten
    call(clone, "dvc", "repro", "-q", "check")
    assert "data/content/folder.json" in call(clone, "dvc", "status", COPY)
    assert list_run() == ["check", COPY]
    shutil.rmtree(own)  # as on the machine of a colleague
    assert list_run() == ["check"]


def test_params_metrics_and_plots_tell_what_changed(restored: Path) -> None:
    clone = restored
    params, metrics = clone / "params.yaml", clone / "reports/metrics.json"
    params.write_text(params.read_text().replace("\ntau: 0.1\n", "\ntau: 0.2\n"))
    content = json.loads(metrics.read_text())
    geometry = next(iter(content["tau"]))
    before = content["tau"][geometry]["test_recall_at_1"]
    content["tau"][geometry]["test_recall_at_1"] = before + 0.25
    metrics.write_text(json.dumps(content))
    changed = json.loads(call(clone, "dvc", "params", "diff", "--json"))
    assert changed["params.yaml"].keys() == {"tau"}
    assert [changed["params.yaml"]["tau"][side] for side in ("old", "new")] == [0.1, 0.2]
    [diff] = json.loads(call(clone, "dvc", "metrics", "diff", "--json")).values()
    assert diff[f"tau.{geometry}.test_recall_at_1"]["diff"] == pytest.approx(0.25)


def test_plots_have_a_line_for_each_geometry_and_need_no_network(restored: Path) -> None:
    clone = restored
    [plot, _] = read_yaml(clone / "dvc.yaml")["plots"]
    [source] = plot["tau"]["y"]
    source = source.replace("${dataset}", read_yaml(clone / "params.yaml")["dataset"])
    table = clone / source
    text = table.read_text()
    rows = list(csv.DictReader(io.StringIO(text)))
    table.write_text(text.replace(rows[0]["recall_at_1"], "0.123456", 1))
    call(clone, "dvc", "plots", "diff", "HEAD")
    page = (clone / "dvc_plots" / "index.html").read_text()
    # what it loads: nothing; the schema of vega is a name
    assert not re.findall(r"<(?:script|link|img)[^>]+(?:src|href)", page)
    specs = [json.loads(spec) for spec in re.findall(r"var spec = (\{.*\});", page)]
    [spec] = [one for one in specs if one["title"]["text"] == plot["tau"]["title"]]
    drawn = spec["data"]["values"]
    assert {row["geometry"] for row in drawn} == {row["geometry"] for row in rows}
    assert {row["split"] for row in drawn} == {"val", "test"}
    assert {row["rev"] for row in drawn} == {"HEAD", "workspace"}
    assert spec["facet"]["column"]["field"] == "split"
    encoding = spec["spec"]["encoding"]
    assert [encoding[name]["field"] for name in ("x", "y", "color", "strokeDash")] == [
        *("tau", "recall_at_1", "geometry", "rev"),
    ]
    assert "0.123456" in {row["recall_at_1"] for row in drawn}
    script = page.partition("<script>")[2].partition("</script>")[0]
    lines = {(row["geometry"], row["split"], row["rev"]) for row in drawn}
    draw_with_node(f"{script}\nconsole.log(draw({json.dumps(spec)}));\n", len(lines))


def draw_with_node(code: str, lines: int) -> None:
    """Draw a plot where there is a JavaScript to do it, and count its lines."""
    if not shutil.which("node"):
        return
    result = subprocess.run(["node", "-"], input=code, capture_output=True, text=True, check=True)
    assert result.stdout.count("<polyline") == lines
    assert "NaN" not in result.stdout


@pytest.fixture(scope="module")
def stubbed(clone: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a clone with stubs for stages and one cell of a kind, run and committed."""
    folder = tmp_path_factory.mktemp("stubbed") / "geomix"
    call(clone, "git", "clone", "-q", str(clone), str(folder))
    for path in (folder / "stages").glob("*.py"):
        path.write_text("" if path.stem == "__init__" else STUB)
    for path in (folder / "flows").iterdir():
        if path.name != "data":
            shutil.rmtree(path)
    params = read_yaml(folder / "params.yaml")
    for study in params["study"].values():
        study["run"]["geometries"] = study["run"]["geometries"][:1]
        study["over"] = {key: values[:1] for key, values in study.get("over", {}).items()}
    params["control"]["of"]["sets"] = ["tree"]
    with (folder / "params.yaml").open("w") as file:
        YAML().dump(params, file)
    (folder / ".git/digits").write_text("of the machine of the committed run")
    call(folder, "dvc", "repro", "-q")
    with (folder / "flows/data/dvc.lock").open("a") as file:
        file.write(ELSEWHERE)
    commit(folder)
    return folder


@pytest.fixture
def committed(stubbed: Path, tmp_path: Path) -> Path:
    """Return a copy of the clone that was run."""
    return Path(shutil.copytree(stubbed, tmp_path / "geomix", symlinks=True))


def find_line(page: Path, begin: str) -> str:
    """Return the line of a page that begins so."""
    lines = page.read_text(encoding="utf-8").splitlines()
    [found] = [line for line in lines if line.startswith(begin)]
    return found


def read_made(folder: Path) -> dict[Path, bytes | None]:
    """Return all that stages write: the content of files, None for folders."""
    names = ("data", "runs", "results", "reports")
    paths = [folder / "dvc.lock", *(path for name in names for path in (folder / name).rglob("*"))]
    return {path: path.read_bytes() if path.is_file() else None for path in paths}


def try_and_go_back(folder: Path, command: str) -> None:
    """Run the experiment of the README, then the command that ends it, which trains nothing."""
    before = read_made(folder)
    call(folder, "dvc", "exp", "run", "-q", "-S", "tau=0.2")
    changed = call(folder, "git", "diff", "--name-only").split()
    pages = {"reports/glyphs/compare/README.md", "reports/metrics.json"}
    assert {"dvc.lock", "params.yaml", *pages} <= set(changed)
    assert read_made(folder) != before
    (folder / ".git/trained").unlink()
    call(folder, "bash", "-c", command)
    assert not (folder / ".git/trained").exists()
    assert read_yaml(folder / "params.yaml")["tau"] == 0.1
    assert read_made(folder) == before  # with no empty folder of what was never run here


def test_the_command_of_the_readme_goes_back_to_the_committed_run(committed: Path) -> None:
    command = find_line(ROOT / "README.md", BACK)
    assert command.partition("#")[0].rstrip() == find_line(ROOT / "docs/dvc.md", BACK)
    try_and_go_back(committed, command)
    assert not call(committed, "git", "status", "--porcelain")


def test_it_goes_back_to_the_own_run_where_the_committed_one_has_other_digits(
    committed: Path,
) -> None:
    lock = (committed / "dvc.lock").read_bytes()
    for name in ("data", "runs", "results", ".dvc/cache", ".dvc/tmp"):  # a clone on this machine
        shutil.rmtree(committed / name)
    (committed / ".git/digits").write_text("of this machine")
    call(committed, "dvc", "repro", "-q", "dvc.yaml")
    assert (committed / "dvc.lock").read_bytes() != lock
    try_and_go_back(committed, find_line(ROOT / "README.md", BACK))


def test_cells_that_were_pulled_come_back_by_the_committed_lock(committed: Path) -> None:
    shutil.rmtree(committed / ".dvc/cache/runs")  # which `dvc pull` does not bring
    try_and_go_back(committed, find_line(ROOT / "docs/dvc.md", BY_LOCK))
    assert not call(committed, "git", "status", "--porcelain")


def test_what_one_clone_pushed_another_pulls(restored: Path, tmp_path: Path) -> None:
    clone, other = restored, tmp_path / "other"
    call(clone, "dvc", "remote", "add", "-f", "-d", "box", str(tmp_path / "box"))
    call(clone, "dvc", "repro", "-q", GRID)
    call(clone, "dvc", "push", GRID)
    commit(clone)
    call(tmp_path, "git", "clone", "-q", str(clone), str(other))
    call(other, "dvc", "pull", GRID)
    for name in ("vectors.npy", "samples.csv", "card.json"):
        place = Path("data/packed/grid") / name
        assert (other / place).read_bytes() == (clone / place).read_bytes()
