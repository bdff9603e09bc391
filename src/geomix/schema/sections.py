"""The sections of params.yaml, and the whole of it: `Params`."""

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from geomix.schema.base import Count, Dataset, Name, NonNegative, Number, Positive, Section, Seed, Share
from geomix.schema.negatives import Negatives
from geomix.schema.studies import Compare, Ensemble, Report, Sweep, Systems


class Split(Section):
    """Shares of the classes; a class is in one split only, and what the shares leave over is not used."""

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


class Crop(Section):
    """Random-resized crops and flips of training images, centre crops of all others."""

    area: Annotated[Number, Field(gt=0, le=1)]
    flip: Share
    centre: Annotated[Number, Field(gt=0, le=1)]


class Backbone(Section):
    """A timm Vision Transformer, from scratch, pretrained, or from a checkpoint, or mlp; null takes the model's own number."""

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
        if self.name != "mlp" and self.width and self.heads and self.width % self.heads:
            raise ValueError(f"a width that its heads divide, not width {self.width} with {self.heads} heads")
        if self.pretrained and self.checkpoint:
            raise ValueError("pretrained or a checkpoint, not both")
        return self


class Head(Section):
    """The linear head."""

    outputs: Count


class Columns(Section):
    """Which of the head's outputs are a space's own: from start to before stop."""

    start: Annotated[int, Field(ge=0)]
    stop: Count


class Weighted(Section):
    """What all spaces share; without columns a space has all of the head's outputs."""

    weight: Positive | Literal["lam"]
    columns: Columns | None = None


class Sphere(Weighted):
    """Cosine."""

    space: Literal["sphere"]


class Scaled(Weighted):
    """What the flat space and the ball share; a clip radius of null clips nothing, normalize feeds unit vectors."""

    scale: Positive | Literal["learned"]
    clip_radius: Positive | None
    normalize: bool = False


class Flat(Scaled):
    """Minus twice the Euclidean distance."""

    space: Literal["flat"]


class Ball(Scaled):
    """Minus the distance in the Poincare ball, at a curvature of its own or, by default, that of the cell."""

    space: Literal["ball"]
    curvature: Positive | None = None
    learn_curvature: bool = False


Space = Annotated[Sphere | Flat | Ball, Field(discriminator="space")]
Geometry = Annotated[dict[Name, Space], Field(min_length=1)]


class PairwiseCrossEntropy(Section):
    """The loss of Hyp-ViT and HypMix."""

    name: Literal["pairwise_cross_entropy"]


class SupervisedContrastive(Section):
    """All positives against all other samples."""

    name: Literal["supervised_contrastive"]


class ProxyAnchor(Section):
    """Learned proxies, one for each training class; the margin is in similarities."""

    name: Literal["proxy_anchor"]
    margin: NonNegative
    rate_factor: Positive


class PeerLoss(Section):
    """A loss of pytorch-metric-learning by its class and arguments; for the cosine alone."""

    name: Literal["pytorch_metric_learning"]
    loss: Annotated[str, Field(pattern=r"^[A-Z]\w+Loss$")]
    arguments: Annotated[dict[str, Any], Field(default_factory=dict)]
    rate_factor: Positive = 1


Loss = Annotated[PairwiseCrossEntropy | SupervisedContrastive | ProxyAnchor | PeerLoss, Field(discriminator="name")]


class NoRegulariser(Section):
    """The loss alone."""

    name: Literal["none"]


class Hier(Section):
    """HIER: learned proxies in a ball of their own, a hierarchy above the samples."""

    name: Literal["hier"]
    weight: Positive
    proxies: Annotated[int, Field(ge=2)]
    neighbours: Annotated[int, Field(ge=2)]
    triplets: Count
    margin: NonNegative
    curvature: Positive
    clip_radius: Positive
    rate_factor: Positive


Regulariser = Annotated[NoRegulariser | Hier, Field(discriminator="name")]


class Batch(Section):
    """P classes and K images of each."""

    classes: Annotated[int, Field(ge=2)]
    images: Annotated[int, Field(ge=2)]


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


class Benchmarks(Section):
    """The study over data sets; its temperatures are `sweep.benchmarks`, what each data set needs is under `benchmark`."""

    datasets: Annotated[list[Dataset], Field(min_length=1)]
    seeds: Annotated[list[Seed], Field(min_length=1)]


class Benchmark(Section):
    """Sections that stand in for those at the top while a data set of `benchmarks` is prepared and trained on."""

    epochs: Count
    split: Split
    images: Images
    crop: Crop
    backbone: Backbone
    batch: Batch
    augment: Augment
    optim: Optim


class System(Section):
    """A row of the study `systems`: what it is, its geometry, and sections that stand in for those at the top."""

    about: Annotated[str, Field(min_length=1)]
    claim: str | None = None
    geometry: Name
    tau: Positive
    curvature: Positive | None = None
    lam: Positive | None = None
    labels: Literal["given", "hidden"] | None = None
    loss: Loss | None = None
    negatives: Negatives | None = None
    regulariser: Regulariser | None = None
    batch: Batch | None = None
    augment: Augment | None = None


class Params(Section):
    """The whole of params.yaml."""

    dataset: Dataset
    tau: Positive
    curvature: Positive
    lam: Positive
    epochs: Count
    device: Literal["auto", "cpu", "cuda"]
    download: Download
    folder: Folder
    embeddings: Embeddings
    images: Images
    split: Split
    crop: Crop
    backbone: Backbone
    head: Head
    geometry: dict[Name, Geometry]
    loss: Loss
    negatives: Negatives
    regulariser: Regulariser
    labels: Literal["given", "hidden"]
    batch: Batch
    augment: Augment
    optim: Optim
    compare: Compare
    sweep: Sweep
    benchmarks: Benchmarks
    benchmark: dict[Dataset, Benchmark]
    systems: Systems
    ensemble: Ensemble
    system: dict[Name, System]
    report: Report
