"""Benchmark of the systems: loss and gradient of each, beside those of plain euclidean.

`python -m bench.systems` writes bench/results/systems.csv, which the page of the systems reads.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from torch import Tensor

from bench import ROOT, inputs
from bench.command import parse_options
from bench.measure import (
    Call,
    Case,
    Implementation,
    Ratio,
    Size,
    measure_case,
    set_threads,
    with_gradient,
)
from geomix.config.read import load
from geomix.config.stages import CellParams, SettleParams
from geomix.config.systems import list_labels, read_system
from geomix.geometry.geometry import build_geometry
from geomix.train.objective import build_objective
from stages import run

PARAMS = ROOT / "params.yaml"
REFERENCE = "given/euclidean"
SMALL = {"batch": {"classes": 4, "images": 2}}
System = tuple[str, CellParams]  # the name of a geometry, and all that is trained with


def read_systems(*overlays: Mapping[str, Any]) -> dict[str, System]:
    """Return the systems of params.yaml by `<labels>/<name>`.

    What validation chooses, such as a temperature, changes no work and is left out.

    Args:
        overlays: Settings laid over all others.
    """
    systems = load(SettleParams, path=PARAMS).systems
    found = {}
    for name in systems.listed:
        system = read_system(ROOT / "systems", name)
        for labels in list_labels(system):
            hidden = system.hidden if labels == "hidden" else {}
            override = {**systems.override.get(name, {}), "labels": labels}
            params = load(CellParams, system.settings, hidden, override, *overlays, path=PARAMS)
            found[f"{labels}/{name}"] = system.geometry, params
    return found


def shape_of_batch(params: CellParams) -> tuple[int, int]:
    """Return classes and views of a batch; where labels are hidden, images and their two views."""
    classes, images = params.batch.classes, params.batch.images
    return (classes, images) if params.labels == "given" else (classes * images // 2, 2)


def build_call(system: System) -> Callable[[Size], Call]:
    """Return what builds a call of a system's loss, with the gradient of all that is learned."""
    name, params = system
    classes, views = shape_of_batch(params)
    dimensions = params.head.outputs

    def build(_: Size) -> Call:
        embeddings = inputs.draw_batch(classes, views, dimensions).requires_grad_()
        table = inputs.batch_table(classes, views)
        geometry = build_geometry(
            params.geometry[name],
            tau=params.tau,
            curvature=params.curvature,
            lam=params.lam,
            dimensions=dimensions,
        )
        objective = build_objective(
            params.loss,
            params.negatives,
            params.regulariser,
            geometry,
            classes if params.labels == "given" else None,
            dimensions,
            0,
        )
        objective.start_epoch(1, 2)  # some rules rest in the first

        def compute() -> Tensor:
            loss: Tensor = objective(geometry, embeddings, geometry.place(embeddings), table)
            return loss

        return with_gradient(compute, embeddings, *geometry.parameters(), *objective.parameters())

    return build


def cases(quick: bool) -> list[Case]:
    """Return one case: all systems in turn, so that what else the machine does meets all alike."""
    systems = read_systems(*[SMALL] * quick)
    if quick:  # a process for each takes seconds
        systems = {name: systems[name] for name in (REFERENCE, "given/hypvit")}
    parts = tuple(Implementation(name, build_call(one)) for name, one in systems.items())
    ratios = tuple(Ratio(name, REFERENCE) for name in systems if name != REFERENCE)
    _, params = systems[REFERENCE]
    classes, images = shape_of_batch(params)
    title = f"{classes} classes x {images} images, {params.head.outputs} dimensions"
    return [Case("systems", title, parts, ratios)]


def main() -> None:
    """Measure and write."""
    options = parse_options(threads=1)  # as a cell that is trained on the CPU
    if not options.quick:
        options = replace(options, budget=6 * options.budget)  # one case, of many systems

    # Not imported in the processes whose memory is measured.
    from bench.page import table_text, write_csv

    set_threads(options.threads)
    (case,) = cases(options.quick)
    table = write_csv("systems", measure_case("systems", case, options), options)
    print(table_text("systems", "systems", table))


if __name__ == "__main__":
    run(main)
