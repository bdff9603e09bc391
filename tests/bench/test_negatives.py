"""The benchmark of the rules for negatives times each beside uniform, alone and in a step."""

import math
import sys
from pathlib import Path
from types import ModuleType

import pytest
import torch

from bench import negatives, startup, systems
from bench.limits import LIMITS, UNBOUNDED
from bench.measure import Options, measure_case
from bench.negatives import GEOMETRIES, STUDY, TINY, UNIFORM, cases, loss_of, read_rules, step_of
from geomix.report.changes import RULES

CLASSES, VIEWS = TINY[0]
BOUNDED = set(RULES) - UNBOUNDED


def test_every_rule_is_timed_beside_uniform_in_every_case() -> None:
    found = cases(quick=False)
    shapes = ["2 views x 450 classes", "9 views x 100 classes", "4 views x 32 classes"]
    assert [(case.table, case.name) for case in found] == [
        (table, f"{geometry}, {shape}")
        for table, shape in [*(("rules", shape) for shape in shapes), ("steps", shapes[-1])]
        for geometry in ("cosine", "hyperbolic")
    ]
    for case in found:
        assert {one.name for one in case.implementations} == set(RULES)
        pairs = [(ratio.implementation, ratio.baseline) for ratio in case.ratios]
        assert sorted(pairs) == sorted((name, UNIFORM) for name in RULES if name != UNIFORM)


def test_the_batch_of_a_step_is_that_of_the_study() -> None:
    batch = systems.read_systems()[systems.REFERENCE][1].batch
    assert (batch.classes, batch.images) == STUDY


@pytest.mark.parametrize(("table", "bounded"), [("rules", set()), ("steps", BOUNDED)])
def test_only_steps_have_a_limit_but_those_of_clusters_and_gradients(
    tmp_path: Path, table: str, bounded: set[str]
) -> None:
    case = next(case for case in cases(quick=True) if case.table == table)
    rows = measure_case("negatives", case, Options(True, tmp_path, 1, 0.001))
    assert {row["implementation"] for row in rows} == set(RULES) - {UNIFORM}
    assert all(row["ratio"] > 0 and row["rounds"] >= 5 for row in rows)
    limited = {
        row["implementation"]
        for row in rows
        if any(limit.applies("negatives", row) for limit in LIMITS)
    }
    assert limited == bounded


def test_a_limit_is_missed_just_above_a_tenth() -> None:
    names = {"table": "steps", "case": "", "implementation": "bayesian", "baseline": UNIFORM}
    (limit,) = [limit for limit in LIMITS if limit.applies("negatives", names | {"ratio": 1.0})]
    assert limit.met(1.099)
    assert not limit.met(1.101)
    assert not limit.met(math.nan)


@pytest.mark.parametrize("geometry", GEOMETRIES)
@pytest.mark.parametrize("name", RULES)
def test_a_call_returns_a_loss_of_the_rule_and_its_gradient(name: str, geometry: str) -> None:
    rules, space = read_rules(), GEOMETRIES[geometry]
    value, gradient = loss_of(rules[name], space, CLASSES, VIEWS)("timed")()
    plain, _ = loss_of(rules[UNIFORM], space, CLASSES, VIEWS)("timed")()
    assert value > 0
    assert (value == plain) == (name == UNIFORM)
    assert gradient.shape == (CLASSES * VIEWS, 128)
    assert torch.isfinite(gradient).all()
    assert gradient.abs().max() > 0


@pytest.mark.parametrize("geometry", GEOMETRIES)
@pytest.mark.parametrize("name", RULES)
def test_each_step_is_of_the_rule_and_of_the_same_work(name: str, geometry: str) -> None:
    rules, space = read_rules(), GEOMETRIES[geometry]
    step = step_of(rules[name], space, CLASSES, VIEWS)("timed")
    plain = step_of(rules[UNIFORM], space, CLASSES, VIEWS)("timed")()
    first, second = step(), step()
    assert (first == plain) == (name == UNIFORM)
    drawn = ("cluster", "false_negative_elimination", "limited", "ranking", "synthetic")
    if name not in drawn:
        assert second == first  # the network stands still
    assert second == pytest.approx(first, rel=0.5)


@pytest.mark.parametrize("module", [negatives, startup, systems])
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
