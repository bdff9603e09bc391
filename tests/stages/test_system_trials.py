"""The trials of a system are trained and saved; those with a learned tree as any others."""

import sys
from pathlib import Path
from typing import Any

import pytest

from geomix.config.studies import flatten
from geomix.files import write_json
from geomix.train import cells
from stages.system_trials import main
from tests.train.conftest import HIER, small_settings


def write_trials(folder: Path, settings: dict[str, Any]) -> None:
    """Write two trials of a system, with labels given, as settle does."""
    for trial in ("0", "1"):
        named = {"system": "one", "labels": "given", "trial": trial, "geometry": "euclidean"}
        write_json(folder / f"{trial}.json", {**named, "settings": flatten(settings)})


@pytest.mark.parametrize("regulariser", [{"name": "none"}, HIER])
def test_the_trials_of_a_system_are_trained(
    root: Path,
    kept_packed: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    regulariser: dict[str, Any],
) -> None:
    settings = small_settings() | {"tau": 0.1, "epochs": 1, "regulariser": regulariser}
    del settings["geometry"], settings["labels"]
    (tmp_path / "settings" / "given").mkdir(parents=True)
    write_trials(tmp_path / "settings" / "given", settings)
    monkeypatch.chdir(root)
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    monkeypatch.setattr(cells, "fix_bytes", lambda _: None)
    given = ("--settings", tmp_path / "settings", "--data", kept_packed, "--out", tmp_path / "out")
    monkeypatch.setattr(sys, "argv", ["system_trials", *map(str, given)])
    main()
    for trial in ("0", "1"):
        names = {path.name for path in (tmp_path / "out" / "given" / trial / "0").iterdir()}
        assert {"geometry.json", "embeddings.npz"} <= names
        assert "tree.csv" not in names
