"""params.yaml: every mistake at once, each with key, value and what was expected."""

import json
import math
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from dvc.utils.serialize import load_yaml

from geomix.config.read import load, read_yaml, validate
from geomix.config.stages import BaselineParams, CellParams, PageParams, PreprocessParams
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
            "split.unit",
            "node",
            "split.unit: found .node., expected .auto., .class., .leaf. or .branch.",
        ),
        (
            "split.test",
            0.9,
            "split: found .*, expected at most 1 for train \\+ val \\+ test, not 1.525",
        ),
        (
            "images.duplicates",
            "remove",
            "images.duplicates: found 'remove', expected 'keep', 'drop' or 'refuse'",
        ),
        (
            "classes.below",
            "keep",
            "classes.below: found 'keep', expected 'refuse', 'drop' or 'gallery'",
        ),
        ("classes.smallest_class", 0, "classes.smallest_class: found 0, expected greater"),
        ("classes.largest_class", 1, "classes.largest_class: found 1, expected greater"),
        (
            "classes",
            {"smallest_class": 4, "largest_class": 3},
            "classes: found .*, expected a largest_class of at least smallest_class, 4",
        ),
        ("head.norm", "group", "head.norm: found 'group', expected 'none', 'batch' or 'layer'"),
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
            "geometry.flat.distance: found .*, expected space: 'sphere', 'flat', "
            "'inner', 'ball' or 'power'",
        ),
        (
            "geometry.power.distance.radius",
            0,
            "geometry.power.distance.radius: found 0, expected greater than 0",
        ),
        (
            "geometry.power.distance.curvature",
            0,
            "geometry.power.distance.curvature: found 0, expected greater than 0",
        ),
        (
            "geometry.power.distance.scale",
            1,
            "geometry.power.distance.scale: found an unknown key",
        ),
        (
            "geometry.power.distance",
            {"space": "power", "weight": 1},
            "geometry.power.distance.radius: found nothing, expected a value",
        ),
        (
            "geometry.dot.product.scale",
            "free",
            "geometry.dot.product.scale: found 'free', expected a valid number or 'learned'",
        ),
        (
            "geometry.dot.product.curvature",
            1,
            "geometry.dot.product.curvature: found an unknown key",
        ),
        (
            "negatives.rule",
            "easy",
            "negatives: found .*, expected rule: 'uniform', 'hard', .* or '",
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
            "negatives: found .*, expected at most 1 for similarity \\+ uncertainty \\+ distance",
        ),
        ("study.tau.size", 1, "study.tau.size: found a parameter of this name"),
        (
            "systems.tuned.table.trials",
            1,
            "systems.tuned.table.trials: found 1, expected greater than or equal to 2",
        ),
        (
            "systems.tuned.search.optim.learning_rate.low",
            -1,
            "systems.tuned.search.optim.learning_rate: found .*, expected low above 0 as log is",
        ),
        (
            "systems.tuned.search.epochs",
            {"low": 0, "high": 3},
            "systems.tuned.search.epochs: found 0, expected greater than or equal to 1",
        ),
        ("study.tau.over.tau", [0.1, 0], "study.tau.over.tau: found 0, expected greater than 0"),
        ("study.tau.over.tau", [], "study.tau.over: found .*, expected a list of values for tau"),
        ("study.tau.over.tau", [0.1, 0.1], "study.tau.over: .* for tau, each once"),
        (
            "study.tau.over",
            {"batch": {"chunk": [64, None]}},
            "study.tau.over: .* values for batch.chunk, each once and none of them null$",
        ),
        (
            "study.tau.over",
            {"tau": [1], "optim": {"rate": [1]}},
            "study.tau.over.optim.rate: found an unknown",
        ),
        ("study.tau.pinned.lam", 0, "study.tau.pinned.lam: found 0, expected greater than 0"),
        ("study.tau.run.seeds", ["2-0"], "study.tau.run.seeds: .* expected rising groups"),
        ("study.tau.run.seeds", ["0-2", 1], "study.tau.run.seeds: .* hold each seed once"),
        (
            "study.tau.run.geometries",
            ["flat", "flat"],
            "geometries: .*, expected each geometry once",
        ),
        (
            "tune.own.omniglot.epochs",
            0,
            "tune.own.omniglot.epochs: found 0, expected greater",
        ),
    ],
)
def test_a_mistake_is_told_with_key_value_and_expectation(
    raw: dict[str, Any], key: str, value: Any, message: str
) -> None:
    set_key(raw, key, value)
    with pytest.raises(InputError, match=message) as caught:
        validate(raw)
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize(
    ("key", "meant"),
    [
        ("epoch", "epochs"),
        ("optim.learning_rte", "learning_rate"),
        ("images.duplicate", "duplicates"),
        ("backbone.dropout", ""),  # what is like it is there already
        ("geometry.flat.distance.outputz", "outputs"),
        ("geometry.flat.distance.normalise", "normalize"),
        ("study.tau.pined", ""),
        ("study.aa.ovr", "over"),
        ("study.tau.run.zzz", ""),
        ("unheard_of", ""),
    ],
)
def test_a_misspelt_key_is_told_with_the_key_that_is_like_it(
    raw: dict[str, Any], key: str, meant: str
) -> None:
    if meant and meant in raw:
        del raw[meant]
    if key == "optim.learning_rte":
        del raw["optim"]["learning_rate"]
    if key == "images.duplicate":
        del raw["images"]["duplicates"]
    set_key(raw, key, 1)
    hint = f" (did you mean {meant}?)" if meant else ""
    with pytest.raises(InputError) as caught:
        validate(raw)
    line = f"params.yaml: {key}: found an unknown key, expected no key of this name{hint}"
    assert line in str(caught.value).splitlines()


def test_settings_of_a_data_set_are_laid_over_those_at_the_top(root: Path) -> None:
    path = root / "params.yaml"
    top, own = load(CellParams, path=path), load(CellParams, own="tune.omniglot", path=path)
    assert (own.backbone.stem, own.batch.classes, own.epochs) == ("conv", 64, 2)
    assert (own.augment.rotate, own.augment.noise) == (5, 0)
    assert (own.head, own.optim) == (top.head, top.optim)
    wordnet = load(CellParams, own="tune.wordnet", path=path)
    assert (wordnet.relevance, wordnet.head.outputs) == ("lineage", 16)


def test_what_a_study_pins_wins_over_its_data_set_in_every_stage(
    raw: dict[str, Any], tmp_path: Path
) -> None:
    set_key(raw, "kernel.pinned.head", {"outputs": 16})
    set_key(raw, "kernel.own.grocerystore.head", {"outputs": 8})
    (tmp_path / "params.yaml").write_text(json.dumps(raw))
    where: dict[str, Any] = {"own": "kernel.grocerystore", "path": tmp_path / "params.yaml"}
    assert load(BaselineParams, **where).head.outputs == 16
    assert load(PageParams, **where).head.outputs == 16


def test_a_data_set_without_settings_is_refused_with_those_there_are(root: Path) -> None:
    message = "--own: found tune.cub200, expected one of tune.glyphs, tune.omniglot, "
    with pytest.raises(InputError, match=message):
        load(CellParams, own="tune.cub200", path=root / "params.yaml")


def test_overlays_change_single_keys_but_replace_another_kind_as_a_whole(root: Path) -> None:
    path = root / "params.yaml"
    top = load(CellParams, path=path)
    changed = load(CellParams, {"optim": {"warmup": 0.2}}, {"optim": {"clip_norm": 1}}, path=path)
    assert changed.optim == top.optim.model_copy(update={"warmup": 0.2, "clip_norm": 1})
    with pytest.raises(InputError) as caught:
        load(CellParams, {"negatives": {"rule": "hard"}}, path=path)
    assert str(caught.value).splitlines() == [
        "params.yaml: negatives.beta: found nothing, expected a value",
        "params.yaml: negatives.tau_plus: found nothing, expected a value",
    ]


def test_equal_views_are_refused_where_they_are_used(raw: dict[str, Any], tmp_path: Path) -> None:
    path = tmp_path / "params.yaml"
    path.write_text(json.dumps(raw | {"augment": dict.fromkeys(raw["augment"], 0)}))
    load(CellParams, path=path)
    with pytest.raises(InputError, match="augment: found no change.*, as labels are hidden"):
        load(CellParams, {"labels": "hidden"}, path=path)


def test_all_mistakes_are_told_at_once(raw: dict[str, Any]) -> None:
    set_key(raw, "tau", -1)
    set_key(raw, "batch.classes", 1)
    del raw["optim"]
    with pytest.raises(InputError) as caught:
        validate(raw)
    keys = re.findall(r"^params\.yaml: (\S+): ", str(caught.value), re.MULTILINE)
    assert sorted(keys) == ["batch.classes", "optim", "tau"]


MERGE = b"<<<<<<< HEAD\ntau: 0.1\n=======\ntau: 0.2\n>>>>>>> other\n"


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda whole: b"", "found nothing, expected a mapping"),
        (lambda whole: whole[: whole.index(b"\noptim:")], "optim: found nothing, expected a value"),
        (
            lambda whole: whole[: whole.index(b"\noptim:")],
            "without an end, .* was the file cut off",
        ),
        (lambda whole: whole[: whole.index(b"\noptim:") + 4], "not YAML"),
        (
            lambda whole: whole.replace(b"\ntau: 0.1\n", b"\n" + MERGE),
            "line [0-9]+: found <<<<<<<",
        ),
        (lambda whole: whole + "# \u00b5\n".encode("latin-1"), "line [0-9]+: found byte 0xb5"),
        (lambda whole: bytes(len(whole)), "not YAML"),
        (lambda whole: whole + b"\xff\xfe", "found byte 0xff, expected text in UTF-8"),
    ],
)
def test_a_file_that_was_torn_or_merged_is_refused_in_lines(
    root: Path, tmp_path: Path, damage: Callable[[bytes], bytes], message: str
) -> None:
    path = tmp_path / "params.yaml"
    path.write_bytes(damage((root / "params.yaml").read_bytes()))
    with pytest.raises(InputError, match=message) as caught:
        load(PreprocessParams, path=path)
    lines = str(caught.value).splitlines()
    assert all("params.yaml: " in line for line in lines)


@pytest.mark.parametrize("content", [None, [1], "text"])
def test_a_file_that_is_no_mapping_is_refused(content: Any) -> None:
    with pytest.raises(InputError, match="expected a mapping"):
        validate(content)


def test_only_the_part_asked_for_is_handed_out(root: Path) -> None:
    part = load(PreprocessParams, path=root / "params.yaml")
    assert part.model_fields_set == {"split", "images", "classes"}
    assert part.split.train == 0.5


def test_numbers_stay_as_written(raw: dict[str, Any]) -> None:
    set_key(raw, "study.tau.over.tau", [1, 2.0, 1e-3])
    values = validate(raw).study["tau"].axes["tau"]
    assert [repr(value) for value in values] == ["1", "2.0", "0.001"]


def test_numbers_are_read_as_dvc_reads_them(tmp_path: Path) -> None:
    path = tmp_path / "numbers.yaml"
    path.write_text(
        "a: 1e-3\nb: 010\nc: .5\nd: 1.\ne: -2E+4\nf: yes\ng: .inf\nh: 12:30:45\ni: true\nj: -7\n"
        "k: 1_000\nl: 0o17\nm: 0x1F\n"
    )
    ours, theirs = read_yaml(path), load_yaml(str(path))
    assert {key: repr(value) for key, value in ours.items()} == {
        key: repr(value) for key, value in theirs.items()
    }


def test_the_file_itself_is_read_as_dvc_reads_it(root: Path) -> None:
    assert read_yaml(root / "params.yaml") == load_yaml(str(root / "params.yaml"))


def test_a_repeated_key_is_refused(tmp_path: Path) -> None:
    (tmp_path / "params.yaml").write_text("tau: 1\ntau: 2\n")
    with pytest.raises(InputError, match="key 'tau' is there twice"):
        read_yaml(tmp_path / "params.yaml")


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("tau: [1\nb: {", id="brackets"),
        pytest.param("dataset: 2020-13-45", id="no date"),
        pytest.param(f"tau: {'[' * 5000}", id="too deep"),
        pytest.param(f"tau: {'9' * 5000}", id="too long a number"),
    ],
)
def test_what_is_no_yaml_is_refused_on_one_line(tmp_path: Path, text: str) -> None:
    (tmp_path / "params.yaml").write_text(text)
    with pytest.raises(InputError, match="not YAML") as caught:
        read_yaml(tmp_path / "params.yaml")
    assert "\n" not in str(caught.value)


def test_a_missing_file_says_where_to_start(tmp_path: Path) -> None:
    with pytest.raises(
        InputError, match="params.yaml: not found; start stages from the root of the repository"
    ):
        load(CellParams, path=tmp_path / "params.yaml")


def test_validation_needs_no_torch(root: Path) -> None:
    code = (
        "import sys; from geomix.config.read import load; from geomix.config.stages import "
        "CellParams; load(CellParams); sys.exit('torch' in sys.modules)"
    )
    subprocess.run(
        [sys.executable, "-c", code], check=True, cwd=root, env={"PYTHONPATH": str(root / "src")}
    )


def test_a_rule_may_be_pinned_while_its_number_varies(raw: dict[str, Any]) -> None:
    counted = raw["further"]["negatives_count"]
    assert set(validate(raw).further["negatives_count"].axes) == {"negatives.count"}
    counted["over"] = {"negatives": {"count": [1, 0]}}
    with pytest.raises(InputError, match="negatives_count.over.negatives.count: found 0, expected"):
        validate(raw)
    counted["over"] = {"optim": {"warmup": [0.1]}}
    with pytest.raises(
        InputError, match=r"pinned\.negatives\.rule: found nothing, expected a valu"
    ):
        validate(raw)
