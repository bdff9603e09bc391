"""Presets: each gives a valid params.yaml, keeps comments, says what changed, acts once."""

import shutil
from pathlib import Path

import pytest

from geomix.config.presets import apply_preset
from geomix.config.read import read_yaml, validate
from geomix.config.systems import read_system
from geomix.errors import InputError

SYSTEMS = Path(__file__).resolve().parents[2] / "systems"
NAMES = [
    f"{data.stem}-{system.stem}"
    for data in (SYSTEMS / "data").iterdir()
    for system in SYSTEMS.glob("*.yaml")
    if read_system(SYSTEMS, system.stem).preset
]


@pytest.fixture
def path(root: Path, tmp_path: Path) -> Path:
    return Path(shutil.copy(root / "params.yaml", tmp_path))


@pytest.mark.parametrize("name", sorted(NAMES))
def test_every_preset_gives_a_valid_file_that_keeps_its_comments(name: str, path: Path) -> None:
    before = path.read_text()
    told = apply_preset(name, SYSTEMS, path)
    after = path.read_text()
    validate(read_yaml(path))
    assert [line for line in before.splitlines() if line.startswith("#")] == [
        line for line in after.splitlines() if line.startswith("#")
    ]
    assert "  dataset: glyphs -> " in told
    assert "  backbone.pretrained: False -> True" in told
    assert all(
        len(line) <= 81
        for line in after.splitlines()
        if "{" in line and not line.lstrip().startswith("#")
    )


def test_what_is_said_to_change_is_what_changed(path: Path) -> None:
    told = apply_preset("cub-hypvit", SYSTEMS, path)
    assert "  tau: 0.1 -> 0.2" in told
    assert "published R@1: 85.6 (encoder output, 384 numbers, cosine; " in told
    params = read_yaml(path)
    assert (params["tau"], params["dataset"], params["batch"]) == (
        0.2,
        "cub200",
        {"classes": 90, "images": 9, "chunk": None},
    )
    assert "params.yaml was like that already" in apply_preset("cub-hypvit", SYSTEMS, path)


def test_systems_after_each_other_leave_nothing_of_the_first(path: Path) -> None:
    apply_preset("cub-hypmix", SYSTEMS, path)
    apply_preset("cub-hypvit", SYSTEMS, path)
    assert read_yaml(path)["tau"] == 0.2


@pytest.mark.parametrize("after", ["sphvit", "hypmix"])
def test_a_regulariser_and_its_loss_go_with_their_system(path: Path, after: str) -> None:
    apply_preset(f"cars-{after}", SYSTEMS, path)
    alone = read_yaml(path)
    told = apply_preset("cars-hier", SYSTEMS, path)
    params = read_yaml(path)
    assert "published R@1: 88.3" in told
    assert params["loss"] == {"name": "proxy_anchor", "margin": 0.1, "rate_factor": 10000}
    assert (params["regulariser"]["name"], params["regulariser"]["proxies"]) == ("hier", 512)
    assert params["batch"] == {"classes": 88, "images": 2, "chunk": None}
    apply_preset(f"cars-{after}", SYSTEMS, path)
    back = read_yaml(path)
    assert (back["loss"], back["regulariser"], back["batch"]) == (
        alone["loss"],
        alone["regulariser"],
        alone["batch"],
    )


@pytest.mark.parametrize("name", ["cub-hier", "sop-hier", "inshop-hier"])
def test_hier_has_batches_of_ninety_classes(name: str, path: Path) -> None:
    apply_preset(name, SYSTEMS, path)
    params = read_yaml(path)
    assert params["batch"] == {"classes": 90, "images": 2, "chunk": None}
    assert 1 / params["tau"] == 32


def test_an_unknown_preset_is_refused_with_those_there_are_and_changes_nothing(path: Path) -> None:
    before = path.read_text()
    with pytest.raises(
        InputError,
        match="preset: found 'cub-resnet', expected <data>-<system>, data being cars, cub",
    ):
        apply_preset("cub-resnet", SYSTEMS, path)
    assert path.read_text() == before
