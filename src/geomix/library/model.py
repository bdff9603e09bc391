"""A trained run in use: embed pictures, search, measure distances.

    model = geomix.load_run("runs/glyphs/compare/hyperbolic_free-0-2/0")
    found = model.search(model.embed(["letter.png"]), model.vectors, k=5)
    print(model.samples["label"].iloc[found.rows[0]], found.distances[0])

docs/search.md has more.
"""

import math
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple
from zipfile import BadZipFile

import numpy as np
import pandas as pd
import torch
from PIL import Image
from pydantic import ValidationError
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from geomix.config.sections import Backbone, Crop, Head
from geomix.data.packed import SPLITS
from geomix.errors import InputError
from geomix.files import read_json
from geomix.geometry.geometry import Geometry, Points, describe_radii, geometry_from
from geomix.geometry.spaces import Space
from geomix.library.frozen import Frozen, open_backbone
from geomix.library.pictures import Form, Picture, embed_pictures
from geomix.network.checkpoints import describe_mismatch
from geomix.network.encoder import Encoder, build_encoder
from geomix.retrieval.search import LARGEST, compare_pairs, nearest
from geomix.train.device import choose_device

PAIRS = 2**20  # numbers of pairs that are compared at a time
WHOLE = ("model.json", "geometry.json", "samples.parquet", "model.safetensors", "embeddings.npz")

Vectors = np.ndarray | Tensor


class Found(NamedTuple):
    """What a search found: rows of the index, (Q, k) int64, and their distances, (Q, k) float64."""

    rows: np.ndarray
    distances: np.ndarray


class Model:
    """A trained run: its network, its geometry, and what it embedded.

    Attributes:
        folder: Of the run.
        encoder: Backbone, head and norm, in evaluation mode.
        geometry: What compares embeddings, with its numbers as they were trained.
        dataset: What it was trained on.
        samples: The table of what it embedded: id, label, levels, split. Its rows are those of
            `vectors`.
        form: The form in which the network takes samples.
        device: On which it computes.
        frozen: Of a run on features, the backbone that made them, if it is known.
        refusal: Of a run on features, why it takes no pictures; empty if it does.
    """

    def __init__(
        self,
        folder: Path,
        encoder: Encoder,
        geometry: Geometry,
        described: Mapping[str, Any],
        samples: pd.DataFrame,
        device: torch.device,
        frozen: Frozen | None = None,
        refusal: str = "",
    ) -> None:
        """Hold the parts of a run; `load_run` reads them."""
        self.folder, self.samples = folder, samples
        self.device, self.frozen, self.refusal = device, frozen, refusal
        self.encoder = encoder.to(device).eval()
        self.geometry = geometry.to(device)
        self.dataset: str = described["dataset"]
        given = described["input"]
        height, width, channels = given["shape"]
        self.form = Form(given["form"], (height, width, channels), Crop(**given["crop"]))

    @cached_property
    def vectors(self) -> np.ndarray:
        """The embeddings of `samples`, float32 (N, D), as the head returned them.

        Raises:
            InputError: If they are not there, or not as many as the samples.
        """
        path = self.folder / "embeddings.npz"
        try:
            with path.open("rb") as file, np.load(file, allow_pickle=False) as stored:
                parts = [stored[f"{split}_head"] for split in SPLITS]
        except (BadZipFile, EOFError, KeyError, ValueError) as error:
            raise InputError(f"{path}: damaged: {error}") from None
        vectors: np.ndarray = np.concatenate(parts)
        if len(vectors) != len(self.samples):
            expected = f"{len(self.samples)}, as samples.parquet has"
            raise InputError(f"{path}: found {len(vectors)} embeddings, expected {expected}")
        return vectors

    def embed(
        self,
        images: Picture | Sequence[Picture] | np.ndarray,
        aspects: Sequence[float] | None = None,
    ) -> np.ndarray:
        """Embed pictures as those of the data set were: cropped, normalised, encoded.

        Args:
            images: N pictures: paths, bytes of files, PIL images, or uint8 pixels (H, W) or
                (H, W, C); or an array (N, H, W, C), of a run on grey pictures also (N, H, W); or
                one path, file, PIL image or grey array (H, W). Of a run on vectors, vectors (N, D),
                and pictures too where the backbone that made them is known.
            aspects: Width over height of the originals, (N,), of pictures that were squeezed to
                squares, as packed ones are. None: pictures are as their originals.

        Returns:
            Embeddings, float32 (N, outputs), on the CPU, for `search`, `distances` and an index.

        Raises:
            InputError: If a picture cannot be read, with its name; if an array has another shape,
                there are not as many aspects, or a run on features takes no pictures.

        Accuracy:
            On a CPU of the kind that the run was trained on, all pictures of a split in their order
            have the embeddings that the run stored, to the bit. In batches of other lengths the
            last bits may differ, because sums are in another order.
        """
        if isinstance(images, str | Path | bytes | Image.Image):
            images = [images]
        if self.form.form == "vectors" and not is_vectors(images):
            if self.refusal:
                raise InputError(self.refusal)
            if self.frozen:
                images, aspects = self.frozen.embed(images, aspects), None
        return embed_pictures(self.encoder, self.form, images, aspects, self.device)[1]

    def search(self, queries: Vectors, index: Vectors | None = None, k: int = 10) -> Found:
        """Find the nearest items of each query, exactly and in a fixed order.

        Args:
            queries: Embeddings (Q, D); Q may be 0.
            index: Embeddings of the items, (N, D); None for those that the run stored, `vectors`.
            k: Items for each query.

        Returns:
            Rows of the index, (Q, k), closest first, ties by row, and their distances.

        Raises:
            InputError: If k is not 1 to N, or a number is not finite.
            ValueError: On shapes that do not fit.
        """
        items = self.vectors if index is None else index
        if not 1 <= k <= len(items):
            raise InputError(f"k: found {k}, expected 1 to {len(items)}, the items of the index")
        if not len(queries):
            return Found(np.empty((0, k), np.int64), np.empty((0, k)))
        rows = nearest(self._tensor(queries), self._tensor(items), self.geometry, k)
        return Found(rows, self._measure(queries, items, rows))

    def reorder(self, queries: Vectors, items: Vectors, rows: np.ndarray) -> Found:
        """Order what an index proposed by exact distances, ties by row.

        An index in float32 may swap items that are almost equally near. Ask it for a few more than
        are needed, and keep the first of these.

        Args:
            queries: Embeddings (Q, D).
            items: Embeddings of all items, (N, D).
            rows: Of the items, (Q, n); -1, as faiss has it, for none.

        Returns:
            The same rows, closest first, those of -1 last, and their distances, infinity for -1.
        """
        distances = self._measure(queries, items, np.maximum(rows, 0))
        distances[rows < 0] = math.inf
        order = np.lexsort((rows, distances))
        return Found(*(np.take_along_axis(one, order, 1) for one in (rows, distances)))

    @torch.inference_mode()
    def distances(self, a: Vectors, b: Vectors) -> np.ndarray:
        """Return how far apart all pairs of embeddings are, in the run's geometry.

        Args:
            a: Shape (N, D).
            b: Shape (M, D).

        Returns:
            float64 (N, M), smaller is closer: a distance, 1 - cosine, minus an inner product, or a
            weighted sum of these.
        """
        found: np.ndarray = self.geometry.distances(self._place(a), self._place(b)).cpu().numpy()
        return found

    def lift_queries(self, embeddings: Vectors) -> np.ndarray:
        """Return vectors of queries for an inner-product index of `lift_items`.

        The larger the product, the nearer, in any geometry of one space. Products of one query are
        ordered alike; those of two queries are not comparable.

        Args:
            embeddings: Shape (Q, D).

        Returns:
            float32 (Q, E), E being D or D + 1.

        Raises:
            InputError: If the geometry is a sum of spaces, or points are too far out for float32.
        """
        return in_single(self._lift(embeddings)[0])

    def lift_items(self, embeddings: Vectors) -> np.ndarray:
        """Return vectors of items for an inner-product index; see `lift_queries`.

        They are centred: the mean of the lifted `vectors` of the run is subtracted. That changes
        all products of a query by the same number, and saves precision. It is the same for all
        items, also for those that come later.

        Args:
            embeddings: Shape (N, D).

        Returns:
            float32 (N, E).

        Raises:
            InputError: As `lift_queries`.
        """
        return in_single(self._lift(embeddings)[1] - self.centre)

    @cached_property
    def centre(self) -> Tensor:
        """The mean of the lifted `vectors`, float64 (E,)."""
        return self._lift(self.vectors)[1].mean(0)

    @property
    def space(self) -> Space:
        """The one space of the geometry.

        Raises:
            InputError: If it is a sum of spaces.
        """
        parts = self.geometry.parts
        if len(parts) > 1:
            names = " + ".join(self.geometry.names)
            found = f"a sum of spaces ({names}), which orders as no inner product"
            instead = "search it exactly (geomix search, Model.search), or train one of them alone"
            raise InputError(f"geometry: found {found}; expected one space: {instead}")
        return parts[0][0]

    def index_metric(self) -> str | None:
        """Name the metric of an ordinary index that orders `vectors`, as they are, alike.

        Returns:
            cosine, Euclidean distance or inner product; None if none of them does. Where all of
            `vectors` lie at the clip radius it is the cosine. Where the space uses some of the
            outputs only, it says which of them have to be indexed: cosine of [:, 0:32] alone.
        """
        if len(self.geometry.parts) > 1:
            return None
        metric = self.space.index_metric()
        if metric is None:
            radii = self.geometry.radii(self._place(self.vectors))
            clipped = describe_radii(radii, self.geometry.clip_radius)["clipped_share"]
            metric = "cosine" if clipped == 1 else None
        outputs = self.geometry.outputs[0]
        if metric and outputs and outputs != (0, self.vectors.shape[1]):
            metric += " of [:, {}:{}] alone".format(*outputs)
        return metric

    def _tensor(self, embeddings: Vectors) -> Tensor:
        return torch.as_tensor(embeddings).to(self.device)

    @torch.inference_mode()
    def _place(self, embeddings: Vectors) -> Points:
        return self.geometry.place(self._tensor(embeddings).double())

    @torch.inference_mode()
    def _lift(self, embeddings: Vectors) -> tuple[Tensor, Tensor]:
        """Return the vectors of queries and of items, float64 (N, E)."""
        space = self.space
        lifted = space.as_inner_product(self._place(embeddings)[0])
        largest = max(float(side.abs().max()) for side in lifted)
        if largest > LARGEST:
            found = f"points so far out that coordinates reach {largest:.1e}"
            expected = f"at most {LARGEST:g}, of which float32 holds products: use Model.search"
            raise InputError(f"geometry: found {found}; expected {expected}")
        return lifted

    @torch.inference_mode()
    def _measure(self, queries: Vectors, items: Vectors, rows: np.ndarray) -> np.ndarray:
        """Return the distances of queries and the items in their rows, float64 (Q, k)."""
        x, y = self._place(queries), self._place(items)
        chosen = torch.from_numpy(rows).to(self.device)
        asked = torch.arange(len(rows), device=self.device)[:, None].expand(chosen.shape)
        step = max(1, PAIRS // x[0].shape[1])
        pairs = zip(asked.flatten().split(step), chosen.flatten().split(step), strict=True)
        parts = [compare_pairs(self.geometry, x, y, i, j) for i, j in pairs]
        similarities = torch.cat(parts).view(chosen.shape)
        distances: np.ndarray = (self.geometry.closest - similarities).cpu().numpy()
        return distances


def load_run(folder: str | Path, device: str = "auto", features: str | Path | None = None) -> Model:
    """Load a trained run, to embed pictures and to search: weights, geometry, preprocessing.

    Args:
        folder: Of a trained cell, such as runs/glyphs/compare/hyperbolic_free-0-2/0.
        device: auto, cpu or cuda; auto takes a CUDA device where there is one.
        features: Of a run on features (make trial) the folder that stage features wrote, which
            says which frozen backbone turns pictures into features. None: data/raw/features beside
            runs/, if it is there; without it the run takes features only, as it does where the
            packed features beside that folder are no longer those that it was trained on.

    Returns:
        The model, in evaluation mode.

    Raises:
        InputError: If the folder is no whole run, a file is damaged, the weights of the frozen
            backbone are not there or others, the device is another one, or features are given for
            a run on pictures.
    """
    if device not in ("auto", "cpu", "cuda"):
        raise InputError(f"device: found {device}, expected auto, cpu or cuda")
    folder = Path(folder)
    _check_whole(folder)
    described, geometry = (read_json(folder / name) for name in WHOLE[:2])
    try:
        samples = pd.read_parquet(folder / "samples.parquet")
        weights = load_file(folder / "model.safetensors", device="cpu")
        encoder = rebuild_encoder(described, weights)
        where = choose_device(device)
        given = None if features is None else Path(features)
        backbone = open_backbone(folder, described, given, where)
        return Model(folder, encoder, geometry_from(geometry), described, samples, where, *backbone)
    except InputError:
        raise
    except (KeyError, TypeError, ValidationError, SafetensorError, OSError, ValueError) as error:
        reason = " ".join(f"{type(error).__name__} {error}".split())[:200]
        found = f"what cannot be read ({reason})"
        raise InputError(f"{folder}: found {found}, expected a whole run of this version") from None


def rebuild_encoder(described: Mapping[str, Any], weights: Mapping[str, Tensor]) -> Encoder:
    """Build the encoder of a run with its weights; the caller's random numbers are left alone.

    Args:
        described: As `model.json` has it.
        weights: As `model.safetensors` has them.

    Raises:
        InputError: If they do not fit.
    """
    backbone, head = Backbone(**described["backbone"]), Head(**described["head"])
    given = described["input"]
    height, width, channels = given["shape"]
    moments = None
    if given["form"] == "vectors":
        moments = (weights["mean"].numpy(), weights["std"].numpy())
    else:
        backbone = backbone.model_copy(update={"side": given["side"]})
    with torch.random.fork_rng(devices=[]):
        encoder = build_encoder(backbone, head, (height, width, channels), 0, moments)
    if moments is None:
        encoder.mean, encoder.std = (torch.tensor(given[name]) for name in ("mean", "std"))
    try:
        encoder.load_state_dict(weights)
    except RuntimeError as error:
        found, expected = describe_mismatch(str(error)), "the weights that model.json describes"
        raise InputError(f"model.safetensors: found {found}, expected {expected}") from None
    return encoder


def _check_whole(folder: Path) -> None:
    """Refuse a folder that is no whole run.

    Raises:
        InputError: With runs inside it, if there are any.
    """
    missing = [name for name in WHOLE if not (folder / name).is_file()]
    if not missing:
        return
    inside = sorted(path.parent for path in folder.glob("**/model.json"))[:3]
    if inside:
        expected = f"a trained cell, such as {', '.join(map(str, inside))}"
    else:
        expected = "a trained cell (trials of tuning are not kept whole)"
    found = f"no {missing[0]}" if folder.is_dir() else "no folder"
    raise InputError(f"{folder}: found {found}, expected {expected}")


def in_single(vectors: Tensor) -> np.ndarray:
    """Return vectors as an index keeps them, float32."""
    single: np.ndarray = vectors.float().cpu().numpy()
    return single


def is_vectors(images: Any) -> bool:
    """Say whether samples are vectors (N, D), and no pictures."""
    if isinstance(images, np.ndarray):
        return images.ndim == 2 and images.dtype.kind == "f"
    kinds = str | Path | bytes | Image.Image
    return not any(isinstance(one, kinds) or np.ndim(one) > 1 for one in images)
