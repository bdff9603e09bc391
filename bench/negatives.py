"""Benchmark of the rules for negatives: what each costs beside uniform.

`python -m bench.negatives`
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import cache

import torch
from torch import Tensor
from torch.nn.utils import clip_grad_norm_

from bench import inputs
from bench.command import parse_options, run_benchmark
from bench.measure import Call, Case, Implementation, Ratio, Size, with_gradient
from bench.systems import PARAMS, read_systems
from geomix.config.losses import NoRegulariser, PairwiseCrossEntropy
from geomix.config.negatives import Negatives
from geomix.config.read import load
from geomix.config.stages import TrainParams
from geomix.geometry.geometry import Geometry
from geomix.network.encoder import build_encoder
from geomix.train.objective import Objective, build_objective
from geomix.train.state import build_optimizers
from stages import run

UNIFORM = "uniform"
DIMENSIONS = 128
SIDE = 32  # pixels of the images of a step
GEOMETRIES: dict[str, Callable[[], Geometry]] = {
    "cosine": inputs.cosine,
    "hyperbolic": inputs.hyperbolic,
}
STUDY = (32, 4)  # classes and views of the study's batch
SHAPES = [(450, 2), (100, 9), STUDY]
TINY = [(20, 2), (12, 3)]  # more samples than clusters
Builder = Callable[[Negatives, Callable[[], Geometry], int, int], Callable[[Size], Call]]


@cache
def read_rules() -> Mapping[str, Negatives]:
    """Return section `negatives` of the systems by rule, as they are where labels are hidden."""
    systems = read_systems().items()
    sections = [one.negatives for name, (_, one) in systems if name.startswith("hidden/")]
    return {section.rule: section for section in sections}


def build_rule(negatives: Negatives, geometry: Geometry, dimensions: int) -> Objective:
    """Build the loss with a rule, in an epoch in which none rests."""
    loss = PairwiseCrossEntropy(name="pairwise_cross_entropy")
    nothing = NoRegulariser(name="none")
    objective = build_objective(loss, negatives, nothing, geometry, None, dimensions, 0)
    objective.start_epoch(1, 2)
    return objective


def loss_of(
    negatives: Negatives, geometry: Callable[[], Geometry], classes: int, views: int
) -> Callable[[Size], Call]:
    """Return what builds a call of the loss with a rule, with the gradient of what it learns."""

    def build(_: Size) -> Call:
        embeddings = inputs.draw_batch(classes, views, DIMENSIONS).requires_grad_()
        table, space = inputs.batch_table(classes, views), geometry()
        objective = build_rule(negatives, space, DIMENSIONS)

        def compute() -> Tensor:
            loss: Tensor = objective(space, embeddings, space.place(embeddings), table)
            return loss

        return with_gradient(compute, embeddings, *objective.parameters())

    return build


def step_of(
    negatives: Negatives, geometry: Callable[[], Geometry], classes: int, views: int
) -> Callable[[Size], Call]:
    """Return what builds a call of a training step with a rule, of the study's network.

    Images are drawn beforehand. What the network returns is shifted to where embeddings lie in the
    call of the loss alone, and the learning rate is 0: each step is of the same work.
    """

    def build(_: Size) -> Call:
        params = load(TrainParams, path=PARAMS)
        outputs = params.head.outputs
        encoder = build_encoder(params.backbone, params.head, (SIDE, SIDE, 1), 0)
        random = torch.Generator().manual_seed(0)
        images = torch.randn(classes * views, 1, SIDE, SIDE, generator=random)
        shift = inputs.draw_batch(classes, views, outputs) - encoder(images)[1].detach()
        table, space = inputs.batch_table(classes, views), geometry()
        objective = build_rule(negatives, space, outputs)
        optim = params.optim.model_copy(update={"learning_rate": 0.0})
        optimizers = build_optimizers(encoder, space, objective, optim)
        learned = [*encoder.parameters(), *objective.parameters()]

        def call() -> float:
            embeddings = encoder(images)[1] + shift
            loss = objective(space, embeddings, space.place(embeddings), table)
            for optimizer in optimizers:
                optimizer.zero_grad(set_to_none=True)
            loss.backward()
            clip_grad_norm_(learned, params.optim.clip_norm)
            for optimizer in optimizers:
                optimizer.step()
            return float(loss.item())

        return call

    return build


def rules_case(table: str, builder: Builder, geometry: str, classes: int, views: int) -> Case:
    """Return a case of all rules in turn, so that what else the machine does meets all alike."""
    rules = read_rules()
    parts = tuple(
        Implementation(name, builder(section, GEOMETRIES[geometry], classes, views))
        for name, section in rules.items()
    )
    ratios = tuple(Ratio(name, UNIFORM) for name in rules if name != UNIFORM)
    title = f"{geometry}, {views} views x {classes} classes"
    size = (("n", classes * views),)
    return Case(table, title, parts, ratios, memory=False, size=size)


def cases(quick: bool) -> list[Case]:
    """Return the cases: losses alone in batches of several shapes, and steps in the study's."""
    shapes = [("rules", loss_of, *shape) for shape in (TINY if quick else SHAPES)]
    shapes.append(("steps", step_of, *(TINY[0] if quick else STUDY)))
    return [
        rules_case(table, builder, geometry, *shape)
        for table, builder, *shape in shapes
        for geometry in GEOMETRIES
    ]


def main() -> None:
    """Measure and write."""
    options = parse_options(threads=1)  # as a cell that is trained on the CPU
    if not options.quick:
        options = replace(options, budget=3 * options.budget)  # a case has many rules
    run_benchmark("negatives", cases(options.quick), options)


if __name__ == "__main__":
    run(main)
