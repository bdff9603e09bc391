"""Fit one encoder in one geometry: order on the page is order in time."""

import math
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from lightning_fabric import Fabric
from torch import Tensor, nn
from tqdm import tqdm

from geomix.config.stages import TrainParams
from geomix.data.images import hold_images
from geomix.data.packed import Packed
from geomix.data.prefetch import pays, prefetch
from geomix.errors import InputError
from geomix.geometry.geometry import Geometry, Points, describe_radii
from geomix.network.embed import settle_norm
from geomix.network.encoder import Encoder
from geomix.network.ranks import gather, own_part, own_rank
from geomix.progress import open_bar
from geomix.train.chunks import Chunks
from geomix.train.machine import open_machine
from geomix.train.objective import Objective
from geomix.train.snapshots import Snapshots
from geomix.train.state import State, build_batches, build_state
from geomix.train.views import Batch, draw_views
from geomix.train.watch import describe_batch, list_worries, name_worst, refuse_infinite


@dataclass(frozen=True)
class Run:
    """What training leaves behind; the name is the cell's.

    Features are those of train, (n, width), where a batch norm was measured on them.
    """

    name: str
    encoder: Encoder
    geometry: Geometry
    objective: Objective
    history: list[dict[str, float]]
    device: torch.device
    features: np.ndarray | None


class Step(NamedTuple):
    """What a step computed: embeddings (N, D) of the whole batch, their points, and the loss."""

    embeddings: Tensor
    points: Points
    loss: Tensor


def learning_rate(step: int, steps: int, peak: float, warmup: float) -> float:
    """Return the rate of a step: a linear rise to the peak over the warm-up, then a cosine to 0.

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


def fit(
    packed: Packed,
    geometry: Geometry,
    params: TrainParams,
    seed: int,
    name: str,
    machine: Fabric | None = None,
    snapshots: Snapshots | None = None,
) -> Run:
    """Train an encoder so that the geometry's logits tell classes, or images, apart.

    Args:
        packed: The data set; only its train split is touched.
        geometry: The logits to train; what is learned in it is trained with the encoder.
        params: What to train with.
        seed: Of weights, batches and augmentation.
        name: Of the cell, for the progress bar and messages.
        machine: From `open_machine`, once for all cells of a process; None opens one.
        snapshots: From which training goes on, and where it is kept; None keeps nothing.

    Raises:
        InputError: On batches larger than the data set, a loss that learns something for each class
            where labels are hidden, lineages without relatives, or a loss or gradient that is not
            finite (before the update).
    """
    machine, snapshots = machine or open_machine(params), snapshots or Snapshots()
    device, optim = machine.device, params.optim
    batches = build_batches(packed, params)
    state = build_state(packed, geometry, params, batches, seed, device)
    network = state.encoder.backbone
    backbone = torch.compile(network) if params.machine.compile else network
    chunks = Chunks(backbone, params.batch.chunk, machine.autocast)
    held = hold_images(packed, device)
    snapshots.restore(state)
    with snapshots.listening(), count_steps(state, name) as bar:
        while state.epoch < state.epochs:
            state.start_epoch()
            views = draw_views(packed, batches, params, state, held)
            with prefetch(views, pays(packed, device)) as ready:
                for batch in ready:
                    rate = learning_rate(state.step, state.steps, optim.learning_rate, optim.warmup)
                    with explained(name, state, rate, packed, batch, snapshots):
                        step = take_step(state, chunks, batch, rate, optim.clip_norm)
                    state.note_step(step.loss.item(), geometry.radii(step.points))
                    epoch, loss = state.epoch + 1, f"{state.losses[-1]:.3f}"
                    bar.set_postfix(epoch=epoch, loss=loss, refresh=False)
                    bar.update()
                    if len(state.losses) < state.per_epoch:
                        snapshots.keep(state)
            seen = describe_batch(geometry, step.embeddings, step.points, batch.table, params.task)
            state.end_epoch(describe_epoch(state, rate, seen))
            warn(name, state)
            snapshots.keep(state, epoch_ended=True)
    features = settle_norm(state.encoder, packed, params.crop, device)
    return Run(name, state.encoder, geometry, state.objective, state.history, device, features)


def take_step(state: State, backbone: Chunks, batch: Batch, rate: float, clip_norm: float) -> Step:
    """Take one step, in the order of this page.

    Each rank computes the features of its part of the batch, and from there on the whole batch.

    Args:
        state: What is trained.
        backbone: Its backbone.
        batch: Who is in it, and the views of this rank.
        rate: The learning rate.
        clip_norm: Highest norm of the gradient.

    Raises:
        InputError: On embeddings, a loss or a gradient that is not finite, before the update.
    """
    for optimizer in state.optimizers:
        optimizer.zero_grad(set_to_none=True)
    features = gather(backbone.forward(batch.views), len(batch.table)).requires_grad_()
    embeddings = state.encoder.project(features)
    points = state.geometry.place(embeddings)
    loss = state.objective(state.geometry, embeddings, points, batch.table)
    refuse_infinite(loss, "loss")
    loss.backward()
    if features.grad is not None:
        backbone.backward(features.grad[own_part(len(features))])
    state.share_gradients()
    norm = nn.utils.clip_grad_norm_(state.trained, clip_norm)
    refuse_infinite(norm, "gradient norm")
    for group in state.groups:
        group["lr"] = rate * group["factor"]
    for optimizer in state.optimizers:
        optimizer.step()
    state.geometry.keep_in_range()
    return Step(embeddings.detach(), [part.detach() for part in points], loss.detach())


@contextmanager
def explained(
    name: str, state: State, rate: float, packed: Packed, batch: Batch, snapshots: Snapshots
) -> Iterator[None]:
    """Say at which step, rate and tensor numbers went bad, and keep the samples of the batch."""
    try:
        yield
    except InputError as error:
        step, worst = state.step + 1, name_worst(state)
        samples = packed.samples.iloc[batch.rows]
        facts = {"cell": name, "epoch": state.epoch + 1, "step": step, "learning_rate": rate}
        facts |= {"error": str(error), "worst": worst}
        snapshots.keep_batch(facts | {"samples": samples["id"].tolist()})
        where = f"learning rate {rate:.3g}, worst in {worst}; the update was not made"
        raise InputError(f"{name}: step {step}: {error}; {where}") from None


def describe_epoch(state: State, rate: float, seen: dict[str, float]) -> dict[str, float]:
    """Return the row of an epoch whose steps are done; seen: what its last step saw."""
    radii = torch.cat(state.radii) if state.radii else None
    return {
        "epoch": state.epoch + 1,
        "loss": sum(state.losses) / len(state.losses),
        "learning_rate": rate,
        **describe_radii(radii, state.geometry.clip_radius),
        **seen,
        **state.geometry.learned(),
        **state.objective.learned(),
    }


def count_steps(state: State, name: str) -> Any:
    """Open the progress bar, in steps, as batches of a tree differ in size; the first rank's."""
    return open_bar(
        desc=name,
        total=state.steps,
        initial=state.step,
        unit="step",
        disable=own_rank() > 0,
    )


def warn(name: str, state: State) -> None:
    """Print what is wrong with the epoch that ended, above the progress bar."""
    if own_rank() or state.first_loss is None:
        return
    last = state.epoch == state.epochs
    for worry in list_worries(state.history, state.first_loss, last):
        tqdm.write(f"training of {name}: {worry}", file=sys.stderr)
