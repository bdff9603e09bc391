"""The benchmark of the rules for negatives times each beside uniform, and bounds all but those of clusters and gradients."""

import math
import sys
from pathlib import Path
from types import ModuleType

import pytest
import torch

from bench import negatives, systems
from bench.limits import LIMITS
from bench.measure import Options, measure_case
from bench.negatives import GEOMETRIES, TINY, UNIFORM, cases, read_rules, rule
from geomix.report.changes import RULES

COSTLY = {"cluster", "mixed_importance", "doubly_contrastive"}
CLASSES, VIEWS = TINY[0]


def test_every_rule_is_timed_beside_uniform_in_every_case() -> None:
    found = cases(quick=False)
    assert [case.name for case in found] == [
        f"{geometry}, {shape}"
        for shape in ("2 views x 450 classes", "9 views x 100 classes", "4 views x 32 classes")
        for geometry in ("cosine", "hyperbolic")
    ]
    for case in found:
        assert {one.name for one in case.implementations} == set(RULES)
        pairs = [(ratio.implementation, ratio.baseline) for ratio in case.ratios]
        assert sorted(pairs) == sorted((name, UNIFORM) for name in RULES if name != UNIFORM)


def test_rows_have_the_limit_of_a_third_but_those_of_clusters_and_gradients(tmp_path: Path) -> None:
    rows = measure_case("negatives", cases(quick=True)[0], Options(True, tmp_path, 1, 0.001))
    bound = {
        row["implementation"]: [
            limit.at_most for limit in LIMITS if limit.applies("negatives", row)
        ]
        for row in rows
    }
    assert all(row["ratio"] > 0 and row["rounds"] >= 5 for row in rows)
    assert bound == {name: [] if name in COSTLY else [4 / 3] for name in RULES if name != UNIFORM}


def test_a_limit_is_missed_just_above_a_third() -> None:
    row = {
        "table": "rules",
        "case": "",
        "implementation": "bayesian",
        "baseline": UNIFORM,
        "ratio": 1.0,
    }
    (limit,) = [limit for limit in LIMITS if limit.applies("negatives", row)]
    assert limit.met(1.33)
    assert not limit.met(1.34)
    assert not limit.met(math.nan)


@pytest.mark.parametrize("geometry", GEOMETRIES)
@pytest.mark.parametrize("name", RULES)
def test_a_call_gives_a_loss_of_the_rule_and_its_gradient(name: str, geometry: str) -> None:
    value, gradient = rule(read_rules()[name], GEOMETRIES[geometry], CLASSES, VIEWS)("timed")()
    plain, _ = rule({"rule": UNIFORM}, GEOMETRIES[geometry], CLASSES, VIEWS)("timed")()
    assert value > 0
    assert (value == plain) == (name == UNIFORM)
    assert gradient.shape == (CLASSES * VIEWS, 128)
    assert torch.isfinite(gradient).all()
    assert gradient.abs().max() > 0


@pytest.mark.parametrize("module", [negatives, systems])
@pytest.mark.parametrize(("arguments", "threads"), [([], 1), (["--threads", "2"], 2)])
def test_one_thread_is_used_unless_more_are_asked_for(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    module: ModuleType,
    arguments: list[str],
    threads: int,
) -> None:
    seen: list[int] = []

    def measure(bench: str, *given: object) -> list[dict[str, object]]:
        seen.extend(options.threads for options in given if isinstance(options, Options))
        return [{"table": bench, "case": "", "implementation": "a", "baseline": "b", "ratio": 1.0}]

    for name in ("measure_case", "run_benchmark"):
        monkeypatch.setattr(module, name, measure, raising=False)
    monkeypatch.setattr(module, "set_threads", seen.append, raising=False)
    monkeypatch.setattr(sys, "argv", ["bench", "--quick", "--out", str(tmp_path), *arguments])
    module.main()
    assert set(seen) == {threads}
