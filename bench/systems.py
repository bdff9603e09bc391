"""Benchmark of the systems: loss and gradient of each, beside those of plain euclidean. `python -m bench.systems`."""

if __package__ != "bench":
    raise SystemExit(
        "error: start this benchmark from the root of the repository: python -m bench.systems"
    )

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from bench import ROOT, inputs
from bench.command import parse_options
from bench.measure import Call, Case, Implementation, Ratio, Size, measure_case, set_threads
from geomix.config.read import load
from geomix.config.studies import REFERENCES
from geomix.geometry.geometry import build_geometry
from geomix.losses.table import Table
from geomix.report.systems import settle
from geomix.train.objective import build_objective, regularise
from stages import run

REFERENCE = REFERENCES["given"]
SECTIONS = (
    "system",
    "geometry",
    "head",
    "loss",
    "negatives",
    "regulariser",
    "labels",
    "batch",
    "augment",
)


def system(
    settings: Mapping[str, Any], spaces: Mapping[str, Any], dimensions: int
) -> Callable[[Size], Call]:
    """Give a call from embeddings to loss and gradient, all else that the loss learns included.

    Args:
        settings: Of the system, from `settle`.
        spaces: The entry of section `geometry`.
        dimensions: D of the embeddings.
    """

    def build(_: Size) -> Call:
        hidden = settings["labels"] == "hidden"
        classes, views = shape_of_batch(settings)
        embeddings, table = (
            inputs.draw_batch(classes, views, dimensions).requires_grad_(),
            inputs.batch_table(classes, views),
        )
        knobs = {key: settings[key] for key in ("tau", "curvature", "lam")}
        geometry = build_geometry(spaces, **knobs, dimensions=dimensions)
        objective = build_objective(
            settings["loss"],
            geometry,
            None if hidden else classes,
            dimensions,
            0,
            settings["negatives"],
        )
        objective = regularise(objective, settings["regulariser"], dimensions, 0)
        objective.start_epoch(1, 2)  # some rules rest in the first
        learned = [embeddings, *geometry.parameters(), *objective.parameters()]

        def call() -> tuple[float, Tensor]:
            value = objective(
                embeddings, geometry.place(embeddings), Table(table.sample, table.label, table.view)
            )
            return value.item(), torch.autograd.grad(value, learned, allow_unused=True)[0]

        return call

    return build


def shape_of_batch(settings: Mapping[str, Any]) -> tuple[int, int]:
    """Give classes and their images in a batch; where labels are hidden, images and their two views."""
    classes, images = settings["batch"]["classes"], settings["batch"]["images"]
    return (classes, images) if settings["labels"] == "given" else (classes * images // 2, 2)


def cases(quick: bool) -> list[Case]:
    """Give one case: all systems in turn, so that what else the machine does meets all alike."""
    params = load(*SECTIONS, path=ROOT / "params.yaml")
    dimensions = params["head"]["outputs"]
    parts = []
    for name, entry in params["system"].items():
        settings = settle(entry["settings"], params)
        if quick:
            settings["batch"] = {"classes": 4, "images": 2}
        parts.append(
            Implementation(
                name, system(settings, params["geometry"][settings["geometry"]], dimensions)
            )
        )
    if quick:  # a process for each takes seconds
        parts = [one for one in parts if one.name in (REFERENCE, "hypvit")]
    ratios = tuple(Ratio(one.name, REFERENCE) for one in parts if one.name != REFERENCE)
    batch = params["batch"]
    title = f"{batch['classes']} classes x {batch['images']} images, {dimensions} dimensions"
    return [Case("systems", title, tuple(parts), ratios)]


def main() -> None:
    """Measure and write systems.csv."""
    options = parse_options(threads=1)  # as a cell that is trained on the CPU
    options = replace(
        options, budget=options.budget * (1 if options.quick else 6)
    )  # one case, of many systems

    from bench.page import table_text, write_csv  # not in the processes whose memory is measured

    set_threads(options.threads)
    table = write_csv(
        "systems",
        [row for case in cases(options.quick) for row in measure_case("systems", case, options)],
        options,
    )
    print(table_text("systems", "systems", table))


if __name__ == "__main__":
    run(main)
