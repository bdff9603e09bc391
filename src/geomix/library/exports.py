"""What leaves a run: an index of faiss, vectors with their ids, and a sheet of what was found."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

from geomix.data.packed import Packed, open_packed
from geomix.errors import InputError
from geomix.files import new_folder, replace_file
from geomix.library.model import Found, Model
from geomix.library.pictures import read_picture
from geomix.preprocess.decode import read_file

NARROW = 0.5  # centred vectors below this share of the length of others are worth a word
FILES = {"embeddings.npy", "items.npy", "vectors.parquet"}  # of an export


def write_index(model: Model, path: Path) -> tuple[int, int]:
    """Write a faiss index of the lifted vectors of a run, and a table of who its rows are.

    The index is exact, of inner products (IndexFlatIP). Search it with `Model.lift_queries`.

    Args:
        model: The run.
        path: The target of the index; `<path>.parquet` beside it is the table, with a column row
            (`_row` where the run has a level of that name).

    Returns:
        Vectors, and numbers of each.

    Raises:
        InputError: If the path is a folder, the geometry is a sum of spaces, or points are too far
            out for float32.
    """
    import faiss

    refuse_folder(path)
    items = model.lift_items(model.vectors)
    index = faiss.IndexFlatIP(items.shape[1])
    index.add(items)
    replace_file(path, faiss.serialize_index(index).tobytes())
    table = number_rows(model.samples)
    replace_file(path.with_name(f"{path.name}.parquet"), table.to_parquet(index=False))
    return items.shape


@dataclass(frozen=True)
class Exported:
    """What was exported.

    Attributes:
        count: Vectors.
        dimensions: Of an embedding.
        metric: Of an ordinary index that orders embeddings alike, with the outputs that it takes
            if these are not all, or None; see `Model.index_metric`.
        lifted: Numbers of a lifted vector; None of a sum of spaces.
        share: Root mean square length of lifted vectors, over that of the same ones not centred.
    """

    count: int
    dimensions: int
    metric: str | None
    lifted: int | None
    share: float

    def describe(self) -> str:
        """Say in a line which metric of an ordinary index is equivalent."""
        if self.lifted is None:
            return (
                "no metric of an ordinary index orders as a sum of spaces does: let the cosine of "
                "embeddings.npy propose candidates, and order them with Model.reorder"
            )
        lines = []
        if self.metric:
            lines.append(f"equivalent on embeddings.npy: {self.metric}")
        else:
            lines.append("no metric on embeddings.npy as they are is equivalent")
        line = "on items.npy: inner product with Model.lift_queries"
        if self.share < NARROW:
            line += (
                f" (centring shortens the items to {self.share:.0%} of their length, so float32 "
                "rounds them by that much less)"
            )
        return "; ".join([*lines, line])


def write_export(model: Model, out: Path) -> Exported:
    """Write the vectors of a run with their ids.

        embeddings.npy      float32 (N, D), as the head returned them
        items.npy           float32 (N, E), lifted and centred, for an inner-product index
        vectors.parquet     row, id, label, levels, split, embedding, and item: lists of numbers

    Where a level of the run is called row, embedding or item, the column that is added has an
    underscore before its name.

    Args:
        model: The run.
        out: The target folder: a new or an empty one, or an earlier export, which is replaced. Of a
            sum of spaces it has no items.

    Raises:
        InputError: If the folder holds anything else, or points are too far out for float32.
    """
    refuse_used(out)
    embeddings = model.vectors
    single = len(model.geometry.parts) == 1
    table = number_rows(model.samples)
    table[free_name("embedding", table)] = list(embeddings)
    lifted, share = None, 1.0
    with new_folder(out) as folder:
        np.save(folder / "embeddings.npy", embeddings, allow_pickle=False)
        if single:
            items = model.lift_items(embeddings)
            lifted, share = items.shape[1], measure_centring(items, model)
            np.save(folder / "items.npy", items, allow_pickle=False)
            table[free_name("item", table)] = list(items)
        table.to_parquet(folder / "vectors.parquet", index=False)
    count, dimensions = embeddings.shape
    return Exported(count, dimensions, model.index_metric(), lifted, share)


def refuse_used(out: Path) -> None:
    """Refuse a target folder in which an export would delete what is not its own.

    Raises:
        InputError: Unless the folder is new, empty or an earlier export.
    """
    expected = "a new folder, an empty one or an earlier export"
    if out.name in ("", ".."):  # it has no name beside which a new folder could be filled
        raise InputError(f"--out: found {out}, expected the name of {expected}")
    if not out.exists():
        return
    if not out.is_dir():
        raise InputError(f"--out: found the file {out}, expected {expected}")
    names = {path.name for path in out.iterdir()}
    if names and names not in (FILES, FILES - {"items.npy"}):
        other = min(names - FILES, default=min(names))
        raise InputError(f"--out: found the folder {out} with {other} in it, expected {expected}")


def refuse_folder(path: Path) -> None:
    """Refuse the path of a folder where a file is to be written.

    Raises:
        InputError: If it is one.
    """
    if path.is_dir():
        raise InputError(f"{path}: found a folder, expected the name of a file")


def number_rows(samples: pd.DataFrame) -> pd.DataFrame:
    """Return the table with the number of each row in a first column, row."""
    table = samples.copy()
    table.insert(0, free_name("row", table), np.arange(len(table)))
    return table


def free_name(name: str, table: pd.DataFrame) -> str:
    """Return the name of a new column, with underscores before it while another one has it."""
    while name in table:
        name = f"_{name}"
    return name


def measure_centring(items: np.ndarray, model: Model) -> float:
    """Return the root mean square length of centred vectors, over that of the same not centred."""
    centre = model.centre.cpu().numpy()
    centred = np.square(items, dtype=np.float64).sum(1).mean()
    # the mean of what is centred is 0, so squares add up
    whole = centred + np.square(centre).sum()
    return float(np.sqrt(centred / whole)) if whole > 0 else 1.0


def find_packed(model: Model, given: Path | None) -> Packed:
    """Open the packed data of a run, for its pictures.

    Args:
        model: The run.
        given: Its folder; None for data/packed/<dataset> in the folder that holds runs/, or here.

    Raises:
        InputError: If it is not there, has no pictures, or is another data set.
    """
    dataset = model.frozen.of if model.frozen else model.dataset
    own = Path("data/packed") / dataset
    roots = (*model.folder.resolve().parents, Path())
    places = [given] if given else [root / own for root in roots]
    place = next((place for place in places if (place / "card.json").is_file()), None)
    if place is None:
        named = given or own
        raise InputError(f"--data: found no packed data {named}, expected those of the run")
    packed = open_packed(place)
    if packed.form == "vectors":
        raise InputError(f"--data: found vectors in {place}, expected pictures")
    unknown = set(model.samples["id"]) - set(packed.samples["id"])
    if unknown:
        found = f"{place} without {len(unknown):,} samples of the run, such as {min(unknown)}"
        raise InputError(f"--data: found {found}, expected the data that it was trained on")
    return packed


def draw_sheet(model: Model, images: Sequence[Path], found: Found, packed: Packed) -> bytes:
    """Draw each query with what was found for it, as a PNG: labels and distances below.

    Args:
        model: The run.
        images: Files of the queries.
        found: By `Model.search`.
        packed: Of the run, with its pictures.
    """
    from geomix.report.pictures import SIDE, draw_samples, read_pictures

    places = pd.Series(range(len(packed.samples)), index=packed.samples["id"])
    lines = []
    for path, rows, distances in zip(images, *found, strict=True):
        _, content = read_picture(path, packed.channels)
        assert isinstance(content, bytes)
        pixels, _ = read_file(content, packed.channels)
        query = Image.fromarray(pixels[:, :, 0] if pixels.shape[2] == 1 else pixels)
        query.thumbnail((SIDE, SIDE))
        shown = np.asarray(query).reshape(query.height, query.width, -1)
        samples = model.samples.iloc[rows]
        pictures = read_pictures(packed, places[samples["id"]].to_numpy())
        captions = [
            f"{label} {distance:.3g}"
            for label, distance in zip(samples["label"], distances, strict=True)
        ]
        lines.append((path.name, [(shown, "query"), *zip(pictures, captions, strict=True)]))
    return draw_samples(lines)
