"""docs/tour.ipynb: every cell runs, in order, and says what its words say."""

import json
from typing import Any

import numpy as np
import pytest

from tests.conftest import ROOT


def test_the_notebook_runs_from_top_to_bottom(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(ROOT / "docs")  # cells change it, and this undoes that
    monkeypatch.setenv("PYTHONPATH", str(ROOT / "src"))
    cells = json.loads((ROOT / "docs/tour.ipynb").read_text(encoding="utf-8"))["cells"]
    names: dict[str, Any] = {}
    for cell in cells:
        if cell["cell_type"] == "code":
            exec(compile("".join(cell["source"]), f"tour.ipynb: {cell['id']}", "exec"), names)
    assert np.mean(names["losses"][-10:]) < 0.5 * names["losses"][0]
    printed = capsys.readouterr().out
    assert "to the bit: True" in printed
    assert "the same list: True" in printed
    found = names["model"].samples["label"].iloc[names["found"].rows[0]]
    assert "W" in set(found)
