"""Benchmark of the rules for negatives: loss and gradient of each, beside those of uniform. `python -m bench.negatives`."""

if __package__ != "bench":
    raise SystemExit(
        "error: start this benchmark from the root of the repository: python -m bench.negatives"
    )

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from bench import ROOT, inputs
from bench.command import parse_options, run_benchmark
from bench.measure import Call, Case, Implementation, Ratio, Size
from geomix.config.read import load
from geomix.geometry.geometry import Geometry
from geomix.losses.losses import Table
from geomix.train.objective import build_objective
from stages import run

UNIFORM = "uniform"
DIMENSIONS = 128
GEOMETRIES: dict[str, Callable[[], Geometry]] = {
    "cosine": inputs.cosine,
    "hyperbolic": inputs.hyperbolic,
}
SHAPES = [(450, 2), (100, 9), (32, 4)]  # classes and views of a batch
TINY = [(20, 2), (12, 3)]  # more samples than clusters


def read_rules() -> dict[str, dict[str, Any]]:
    """Give section `negatives` of the systems by rule; that of the last with a rule, whose labels are hidden."""
    systems = load("system", path=ROOT / "params.yaml")["system"].values()
    sections = [
        entry["settings"]["negatives"] for entry in systems if entry["settings"].get("negatives")
    ]
    return {UNIFORM: {"rule": UNIFORM}} | {section["rule"]: dict(section) for section in sections}


def rule(
    settings: Mapping[str, Any], geometry: Callable[[], Geometry], classes: int, views: int
) -> Callable[[Size], Call]:
    """Give a call from embeddings to loss and gradient, of what the rule learns too.

    Args:
        settings: Section `negatives`.
        geometry: Of the logits.
        classes: C of the batch.
        views: n of the batch.
    """

    def build(_: Size) -> Call:
        embeddings = inputs.draw_batch(classes, views, DIMENSIONS).requires_grad_()
        table, space = inputs.batch_table(classes, views), geometry()
        objective = build_objective(
            {"name": "pairwise_cross_entropy"}, space, classes, DIMENSIONS, 0, settings
        )
        objective.start_epoch(1, 2)  # some rules rest in the first
        learned = [embeddings, *objective.parameters()]

        def call() -> tuple[float, Tensor]:
            value = objective(
                embeddings, space.place(embeddings), Table(table.sample, table.label, table.view)
            )
            return value.item(), torch.autograd.grad(value, learned)[0]

        return call

    return build


def cases(quick: bool) -> list[Case]:
    """Give a case for each shape of a batch and geometry: all rules in turn, so that what else the machine does meets all."""
    rules, found = read_rules(), []
    for classes, views in TINY if quick else SHAPES:
        for name, geometry in GEOMETRIES.items():
            parts = tuple(
                Implementation(each, rule(rules[each], geometry, classes, views)) for each in rules
            )
            ratios = tuple(Ratio(each, UNIFORM) for each in rules if each != UNIFORM)
            size = (("n", classes * views), ("d", DIMENSIONS))
            found.append(
                Case(
                    "rules",
                    f"{name}, {views} views x {classes} classes",
                    parts,
                    ratios,
                    memory=False,
                    size=size,
                )
            )
    return found


def main() -> None:
    """Measure and write."""
    options = parse_options(threads=1)  # as a cell that is trained on the CPU
    longer = replace(
        options, budget=options.budget * (1 if options.quick else 3)
    )  # a case has many rules
    run_benchmark("negatives", cases(options.quick), longer)


if __name__ == "__main__":
    run(main)
