"""Odd inputs at random end in a page or in a refusal, never in a traceback or a `nan`.

GEOMIX_INPUTS=5000 runs more of them; python -m bench.random_inputs prints how they ended.
"""

import os

import pytest

from bench.random_inputs import KINDS, run_inputs
from geomix.train import cells

COUNT = int(os.environ.get("GEOMIX_INPUTS", "200"))


@pytest.mark.parametrize("kind", KINDS)
def test_odd_inputs_are_refused_or_run(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cells, "fix_bytes", lambda _: None)
    ends = run_inputs(kind, COUNT // len(KINDS), pages=4)
    assert ends["refused"]
    assert ends.total() > ends["refused"]
    assert ends["trained"] or kind == "params"
