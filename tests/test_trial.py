"""A trial by `dvc repro`, on a tiny setting: features, a head, the verdict and the page."""

import json
import re
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ruamel.yaml import YAML

from tests.test_pipeline import ROOT, copy_checkout, edited, repro, run

DATA, TUNE, TRIAL = (f"flows/{name}/dvc.yaml" for name in ("data", "tune/features", "trial"))
TINY: dict[str, Any] = {
    "device": "cpu",
    "features": {
        "dataset": "tree_images",
        "batch": 32,
        "device": "cpu",
        "centre": 1,
        "backbone": {
            "name": "vit_tiny_patch16_224",
            "pretrained": False,
            "checkpoint": None,
            "side": None,
            "patch": 8,
            "width": 16,
            "depth": 1,
            "heads": 2,
        },
    },
    "tune": {
        "of": {"sets": ["features"]},
        "geometries": ["euclidean"],
        "budget": {"features": {"trials": 2, "folds": 1, "seeds": ["10"], "splits": []}},
        "own": {"features": {"epochs": 1, "backbone": {"name": "mlp"}}},
    },
    "baselines": {"seeds": ["0"]},
}


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a checkout with tiny settings, in which nothing ran."""
    folder = copy_checkout(tmp_path_factory.mktemp("trial") / "geomix")
    yaml = YAML()
    yaml.width = 10**6
    content = yaml.load((folder / "params.yaml").read_text())
    for section, settings in TINY.items():
        if isinstance(settings, dict):
            content[section].update(settings)
        else:
            content[section] = settings
    with (folder / "params.yaml").open("w") as file:
        yaml.dump(content, file)
    return folder


def test_a_trial_runs_from_pictures_to_advice(clone: Path) -> None:
    sets = ("tree_images", "features")
    executed = repro(clone, *(f"{DATA}:page@{name}" for name in sets))
    made = {f"{DATA}:{stage}@{name}" for stage in ("preprocess", "page") for name in sets}
    assert executed == made | {f"{DATA}:download@tree_images", f"{DATA}:features"}
    facts = json.loads((clone / "data/raw/features/manifest.json").read_text())
    assert (facts["of"], facts["dimensions"]) == ("tree_images", 16)

    repro(clone, *(f"{TUNE}:{name}" for name in ("evaluate", "evaluate_baselines")))
    verdict, trial = f"{TUNE}:verdict", f"{TRIAL}:trial"
    assert repro(clone, "-s", verdict) == {verdict}
    assert repro(clone, "-s", trial) == {trial}
    page = (clone / "reports/features/trial/README.md").read_text()
    assert re.match(r"\*\*(Not decidable|Stay with cosine|Not calibrated)", page.splitlines()[2])
    assert "nan" not in page.partition("<details>")[0]

    before = np.load(clone / "data/raw/features/vectors.npy")
    parts = {path: path.stat().st_mtime_ns for path in (clone / "data/parts").rglob("*.npy")}
    assert parts
    with edited(clone / "params.yaml", r"^split: \{seed: 0", "split: {seed: 1"):
        assert f"{DATA}:features" in repro(clone, f"{DATA}:preprocess@features")
    assert np.array_equal(np.load(clone / "data/raw/features/vectors.npy"), before)
    assert parts == {path: path.stat().st_mtime_ns for path in parts}


def test_make_trial_leaves_the_default_flow_and_other_sets_alone() -> None:
    listed = run(ROOT, "make", "-n", "-o", "install", "trial").stdout
    targets = set(re.findall(r"flows/[\w/]+/dvc\.yaml:[\w@]+", listed))
    assert f"{TUNE}:verdict" in targets
    assert f"{TRIAL}:trial" in targets
    assert not {name for name in targets if name.startswith("flows/tune/") and TUNE not in name}
    assert re.search(r"dvc repro -s [^\n]*tune/features/dvc.yaml:verdict", listed)
    for target in ("datasets", "lineage"):
        assert "features" not in run(ROOT, "make", "-n", "-o", "install", target).stdout


@pytest.mark.parametrize(
    ("sets", "found"),
    [("", "nothing"), ("cub200", "cub200"), ("glyphs cub200", "cub200"), ("glyphs omniglot", "")],
)
def test_make_refuses_what_is_not_tuned_before_it_makes_anything(sets: str, found: str) -> None:
    # Under make, another make would first print its directory.
    command = ("make", "--no-print-directory", "-n", "-o", "install", "lineage")
    lines = run(ROOT, *command, f"SETS={sets}", f"VENV={sys.prefix}").stdout.splitlines()
    assert [line.split()[0] for line in lines[:4]] == ["python", "for", "for", "dvc"]
    refused = run(ROOT, "env", "LC_ALL=C", "bash", "-c", lines[1])
    line = f"make lineage: found {found}, expected data sets of tune.of.sets\n" if found else ""
    assert (refused.stderr, refused.returncode) == (line, bool(found))


def test_a_data_set_of_ones_own_gets_a_copy_of_the_flow_and_its_name(tmp_path: Path) -> None:
    listed = run(ROOT, "make", "-n", "-o", "install", "tune", "SETS=folder").stdout
    [made] = [line for line in listed.splitlines() if line.startswith("for set in folder; do at=")]
    (tmp_path / "flows/tune").mkdir(parents=True)
    for flow in ("first", "edited"):
        (tmp_path / "flows/tune/flow.yaml").write_text(flow)
        assert run(tmp_path, "bash", "-c", made).returncode == 0
        own = tmp_path / "flows/tune/folder"
        assert (own / "dvc.yaml").read_text() == flow
        assert (own / "set.yaml").read_text() == "set: folder\n"
    assert "flows/tune/folder/dvc.yaml:divide" in listed
