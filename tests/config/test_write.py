"""Settings written into params.yaml: comments stay, a mistake writes nothing, a winner is whole."""

import shutil
from pathlib import Path

import pytest

from geomix.config.adopt import adopt_winner
from geomix.config.read import load, read_yaml
from geomix.config.stages import StudyParams
from geomix.config.write import write_settings
from geomix.errors import InputError
from tests.conftest import ROOT

WINNER = {
    "tau": 0.0312,
    "optim.learning_rate": 0.00123,
    "head.norm": "layer",
    "curvature": 2.5,
    "geometry.hyperbolic_free.distance.clip_radius": 2.3,
}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Return a copy of params.yaml."""
    return Path(shutil.copy(ROOT / "params.yaml", tmp_path))


def changed_lines(path: Path) -> list[tuple[str, str]]:
    before = (ROOT / "params.yaml").read_text().splitlines()
    return [
        (old, new)
        for old, new in zip(before, path.read_text().splitlines(), strict=True)
        if old != new
    ]


def test_a_winner_changes_its_own_keys_and_nothing_else(path: Path) -> None:
    study = load(StudyParams, path=path).tune
    text = adopt_winner(path, study, "glyphs", WINNER)
    assert changed_lines(path) == [
        ("tau: 0.1", "tau: 0.0312"),
        ("curvature: 0.1", "curvature: 2.5"),
        ("head: {outputs: 64, norm: batch}", "head: {outputs: 64, norm: layer}"),
        (
            "    distance: {space: ball, weight: 1, scale: {radius: 2}, clip_radius: null}",
            "    distance: {space: ball, weight: 1, scale: {radius: 2}, clip_radius: 2.3}",
        ),
        (
            "optim: {learning_rate: 0.002, weight_decay: 0.01, warmup: 0.1, clip_norm: 3}",
            "optim: {learning_rate: 0.00123, weight_decay: 0.01, warmup: 0.1, clip_norm: 3}",
        ),
    ]
    assert "  tau: 0.1 -> 0.0312" in text.splitlines()
    assert adopt_winner(path, study, "glyphs", WINNER) == "params.yaml was like that already"


def test_a_winner_on_vectors_brings_its_data_set_and_network(path: Path) -> None:
    adopt_winner(path, load(StudyParams, path=path).tune, "wordnet", {"tau": 0.3})
    found = read_yaml(path)
    assert (found["dataset"], found["relevance"], found["epochs"]) == ("wordnet", "lineage", 150)
    assert (found["backbone"]["name"], found["backbone"]["width"]) == ("mlp", 256)
    assert found["backbone"]["patch"] == 8  # what the data set does not say stays
    assert found["head"] == {"outputs": 16, "norm": "batch"}


def test_a_mistake_writes_nothing(path: Path) -> None:
    with pytest.raises(InputError, match="tau: found -1, expected greater than 0"):
        write_settings(path, [{"tau": -1}])
    assert changed_lines(path) == []
