"""Fit one encoder in one geometry: order on the page is order in time."""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from tqdm import tqdm

from geomix.config.sections import Optim
from geomix.config.stages import TrainParams
from geomix.data.images import augment, draw_boxes, load_batch
from geomix.data.packed import Packed
from geomix.data.prefetch import pays, prefetch
from geomix.errors import InputError
from geomix.geometry.geometry import Geometry, describe_radii
from geomix.geometry.learned import RATE_FACTOR, split_ratios
from geomix.losses.table import Table
from geomix.network.embed import settle_norm
from geomix.network.encoder import Encoder, build_encoder
from geomix.train.batches import Batches, ClassBatches, ImageBatches, TreeBatches
from geomix.train.device import backbone_precision, choose_device
from geomix.train.objective import Objective, build_objective, build_tree_objective


@dataclass(frozen=True)
class Run:
    """What training leaves behind; the name is the cell's."""

    name: str
    encoder: Encoder
    geometry: Geometry
    objective: Objective
    history: list[dict[str, float]]
    device: torch.device


def learning_rate(step: int, steps: int, peak: float, warmup: float) -> float:
    """Return the rate of a step: linear from 0 over the warm-up's share, then a cosine to 0.

    Args:
        step: Counted from 0.
        steps: In the whole run.
        peak: The highest rate.
        warmup: Share of the steps, in [0, 1].
    """
    rising = max(1, round(warmup * steps))
    if step < rising:
        return peak * (step + 1) / rising
    return peak * 0.5 * (1 + math.cos(math.pi * (step - rising) / max(1, steps - rising)))


def refuse_infinite(value: Tensor, what: str, where: str) -> None:
    """Stop before the update: raise InputError where a scalar is not finite."""
    if not torch.isfinite(value):
        raise InputError(
            f"{where}: found {what} {value.item()}, expected a finite one; the update was not made"
        )


def build_optimizers(
    encoder: nn.Module, geometry: Geometry, objective: Objective, optim: Optim
) -> list[torch.optim.Optimizer]:
    """Build AdamW, and what the objective optimises by itself.

    Weight decay acts on matrices of the encoder alone. `factor` of a group multiplies its rate.
    Learned curvatures are in the last group.
    """
    encoders = list(encoder.parameters())
    ratios, others = split_ratios(geometry)
    groups = [
        ([weight for weight in encoders if weight.ndim > 1], optim.weight_decay, 1.0),
        ([weight for weight in [*encoders, *others] if weight.ndim <= 1], 0.0, 1.0),
        (objective.own_parameters(), 0.0, objective.rate_factor),
        (ratios, 0.0, RATE_FACTOR),
    ]
    settings = [
        {"params": weights, "weight_decay": decay, "factor": factor}
        for weights, decay, factor in groups
        if weights
    ]
    adam = torch.optim.AdamW(settings, lr=optim.learning_rate, fused=True)
    return [adam, *objective.optimizers(optim.learning_rate)]


@contextmanager
def not_finite_is_final(where: str) -> Iterator[None]:
    """Say at which step embeddings or logits were refused, as those that are not finite are."""
    try:
        yield
    except InputError as error:
        raise InputError(f"{where}: {error}; the update was not made") from None


def build_batches(packed: Packed, params: TrainParams) -> Batches:
    """Build what draws the batches: by class, by image where labels are hidden, or by tree."""
    rows, batch = packed.rows("train"), params.batch
    if params.task != "class":
        places = packed.coordinates
        lineages, places = packed.lineages[rows], None if places is None else places[rows]
        return TreeBatches(lineages, places, batch.classes, batch.images)
    if params.labels == "hidden":
        return ImageBatches(len(rows), batch.classes * batch.images)
    return ClassBatches(packed.samples["label"].to_numpy()[rows], batch.classes, batch.images)


def build_objective_of(
    params: TrainParams, geometry: Geometry, batches: Batches, seed: int
) -> Objective:
    """Build what is minimised over such batches."""
    if isinstance(batches, TreeBatches):
        return build_tree_objective(params.loss, geometry, batches.mean_distance())
    outputs, classes = params.head.outputs, batches.classes
    return build_objective(
        params.loss, params.negatives, params.regulariser, geometry, classes, outputs, seed
    )


def draw_views(
    packed: Packed,
    batches: Batches,
    params: TrainParams,
    encoder: Encoder,
    device: torch.device,
    generator: torch.Generator,
) -> Iterator[tuple[Table, Tensor]]:
    """Draw the batches of an epoch, and read, crop and change their images.

    Whatever is random in that is drawn here.

    Args:
        packed: The data set; only images of its train split are read.
        batches: What draws them.
        params: Of them crop and augment are read.
        encoder: Whose side, mean and std the views have.
        device: Of the views.
        generator: On the CPU.

    Yields:
        Who the views of a batch are, on the CPU, and the views, float32 (n, C, side, side).
    """
    rows = packed.rows("train")
    for images, table in batches.epoch(generator):
        chosen = rows[images.numpy()]
        boxes, flips = draw_boxes(packed, chosen, params.crop, generator)
        views = load_batch(packed, chosen, boxes, flips, encoder, device)
        yield table, augment(views, params.augment, generator, encoder.std)


def fit(packed: Packed, geometry: Geometry, params: TrainParams, seed: int, name: str) -> Run:
    """Train an encoder so that the geometry's logits tell classes, or images, apart.

    Args:
        packed: The data set; only its train split is touched.
        geometry: The logits to train; what is learned in it is trained with the encoder.
        params: What to train with.
        seed: Of weights, batches and augmentation.
        name: Of the cell, for the progress bar and messages.

    Raises:
        InputError: On batches larger than the data set, a loss that learns something for each class
            where labels are hidden, or a loss or gradient that is not finite (before the update).
    """
    device = choose_device(params.device)
    batches = build_batches(packed, params)
    optim = params.optim
    encoder = build_encoder(params.backbone, params.head, packed.image_shape, seed, packed.moments)
    encoder, geometry = encoder.to(device), geometry.to(device)
    objective = build_objective_of(params, geometry, batches, seed).to(device)
    optimizers = build_optimizers(encoder, geometry, objective, optim)
    groups = [group for optimizer in optimizers for group in optimizer.param_groups]
    trained = [weight for group in groups for weight in group["params"]]
    precision = backbone_precision(device)
    generator = torch.Generator().manual_seed(seed)
    steps = params.epochs * batches.per_epoch
    images = steps * params.batch.classes * params.batch.images
    history: list[dict[str, float]] = []
    bar = tqdm(total=images, desc=name, unit="img", unit_scale=True, disable=None)
    for epoch in range(params.epochs):
        objective.start_epoch(epoch, params.epochs)
        losses: list[float] = []
        radii: list[Tensor] = []
        rate = 0.0
        views_of_epoch = draw_views(packed, batches, params, encoder, device, generator)
        with prefetch(views_of_epoch, pays(packed, device)) as drawn:
            for table, views in drawn:
                step = epoch * batches.per_epoch + len(losses) + 1
                where = f"{name}: step {step}"
                with torch.autocast(device.type, precision, enabled=precision != torch.float32):
                    _, embeddings = encoder(views)
                with not_finite_is_final(where):
                    points = geometry.place(embeddings)
                    loss = objective(embeddings, points, table.to(device))
                if (norms := geometry.radii(points)) is not None:
                    radii.append(norms.detach())
                refuse_infinite(loss, "loss", where)
                rate = learning_rate(step - 1, steps, optim.learning_rate, optim.warmup)
                for group in groups:
                    group["lr"] = rate * group["factor"]
                for optimizer in optimizers:
                    optimizer.zero_grad(set_to_none=True)
                loss.backward()
                norm = nn.utils.clip_grad_norm_(trained, optim.clip_norm)
                refuse_infinite(norm, "gradient norm", where)
                for optimizer in optimizers:
                    optimizer.step()
                geometry.keep_in_range()
                losses.append(loss.item())
                bar.update(len(table))
                bar.set_postfix(epoch=epoch + 1, loss=f"{losses[-1]:.3f}")
        spread = describe_radii(torch.cat(radii) if radii else None, geometry.clip_radius)
        mean = sum(losses) / len(losses)
        learned = geometry.learned() | objective.learned()
        history.append(
            {"epoch": epoch + 1, "loss": mean, "learning_rate": rate, **spread, **learned}
        )
    bar.close()
    settle_norm(encoder, packed, params.crop, device)
    return Run(name, encoder, geometry, objective, history, device)
