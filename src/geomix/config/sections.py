"""Sections that say what is trained on what: images, network, geometries, batches, optimiser."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from geomix.config.base import (
    FOR_VECTORS,
    Count,
    Dataset,
    Device,
    Name,
    NonNegative,
    Number,
    Positive,
    Section,
    Seed,
    Share,
)

Fit = Literal["squeeze", "centre", "pad"]  # of an image that is no square, to one


class Split(Section):
    """Shares of the units; a unit is in one split only, what the shares leave over in none.

    A unit is a class, a leaf of the lineages (inner nodes are in train), or a branch: a group of
    the coarsest level of the hierarchy. auto is what the data set asks for.
    """

    unit: Literal["auto", "class", "leaf", "branch"] = "auto"
    seed: Seed
    train: Annotated[Share, Field(gt=0)]
    val: Annotated[Share, Field(gt=0)]
    test: Annotated[Share, Field(gt=0)]

    @model_validator(mode="after")
    def _at_most_all_classes(self) -> "Split":
        total = self.train + self.val + self.test
        if total > 1 + 1e-9:
            raise ValueError(f"at most 1 for train + val + test, not {total:g}")
        return self


class Download(Section):
    """Where archives are looked for before the network."""

    mirror: str | None


class Folder(Section):
    """The user's own images: class folders, or a table of paths and labels in the folder."""

    path: str | None
    table: str | None


class Embeddings(Section):
    """The user's own vectors: a .npy with a table of labels beside it, or one .parquet."""

    path: str | None
    table: str | None


class Images(Section):
    """How images are packed; auto and null are the data set's defaults."""

    form: Literal["auto", "decoded", "encoded"]
    side: Count | None
    broken: Annotated[int, Field(ge=0)]
    duplicates: Literal["keep", "drop", "refuse"] | Annotated[int, Field(ge=0)] = "keep"


class Classes(Section):
    """Which classes are large enough to train on, and how many samples of one are used at most.

    A class below smallest_class is refused where it would be trained on; or it is dropped; or one
    sample of it is in the gallery of val or test, where it can be found but has nothing to find.
    """

    smallest_class: Count = 2
    below: Literal["refuse", "drop", "gallery"] = "refuse"
    largest_class: Annotated[int, Field(ge=2)] | None = None

    @model_validator(mode="after")
    def _in_order(self) -> "Classes":
        if self.largest_class is not None and self.largest_class < self.smallest_class:
            raise ValueError(f"a largest_class of at least smallest_class, {self.smallest_class}")
        return self


class Crop(Section):
    """Random-resized crops and flips of training images, the centre of all others.

    Attributes:
        fit: How an image is made a square, for all of them.
        area: Smallest share of a random crop.
        flip: Probability of a mirror image.
        centre: Share of the side of the square that is seen where nothing is drawn.
    """

    fit: Fit = "squeeze"
    area: Annotated[Number, Field(gt=0, le=1)]
    flip: Share
    centre: Annotated[Number, Field(gt=0, le=1)]


class Backbone(Section):
    """A timm Vision Transformer, mlp or linear; null takes the model's own number."""

    name: Annotated[str, Field(min_length=1)]
    pretrained: bool
    checkpoint: str | None
    stem: Literal["patch", "conv"]
    side: Count | None
    patch: Count | None
    width: Count | None
    depth: Count | None
    heads: Count | None
    drop_path: Annotated[Number, Field(ge=0, lt=1)]
    freeze_patch_embedding: bool

    @model_validator(mode="after")
    def _width_splits_over_heads(self) -> "Backbone":
        of_images = self.name not in FOR_VECTORS
        if of_images and self.width and self.heads and self.width % self.heads:
            raise ValueError(
                f"a width that its heads divide, not width {self.width} with {self.heads} heads"
            )
        if self.pretrained and self.checkpoint:
            raise ValueError("pretrained or a checkpoint, not both")
        return self


class Frozen(Backbone):
    """A backbone that is not trained, of which all but the name may be left out."""

    pretrained: bool = False
    checkpoint: str | None = None
    side: Count | None = None
    stem: Literal["patch", "conv"] = "patch"
    patch: Count | None = None
    width: Count | None = None
    depth: Count | None = None
    heads: Count | None = None
    drop_path: Annotated[Number, Field(ge=0, lt=1)] = 0
    freeze_patch_embedding: bool = False


class Features(Section):
    """What a frozen backbone embeds: the images of a data set; vectors are taken as they are.

    Attributes:
        dataset: The data set.
        batch: Images that the backbone takes at a time.
        device: Where it computes.
        fit: How an image is made a square.
        centre: Share of the side of that square that it sees.
        backbone: The Vision Transformer.
    """

    dataset: Dataset
    batch: Count
    device: Device
    fit: Fit = "squeeze"
    centre: Annotated[Number, Field(gt=0, le=1)]
    backbone: Frozen


class Head(Section):
    """The linear head, and the norm of its outputs."""

    outputs: Count
    norm: Literal["none", "batch", "layer"]


class Outputs(Section):
    """Which of the head's outputs are a space's own: from start to before stop."""

    start: Annotated[int, Field(ge=0)]
    stop: Count

    @model_validator(mode="after")
    def _rising(self) -> "Outputs":
        if self.start >= self.stop:
            raise ValueError(f"start below stop, not {self.start} and {self.stop}")
        return self


class Weighted(Section):
    """What all spaces share; without outputs of its own a space uses all of the head's."""

    weight: Positive | Literal["lam"]
    learn_weight: bool = False
    outputs: Outputs | None = None


class Sphere(Weighted):
    """Cosine."""

    space: Literal["sphere"]


class Radius(Section):
    """A scale that takes outputs of variance 1, as `head.norm` makes them, to a mean radius.

    It is the radius over the root of the number of outputs.
    """

    radius: Positive


class Scaled(Weighted):
    """What flat space, inner product and ball share; a clip radius of null clips nothing."""

    scale: Positive | Literal["learned"] | Radius
    clip_radius: Positive | None
    normalize: bool = False


class Flat(Scaled):
    """Minus twice the Euclidean distance."""

    space: Literal["flat"]


class Inner(Scaled):
    """The inner product."""

    space: Literal["inner"]


class Ball(Scaled):
    """Minus the distance in the Poincare ball, at the cell's curvature or one of its own."""

    space: Literal["ball"]
    curvature: Positive | None = None
    learn_curvature: bool = False


class Power(Weighted):
    """Minus the ball's distance at one radius, at the cell's curvature or one of its own."""

    space: Literal["power"]
    radius: Positive
    curvature: Positive | None = None


Space = Annotated[Sphere | Flat | Inner | Ball | Power, Field(discriminator="space")]
Geometry = Annotated[dict[Name, Space], Field(min_length=1)]


class Machine(Section):
    """What a training runs on. No stage depends on it.

    It changes results by rounding; with dropout or drop path, `devices` and `nodes` also change
    what is drawn.

    Attributes:
        devices: Of each node, with a process for each; auto takes all.
        nodes: Machines.
        compile: Whether torch.compile compiles the backbone.
        recompute: Whether the backward pass computes what the backbone's blocks keep otherwise.
        snapshot_minutes: Between two snapshots of a training; 0 takes one after each step.
    """

    devices: Count | Literal["auto"] = 1
    nodes: Count = 1
    compile: bool = False
    recompute: bool = False
    snapshot_minutes: NonNegative = 5


class Batch(Section):
    """P classes and K images of each; chunk is how many the backbone takes at a time."""

    classes: Annotated[int, Field(ge=2)]
    images: Annotated[int, Field(ge=2)]
    chunk: Count | None = None


class Augment(Section):
    """Largest random changes of a training image."""

    rotate: Annotated[Number, Field(ge=0, le=180)]
    zoom: Annotated[Number, Field(ge=0, lt=1)]
    shear: NonNegative
    shift: Share
    noise: NonNegative


class Optim(Section):
    """AdamW with a linear warm-up and a cosine decay to zero."""

    learning_rate: Positive
    weight_decay: NonNegative
    warmup: Share
    clip_norm: Positive
