"""Fit one encoder in one geometry: order on the page is order in time."""

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from tqdm import tqdm

from geomix.data.crops import draw_crops, draw_flips
from geomix.data.images import augment, load_batch
from geomix.data.packed import Packed
from geomix.data.prefetch import pays, prefetch
from geomix.errors import InputError
from geomix.geometry.geometry import Geometry, describe_radii
from geomix.losses.table import Table
from geomix.network.encoder import Encoder, build_encoder
from geomix.train.batches import ClassBatches, ImageBatches
from geomix.train.objective import Objective, build_objective, regularise

if TYPE_CHECKING:
    from geomix.regularisers.hier import Hierarchy


@dataclass(frozen=True)
class Run:
    """What training leaves behind."""

    encoder: Encoder
    geometry: Geometry
    history: list[dict[str, float]]
    device: torch.device
    hierarchy: "Hierarchy | None" = None


def choose_device(name: str) -> torch.device:
    """Resolve `device`: auto takes CUDA where there is one. On the CPU set one thread, which fixes
    the bytes.

    Raises:
        InputError: If cuda is asked for and there is none.
    """
    if name == "cuda" and not torch.cuda.is_available():
        raise InputError("device: found cuda, expected auto or cpu: there is no CUDA device here")
    device = torch.device("cuda" if name != "cpu" and torch.cuda.is_available() else "cpu")
    if device.type == "cpu":
        torch.set_num_threads(1)
        torch.use_deterministic_algorithms(True)
        torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]  # a debugging aid that costs a tenth of a step
    return device


def learning_rate(step: int, steps: int, peak: float, warmup: float) -> float:
    """Give the rate of a step: linear from 0 over the warm-up's share of the steps, then a cosine
    to 0.

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
    encoder: nn.Module, geometry: Geometry, objective: Objective, optim: Mapping[str, Any]
) -> list[torch.optim.Optimizer]:
    """Build AdamW and, where a hierarchy has proxies on a ball, Riemannian Adam, whose steps are
    geodesics.

    Weight decay is on matrices of the encoder alone; `factor` of a group multiplies its learning
    rate.
    """
    encoders, others = list(encoder.parameters()), list(geometry.parameters())
    groups = [
        ([weight for weight in encoders if weight.ndim > 1], optim["weight_decay"], 1.0),
        ([weight for weight in [*encoders, *others] if weight.ndim <= 1], 0.0, 1.0),
        (objective.own_parameters(), 0.0, objective.rate_factor),
    ]
    settings = [
        {"params": weights, "weight_decay": decay, "factor": factor}
        for weights, decay, factor in groups
        if weights
    ]
    optimizers: list[torch.optim.Optimizer] = [
        torch.optim.AdamW(settings, lr=optim["learning_rate"], fused=True)
    ]
    if objective.hierarchy:
        from geomix.regularisers.hier import build_riemannian

        optimizers.append(build_riemannian(objective.hierarchy, optim["learning_rate"]))
    return optimizers


@contextmanager
def not_finite_is_final(where: str) -> Iterator[None]:
    """Say where embeddings or logits were refused, as those that are not finite are."""
    try:
        yield
    except InputError as error:
        raise InputError(f"{where}: {error}; the update was not made") from None


def draw_views(
    packed: Packed,
    batches: ClassBatches | ImageBatches,
    params: Mapping[str, Any],
    encoder: Encoder,
    device: torch.device,
    generator: torch.Generator,
) -> Iterator[tuple[Table, Tensor]]:
    """Draw the batches of an epoch, and read, crop and change their images: whatever is random in
    that is drawn here.

    Args:
        packed: The data set; only images of its train split are read.
        batches: What draws them.
        params: Keys crop and augment of params.yaml.
        encoder: Whose side, mean and std the views shall have.
        device: Where they shall be.
        generator: On the CPU.

    Yields:
        Who the views of a batch are, on the CPU, and the views, float32 (n, C, side, side).
    """
    rows = packed.rows("train")
    aspects = torch.from_numpy(packed.aspects[rows])
    crop = (
        {"area": 1, "flip": 0} if packed.form == "vectors" else params["crop"]
    )  # vectors draw nothing
    for images, table in batches.epoch(generator):
        boxes = draw_crops(aspects[images], crop["area"], generator)
        flips = draw_flips(len(table), crop["flip"], generator)
        views = load_batch(packed, rows[images.numpy()], boxes, flips, encoder, device)
        yield table, augment(views, params["augment"], generator, encoder.std)


def fit(packed: Packed, geometry: Geometry, params: Mapping[str, Any], seed: int, name: str) -> Run:
    """Train an encoder so that the geometry's logits tell the classes of the train split, or its
    images, apart.

    Args:
        packed: The data set; only its train split is touched.
        geometry: The logits to train; what is learned in it is trained with the encoder.
        params: Keys epochs, device, backbone, head, loss, negatives, regulariser, labels, batch,
            crop, augment, optim of params.yaml.
        seed: Of weights, batches and augmentation.
        name: Of the cell, for the progress bar.

    Raises:
        InputError: On batches larger than the data set, a loss that learns something for each class
            where labels are hidden, or a loss or gradient that is not finite (before the update).
    """
    device = choose_device(params["device"])
    rows = packed.rows("train")
    batch, optim = params["batch"], params["optim"]
    batches: ClassBatches | ImageBatches
    if params["labels"] == "given":
        batches = ClassBatches(
            packed.samples["label"].to_numpy()[rows], batch["classes"], batch["images"]
        )
    else:
        batches = ImageBatches(len(rows), batch["classes"] * batch["images"])
    encoder = build_encoder(
        params["backbone"], params["head"]["outputs"], packed.image_shape, seed, packed.moments
    ).to(device)
    geometry = geometry.to(device)
    outputs, negatives = params["head"]["outputs"], params["negatives"]
    objective = build_objective(params["loss"], geometry, batches.classes, outputs, seed, negatives)
    objective = regularise(objective, params["regulariser"], outputs, seed).to(device)
    optimizers = build_optimizers(encoder, geometry, objective, optim)
    groups = [group for optimizer in optimizers for group in optimizer.param_groups]
    trained = [weight for group in groups for weight in group["params"]]
    generator = torch.Generator().manual_seed(seed)
    steps = params["epochs"] * batches.per_epoch
    history: list[dict[str, float]] = []
    bar = tqdm(
        total=steps * batch["classes"] * batch["images"],
        desc=name,
        unit="img",
        unit_scale=True,
        disable=None,
    )
    for epoch in range(params["epochs"]):
        objective.start_epoch(epoch, params["epochs"])
        losses: list[float] = []
        radii: list[Tensor] = []
        rate = 0.0
        with prefetch(
            draw_views(packed, batches, params, encoder, device, generator), pays(packed, device)
        ) as drawn:
            for table, views in drawn:
                step = epoch * batches.per_epoch + len(losses) + 1
                with torch.autocast(device.type, torch.bfloat16, enabled=device.type == "cuda"):
                    _, embeddings = encoder(views)
                embeddings = embeddings.float()
                with not_finite_is_final(f"{name}: step {step}"):
                    points = geometry.place(embeddings)
                    loss = objective(embeddings, points, table.to(device))
                if (norms := geometry.radii(points)) is not None:
                    radii.append(norms.detach())
                refuse_infinite(loss, "loss", f"{name}: step {step}")
                rate = learning_rate(step - 1, steps, optim["learning_rate"], optim["warmup"])
                for group in groups:
                    group["lr"] = rate * group["factor"]
                for optimizer in optimizers:
                    optimizer.zero_grad(set_to_none=True)
                loss.backward()
                norm = nn.utils.clip_grad_norm_(trained, optim["clip_norm"])
                refuse_infinite(norm, "gradient norm", f"{name}: step {step}")
                for optimizer in optimizers:
                    optimizer.step()
                geometry.keep_in_range()
                losses.append(loss.item())
                bar.update(len(table))
                bar.set_postfix(epoch=epoch + 1, loss=f"{losses[-1]:.3f}")
        spread = describe_radii(torch.cat(radii) if radii else None, geometry.clip_radius)
        mean = sum(losses) / len(losses)
        history.append(
            {
                "epoch": epoch + 1,
                "loss": mean,
                "learning_rate": rate,
                **spread,
                **geometry.learned(),
            }
        )
    bar.close()
    return Run(encoder, geometry, history, device, objective.hierarchy)
