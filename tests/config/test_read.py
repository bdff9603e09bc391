"""params.yaml: every mistake at once, each with key, value and what was expected."""

import json
import math
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from dvc.utils.serialize import load_yaml

from geomix.config.read import load, read_yaml, validate
from geomix.errors import InputError
from tests.conftest import set_key


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("tau", -1, "tau: found -1, expected greater than 0"),
        ("tau", "abc", "tau: found 'abc', expected a valid number"),
        ("tau", math.inf, "tau: found inf, expected a finite number"),
        ("images.form", "raw", "images.form: found 'raw', expected 'auto', 'decoded' or 'encoded'"),
        (
            "backbone.pretrained",
            "yes",
            "backbone.pretrained: found 'yes', expected a valid boolean",
        ),
        ("labels", "none", "labels: found 'none', expected 'given' or 'hidden'"),
        ("crop.area", 0, "crop.area: found 0, expected greater than 0"),
        ("lam", True, "lam: found True, expected a valid number"),
        ("epochs", 2.5, "epochs: found 2.5, expected a valid integer"),
        ("dataset", "cub", "dataset: found 'cub', expected 'glyphs'"),
        ("unheard_of", 1, "unheard_of: found an unknown key, expected no key of this name"),
        ("optim.momentum", 1, "optim.momentum: found an unknown key"),
        ("size", 3, "size: found a parameter of this name, expected another"),
        ("augment.nfiles", 3, "augment.nfiles: found a parameter of this name"),
        (
            "split.test",
            0.9,
            "split: found .*, expected at most 1 for train \\+ val \\+ test, not 1.525",
        ),
        ("backbone.heads", 5, "backbone: found .*, expected a width that its heads divide"),
        (
            "geometry.hybrid.distance.weight",
            "x",
            "geometry.hybrid.distance.weight: found 'x', expected a valid number or 'lam'",
        ),
        (
            "geometry.flat.distance.learn_weight",
            "yes",
            "geometry.flat.distance.learn_weight: found .*, expected .*boolean",
        ),
        (
            "geometry.flat.distance.space",
            "torus",
            "geometry.flat.distance: found .*, expected space: 'sphere', 'flat' or 'ball'",
        ),
        (
            "negatives.rule",
            "easy",
            "negatives: found .*, expected rule: 'uniform', 'hard', .* or 'doubly_contrastive'",
        ),
        (
            "negatives",
            {"rule": "hard", "beta": -1, "tau_plus": 0},
            "negatives.beta: found -1, expected greater than or equal",
        ),
        (
            "negatives",
            {"rule": "bayesian", "alpha": 0, "beta": 1, "tau_plus": 0},
            "negatives.alpha: found 0, expected greater",
        ),
        (
            "negatives",
            {"rule": "limited", "count": 0},
            "negatives.count: found 0, expected greater",
        ),
        (
            "negatives",
            {"rule": "mixed_importance", "similarity": 0.5, "uncertainty": 0.5, "distance": 0.2},
            "negatives: found .*, expected at most 1 for similarity \\+ uncertainty \\+ distance, not 1.2",
        ),
        (
            "system.flat.settings.size",
            1,
            "system.flat.settings.size: found a parameter of this name",
        ),
        (
            "ensemble.weights",
            [0.5, 1.5],
            "ensemble.weights.1: found 1.5, expected less than or equal to 1",
        ),
        ("sweep.tau.values", [0.1, 0], "sweep.tau.values.1: found 0, expected greater than 0"),
    ],
)
def test_a_mistake_is_told_with_key_value_and_expectation(
    raw: dict[str, Any], key: str, value: Any, message: str
) -> None:
    set_key(raw, key, value)
    with pytest.raises(InputError, match=message) as caught:
        validate(raw)
    assert len(str(caught.value).splitlines()) == 1


def test_sections_of_a_system_stand_in_for_those_at_the_top_unless_they_are_null(
    root: Path,
) -> None:
    found = load(
        "loss",
        "labels",
        instead="system.supervised_contrastive.settings",
        path=root / "params.yaml",
    )
    assert found == {"loss": {"name": "supervised_contrastive"}, "labels": "given"}
    assert load("labels", instead="system.infonce.settings", path=root / "params.yaml") == {
        "labels": "hidden"
    }


def test_augment_of_a_system_stands_in_for_that_at_the_top(
    raw: dict[str, Any], tmp_path: Path
) -> None:
    path = tmp_path / "params.yaml"
    own = raw["augment"] | {"noise": 0.5}
    raw["system"]["hcl"]["settings"]["augment"] = own
    path.write_text(json.dumps(raw))
    found = load("batch", "augment", instead="system.hcl.settings", path=path)
    assert found == {"batch": raw["batch"], "augment": own}


def test_equal_views_are_refused_where_the_system_that_has_them_is_used(
    raw: dict[str, Any], tmp_path: Path
) -> None:
    path = tmp_path / "params.yaml"
    path.write_text(json.dumps(raw | {"augment": dict.fromkeys(raw["augment"], 0)}))
    assert load("labels", instead="system.hcl.settings", path=path) == {"labels": "given"}
    with pytest.raises(InputError) as caught:
        load("labels", instead="system.infonce.settings", path=path)
    (line,) = str(caught.value).splitlines()
    assert line.startswith("params.yaml: augment: found no change")
    assert line.endswith("as labels are hidden in system.infonce.settings")


def test_a_setting_among_the_words_of_a_system_is_refused(raw: dict[str, Any]) -> None:
    raw["system"]["hcl"]["tau"] = raw["system"]["hcl"]["settings"].pop("tau")
    with pytest.raises(InputError) as caught:
        validate(raw)
    assert str(caught.value).splitlines() == [
        "params.yaml: system.hcl.settings.tau: found nothing, expected a value",
        "params.yaml: system.hcl.tau: found an unknown key, expected no key of this name",
    ]


def test_all_mistakes_are_told_at_once(raw: dict[str, Any]) -> None:
    set_key(raw, "tau", -1)
    set_key(raw, "batch.classes", 1)
    del raw["optim"]
    with pytest.raises(InputError) as caught:
        validate(raw)
    keys = [
        re.match(r"params\.yaml: (\S+): ", line).group(1) for line in str(caught.value).splitlines()
    ]  # type: ignore[union-attr]
    assert sorted(keys) == ["batch.classes", "optim", "tau"]


@pytest.mark.parametrize("content", [None, [1], "text"])
def test_a_file_that_is_no_mapping_is_refused(content: Any) -> None:
    with pytest.raises(InputError, match="expected a mapping"):
        validate(content)


def test_only_the_keys_asked_for_are_handed_out(root: Path) -> None:
    found = load("epochs", "geometry.hybrid", path=root / "params.yaml")
    assert list(found) == ["epochs", "geometry.hybrid"]
    assert found["geometry.hybrid"]["cosine"] == {
        "space": "sphere",
        "weight": 1,
        "learn_weight": False,
        "columns": None,
    }


def test_an_unknown_geometry_is_refused_with_those_there_are(root: Path) -> None:
    with pytest.raises(InputError, match="geometry.round: not there; known here: euclidean, flat"):
        load("geometry.round", path=root / "params.yaml")


def test_numbers_stay_as_written(raw: dict[str, Any]) -> None:
    set_key(raw, "sweep.tau.values", [1, 2.0, 1e-3])
    assert [repr(value) for value in validate(raw).sweep.tau.values] == ["1", "2.0", "0.001"]


def test_numbers_are_read_as_dvc_reads_them(tmp_path: Path) -> None:
    path = tmp_path / "numbers.yaml"
    path.write_text(
        "a: 1e-3\nb: 010\nc: .5\nd: 1.\ne: -2E+4\nf: yes\ng: .inf\nh: 12:30:45\ni: true\nj: -7\n"
    )
    ours, theirs = read_yaml(path), load_yaml(str(path))
    assert {key: repr(value) for key, value in ours.items()} == {
        key: repr(value) for key, value in theirs.items()
    }


@pytest.mark.parametrize("text", ["1_000", "0o17", "0x1F"])
def test_numbers_that_ours_reads_as_text_are_refused(
    raw: dict[str, Any], tmp_path: Path, text: str
) -> None:
    (tmp_path / "x.yaml").write_text(f"epochs: {text}")
    with pytest.raises(InputError, match="epochs: found .*expected a valid integer"):
        validate(raw | read_yaml(tmp_path / "x.yaml"))


def test_the_file_itself_is_read_as_dvc_reads_it(root: Path) -> None:
    assert read_yaml(root / "params.yaml") == load_yaml(str(root / "params.yaml"))


def test_a_repeated_key_is_refused(tmp_path: Path) -> None:
    (tmp_path / "params.yaml").write_text("tau: 1\ntau: 2\n")
    with pytest.raises(InputError, match="key 'tau' is there twice"):
        read_yaml(tmp_path / "params.yaml")


def test_what_is_no_yaml_is_refused_on_one_line(tmp_path: Path) -> None:
    (tmp_path / "params.yaml").write_text("tau: [1\nb: {")
    with pytest.raises(InputError, match="not YAML") as caught:
        read_yaml(tmp_path / "params.yaml")
    assert "\n" not in str(caught.value)


def test_a_missing_file_says_where_to_start(tmp_path: Path) -> None:
    with pytest.raises(
        InputError, match="params.yaml: not found; start stages from the root of the repository"
    ):
        load(path=tmp_path / "params.yaml")


def test_validation_needs_no_torch(root: Path) -> None:
    code = "import sys, geomix.config.read; geomix.config.read.load(); sys.exit('torch' in sys.modules)"
    subprocess.run(
        [sys.executable, "-c", code], check=True, cwd=root, env={"PYTHONPATH": str(root / "src")}
    )
