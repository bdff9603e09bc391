"""What a training begins with, and all that it changes: what a snapshot holds."""

from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from geomix.config.sections import Optim
from geomix.config.stages import TrainParams
from geomix.data.packed import Packed
from geomix.errors import InputError
from geomix.geometry.geometry import Geometry
from geomix.geometry.learned import RATE_FACTOR
from geomix.network.encoder import Encoder, build_encoder
from geomix.network.ranks import add_up, count_ranks, gather, own_rank
from geomix.train.batches import Batches, ClassBatches, ImageBatches, TreeBatches
from geomix.train.chunks import random_state, set_random_state
from geomix.train.objective import Objective, build_objective, build_tree_objective

APART = 1_000_003  # between the seeds of the dropout of two ranks


@dataclass
class State:
    """A training between two steps.

    Attributes:
        encoder: Trained, as are geometry and objective.
        optimizers: With their moments.
        generator: Draws batches, crops and changes.
        epochs: In all.
        per_epoch: Steps of each.
        epoch: Under way or next, counted from 0.
        generator_state: Of the generator when the epoch began.
        losses: Of the steps of this epoch.
        radii: Of their points, where the geometry has radii.
        history: A row for each epoch that ended.
        first_loss: Of the first step; None before it.
    """

    encoder: Encoder
    geometry: Geometry
    objective: Objective
    optimizers: list[torch.optim.Optimizer]
    generator: torch.Generator
    epochs: int
    per_epoch: int
    epoch: int = 0
    generator_state: Tensor = field(default_factory=lambda: torch.empty(0))
    losses: list[float] = field(default_factory=list)
    radii: list[Tensor] = field(default_factory=list)
    history: list[dict[str, float]] = field(default_factory=list)
    first_loss: float | None = None

    @property
    def device(self) -> torch.device:
        """Where it computes."""
        return self.encoder.head.weight.device

    @property
    def groups(self) -> list[dict[str, Any]]:
        """The groups of all optimisers."""
        return [group for optimizer in self.optimizers for group in optimizer.param_groups]

    @property
    def trained(self) -> list[nn.Parameter]:
        """What the optimisers train."""
        return [weight for group in self.groups for weight in group["params"]]

    @property
    def modules(self) -> dict[str, nn.Module]:
        """What has weights, by name."""
        return {"encoder": self.encoder, "geometry": self.geometry, "objective": self.objective}

    @property
    def steps(self) -> int:
        """Steps in all."""
        return self.epochs * self.per_epoch

    @property
    def step(self) -> int:
        """The number of the next step, counted from 0."""
        return self.epoch * self.per_epoch + len(self.losses)

    def start_epoch(self) -> None:
        """Begin an epoch, unless the training goes on within one."""
        if not self.losses:
            self.generator_state = self.generator.get_state()
            self.objective.start_epoch(self.epoch, self.epochs)

    def note_step(self, loss: float, radii: Tensor | None) -> None:
        """Note the loss of a step, and the radii of its points if the geometry has radii."""
        self.losses.append(loss)
        if radii is not None:
            self.radii.append(radii.detach())
        if self.first_loss is None:
            self.first_loss = loss

    def end_epoch(self, row: dict[str, float]) -> None:
        """End an epoch with its row of the history."""
        self.history.append(row)
        self.epoch += 1
        self.losses, self.radii = [], []
        self.generator_state = self.generator.get_state()

    def share_gradients(self) -> None:
        """Make the gradients of this rank those of the whole batch.

        The backbone's are sums over the images of a rank, and are added up. All after it computed
        the whole batch on each rank: the mean keeps ranks equal where rounding told them apart.
        """
        if count_ranks() == 1:
            return
        summed = {id(weight) for weight in self.encoder.backbone.parameters()}
        gradients = []
        for weight in self.trained:
            if weight.grad is not None:
                if id(weight) not in summed:
                    weight.grad /= count_ranks()
                gradients.append(weight.grad)
        add_up(gradients)

    def keep(self) -> dict[str, Any]:
        """Return all that the following steps depend on; each rank has to call it."""
        random = [one.to(self.device).unsqueeze(0) for one in random_state(self.device)]
        return {
            "modules": {name: module.state_dict() for name, module in self.modules.items()},
            "optimizers": [one.state_dict()["state"] for one in self.optimizers],
            "random": [gather(one, count_ranks()).cpu() for one in random],
            "generator": self.generator_state,
            "epoch": self.epoch,
            "losses": self.losses,
            "radii": [torch.cat(self.radii)] if self.radii else [],
            "history": self.history,
            "first_loss": self.first_loss,
        }

    def restore(self, kept: dict[str, Any]) -> None:
        """Go on from what `keep` returned."""
        self.epoch, self.losses, self.history = kept["epoch"], kept["losses"], kept["history"]
        self.radii = [radii.to(self.device) for radii in kept["radii"]]
        self.generator_state, self.first_loss = kept["generator"], kept["first_loss"]
        self.objective.start_epoch(self.epoch, self.epochs)
        for name, module in self.modules.items():
            load_weights(module, kept["modules"][name])
        for optimizer, moments in zip(self.optimizers, kept["optimizers"], strict=True):
            load_moments(optimizer, moments)
        self.generator.set_state(self.generator_state)
        set_random_state(self.device, [one[own_rank()] for one in kept["random"]])


def load_moments(optimizer: torch.optim.Optimizer, kept: dict[int, dict[str, Any]]) -> None:
    """Load the moments of an optimiser as they were.

    Its own `load_state_dict` makes a float32 tensor of the count of steps, from which geoopt then
    computes in float32.
    """
    weights = [weight for group in optimizer.param_groups for weight in group["params"]]
    for number, values in kept.items():
        place = weights[number].device
        optimizer.state[weights[number]] = {
            name: value.to(place) if isinstance(value, Tensor) else value
            for name, value in values.items()
        }


def load_weights(module: nn.Module, kept: dict[str, Any]) -> None:
    """Load a state into a module, whose buffers may have grown, as centroids do."""
    for name, buffer in module.named_buffers():
        if name in kept and buffer.shape != kept[name].shape:
            buffer.resize_(kept[name].shape)
    module.load_state_dict(kept)


def build_state(
    packed: Packed,
    geometry: Geometry,
    params: TrainParams,
    batches: Batches,
    seed: int,
    device: torch.device,
) -> State:
    """Build what is trained, before the first step; the same seed gives the same weights."""
    encoder = build_encoder(params.backbone, params.head, packed.image_shape, seed, packed.moments)
    encoder, geometry = encoder.to(device), geometry.to(device)
    if device.type == "cuda":
        encoder.backbone.to(memory_format=torch.channels_last)  # of its convolutions
    if params.machine.recompute and hasattr(encoder.backbone, "set_grad_checkpointing"):
        encoder.backbone.set_grad_checkpointing()  # type: ignore[operator]
    objective = build_objective_of(params, geometry, batches, seed).to(device)
    if own_rank():
        torch.manual_seed(seed + APART * own_rank())  # of dropout and drop path
    return State(
        encoder,
        geometry,
        objective,
        build_optimizers(encoder, geometry, objective, params.optim),
        torch.Generator().manual_seed(seed),
        params.epochs,
        batches.per_epoch,
    )


def build_optimizers(
    encoder: nn.Module, geometry: Geometry, objective: Objective, optim: Optim
) -> list[torch.optim.Optimizer]:
    """Build AdamW, and what the objective optimises by itself.

    Weight decay acts on those weights of the encoder that have two or more dimensions. `factor` of
    a group multiplies its rate. What the geometry learns is in the last group.
    """
    encoders = list(encoder.parameters())
    groups = [
        ([weight for weight in encoders if weight.ndim > 1], optim.weight_decay, 1.0),
        ([weight for weight in encoders if weight.ndim <= 1], 0.0, 1.0),
        (objective.own_parameters(), 0.0, objective.rate_factor),
        (list(geometry.parameters()), 0.0, RATE_FACTOR),
    ]
    settings = [
        {"params": weights, "weight_decay": decay, "factor": factor}
        for weights, decay, factor in groups
        if weights
    ]
    adam = torch.optim.AdamW(settings, lr=optim.learning_rate, fused=True)
    return [adam, *objective.optimizers(optim.learning_rate)]


def build_batches(packed: Packed, params: TrainParams) -> Batches:
    """Build what draws the batches: by class, by image where labels are hidden, or by tree.

    Raises:
        InputError: On batches larger than the data set, or relevance lineage without relatives.
    """
    rows, batch = packed.rows("train"), params.batch
    if params.task != "class":
        places = packed.coordinates
        lineages, places = packed.lineages[rows], None if places is None else places[rows]
        tree = TreeBatches(lineages, places, batch.classes, batch.images)
        if params.task == "lineage" and not tree.has_relatives:
            found = "lineage, and in the train split no sample with a relative"
            expected = "two samples of one node, or samples at a node above others"
            raise InputError(f"relevance: found {found}, expected {expected}")
        return tree
    if params.labels == "hidden":
        return ImageBatches(len(rows), batch.classes * batch.images)
    return ClassBatches(packed.samples["label"].to_numpy()[rows], batch.classes, batch.images)


def build_objective_of(
    params: TrainParams, geometry: Geometry, batches: Batches, seed: int
) -> Objective:
    """Build what is minimised over such batches."""
    if isinstance(batches, TreeBatches):
        return build_tree_objective(params.loss)
    outputs, classes = params.head.outputs, batches.classes
    return build_objective(
        params.loss, params.negatives, params.regulariser, geometry, classes, outputs, seed
    )
