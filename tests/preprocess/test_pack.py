"""Packing: table, images and card fit each other, bytes repeat, broken images are named."""

import io
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from geomix.config.sections import Download, Embeddings, Folder, Images, Split
from geomix.config.stages import DownloadParams
from geomix.data.packed import Encoded, open_packed
from geomix.datasets import embeddings, glyphs, load_dataset
from geomix.datasets.listing import Listing, ancestors, list_warnings
from geomix.download.obtain import obtain
from geomix.errors import InputError
from geomix.files import hash_file
from geomix.preprocess import pack as module
from geomix.preprocess.decode import decode, prepare_all, squeeze
from geomix.preprocess.pack import pack

SPLIT = Split(seed=0, train=0.375, val=0.125, test=0.5)
THIRDS = Split(seed=0, train=0.34, val=0.33, test=0.33)
QUARTERS = Split(seed=0, train=0.5, val=0.25, test=0.25)
IMAGES = Images(form="auto", side=None, broken=0)
PARAMS = DownloadParams(
    download=Download(mirror=None),
    folder=Folder(path=None, table=None),
    embeddings=Embeddings(path=None, table=None),
)
CLASSES, EACH = 6, 4


@pytest.fixture(scope="module")
def raw(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("glyphs") / "raw"
    obtain("glyphs", glyphs.SOURCE, PARAMS, folder)
    return folder


def draw_files() -> list[bytes]:
    """Draw a PNG for each row, each of another size and colour."""
    files = []
    for row in range(CLASSES * EACH):
        file = io.BytesIO()
        Image.new("RGB", (8 + row, 10), (row, 2 * row, 255 - row)).save(file, "PNG")
        files.append(file.getvalue())
    return files


def listing_of(files: list[bytes], **changes: Any) -> Listing:
    """List files that are stored last row first."""
    samples = pd.DataFrame(
        [
            {
                "id": f"image {row}",
                "label": f"class {row // EACH}",
                "kind": f"kind {row // EACH % 2}",
            }
            for row in range(CLASSES * EACH)
        ]
    )

    def images() -> Iterator[tuple[int, bytes | np.ndarray]]:
        for row in reversed(range(len(files))):
            yield row, files[row]

    return replace(Listing(samples, ("kind",), images, form="encoded", side=4), **changes)


def test_the_card_counts_what_is_there(raw: Path, tmp_path: Path) -> None:
    pack("glyphs", glyphs.read(raw), tmp_path / "packed", SPLIT, IMAGES)
    packed = open_packed(tmp_path / "packed")
    assert packed.card["counts"]["train"]["classes"] == 456
    assert packed.card["image_shape"] == [32, 32, 1]
    for split, counts in packed.card["counts"].items():
        rows = packed.samples.iloc[packed.rows(split)]
        expected = {
            "images": len(rows),
            "classes": rows["label"].nunique(),
            "script": rows["script"].nunique(),
            "base": rows["base"].nunique(),
        }
        assert counts == expected


@pytest.mark.parametrize("level", ["classes", "images", "vectors"])
def test_a_level_may_be_named_as_what_is_counted(tmp_path: Path, level: str) -> None:
    listing = listing_of(draw_files(), levels=(level,))
    listing = replace(listing, samples=listing.samples.rename(columns={"kind": level}))
    pack("colours", listing, tmp_path / "packed", THIRDS, IMAGES)
    packed = open_packed(tmp_path / "packed")
    groups = level if level == "vectors" else f"{level} groups"
    kinds = packed.samples.loc[packed.rows("train"), level].nunique()
    assert packed.card["counts"]["train"] == {"images": 8, "classes": 2, groups: kinds}
    assert packed.samples[level].tolist() == listing.samples[level].tolist()


def test_the_same_bytes_every_time_as_numpy_would_write(raw: Path, tmp_path: Path) -> None:
    listing = glyphs.read(raw)
    for name in ("a", "b"):
        pack("glyphs", listing, tmp_path / name, SPLIT, IMAGES)
    for name in ("images.npy", "samples.csv", "card.json"):
        assert hash_file(tmp_path / "a" / name) == hash_file(tmp_path / "b" / name)
    np.save(tmp_path / "expected.npy", np.stack([image for _, image in listing.images()]))
    assert hash_file(tmp_path / "a" / "images.npy") == hash_file(tmp_path / "expected.npy")


def test_a_data_set_too_small_to_split_leaves_nothing(raw: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="split.val: found 1 of 1216 classes"):
        pack(
            "glyphs",
            glyphs.read(raw),
            tmp_path / "packed",
            SPLIT.model_copy(update={"val": 0.001}),
            IMAGES,
        )
    assert not list(tmp_path.iterdir())


def read_warnings(capsys: pytest.CaptureFixture[str]) -> list[str]:
    """Return the lines of a stage that warn."""
    lines = capsys.readouterr().err.splitlines()
    return [line for line in lines if line.startswith("warning: ")]


def test_a_line_warns_of_splits_whose_results_say_little(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    listing = listing_of(draw_files())
    listing.samples["split"] = ["train"] * 8 + ["val"] * 8 + ["test"] * 7 + [""]
    listing.samples.loc[[17, 18, 19], "label"] = "class 5"  # has 5 of the 7 samples of test
    listing.samples.loc[20, "label"] = "class 4"
    pack("colours", listing, tmp_path / "packed", THIRDS, IMAGES)
    few, large = read_warnings(capsys)
    assert few.startswith("warning: colours: Val has 2 classes, too few to choose settings by: ")
    assert large == (
        "warning: colours: Class class 5 has 71 % of the samples that are searched in test, so R@1"
        " is mostly its own; classes.largest_class: 2 would end that."
    )
    warnings = list_warnings(open_packed(tmp_path / "packed").samples)
    assert [few, large] == [f"warning: colours: {one}" for one in warnings]


def test_a_set_is_warned_of_once_and_points_are_not(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    listing = listing_of(draw_files())
    pack("colours", listing, tmp_path / "fold", THIRDS, IMAGES, fold=1)
    assert not read_warnings(capsys)
    points = replace(listing, samples=listing.samples.assign(x="1"), coordinates=("x",))
    pack("colours", points, tmp_path / "points", THIRDS, IMAGES)
    assert not read_warnings(capsys)
    pack("colours", listing, tmp_path / "packed", THIRDS, IMAGES)
    assert len(read_warnings(capsys)) == 1


def test_encoded_files_stay_as_they_came(tmp_path: Path) -> None:
    files = draw_files()
    pack("colours", listing_of(files), tmp_path / "packed", THIRDS, IMAGES)
    packed = open_packed(tmp_path / "packed")
    assert isinstance(packed.images, Encoded)
    assert [packed.images.read(row) for row in range(len(files))] == files
    assert packed.samples["aspect"].tolist() == [
        f"{(8 + row) / 10:.6g}" for row in range(len(files))
    ]
    assert (packed.card["form"], packed.card["image_shape"]) == ("encoded", [0, 0, 3])
    assert set(packed.card["sha256"]) == {"images.bin", "offsets.npy", "samples.csv"}
    assert packed.samples["split"].tolist() == [
        split for split in packed.samples["split"][::EACH] for _ in range(EACH)
    ]


@pytest.mark.parametrize("side", [None, 9])
def test_decoded_squares_stand_at_their_rows(tmp_path: Path, side: int | None) -> None:
    files = draw_files()
    pack(
        "colours",
        listing_of(files),
        tmp_path / "packed",
        THIRDS,
        IMAGES.model_copy(update={"form": "decoded", "side": side}),
    )
    packed = open_packed(tmp_path / "packed")
    assert isinstance(packed.images, np.ndarray)
    assert packed.card["image_shape"] == [side or 4, side or 4, 3]
    for row, content in enumerate(files):
        assert np.array_equal(packed.images[row], squeeze(decode(content, 3), side or 4))


@pytest.mark.parametrize(("form", "processes"), [("decoded", True), ("encoded", False)])
def test_workers_do_not_change_a_byte(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, form: str, processes: bool
) -> None:
    if not processes:  # they take two seconds to start
        monkeypatch.setattr(
            module, "ProcessPoolExecutor", lambda workers, _: ThreadPoolExecutor(workers)
        )
    monkeypatch.setattr(module, "CHUNK_IMAGES", 5)
    pack(
        "colours",
        listing_of(draw_files()),
        tmp_path / "alone",
        THIRDS,
        IMAGES.model_copy(update={"form": form}),
    )
    monkeypatch.setattr(module, "FEW", 0)
    pack(
        "colours",
        listing_of(draw_files()),
        tmp_path / "workers",
        THIRDS,
        IMAGES.model_copy(update={"form": form}),
    )
    names = sorted(path.name for path in (tmp_path / "alone").iterdir())
    assert names == sorted(path.name for path in (tmp_path / "workers").iterdir())
    assert all(
        (tmp_path / "alone" / name).read_bytes() == (tmp_path / "workers" / name).read_bytes()
        for name in names
    )


def test_only_a_few_chunks_are_under_way(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        module, "ProcessPoolExecutor", lambda workers, _: ThreadPoolExecutor(workers)
    )
    taken: list[int] = []

    def chunks() -> Iterator[module.Chunk]:
        for row in range(50):
            taken.append(row)
            yield [(row, np.zeros((1, 1, 3), np.uint8))]

    ahead = []
    for count, (chunk, results) in enumerate(
        module.run_chunks(chunks(), lambda images: prepare_all(images, 3, None), 2)
    ):
        assert chunk[0][0] == count
        assert len(results) == 1
        ahead.append(len(taken) - count)
    assert count == 49
    assert max(ahead) == module.WAITING * 2 + 1


def test_chunks_are_bounded_in_number_and_in_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "CHUNK_BYTES", 100)
    monkeypatch.setattr(module, "CHUNK_IMAGES", 3)
    lengths = [10, 10, 10, 60, 60, 300, 1]
    chunks = module.cut_chunks((row, b"x" * length) for row, length in enumerate(lengths))
    assert [[row for row, _ in chunk] for chunk in chunks] == [[0, 1, 2], [3, 4], [5], [6]]


@pytest.mark.parametrize("form", ["encoded", "decoded"])
def test_broken_images_are_named_and_nothing_is_written(tmp_path: Path, form: str) -> None:
    files = draw_files()
    files[3], files[17] = files[3][: len(files[3]) // 2], b"<html>"
    message = (
        "images.broken: found 2 broken of 24 images, expected at most 1: "
        r"image 3 \(found .*\); image 17 \(found 6 bytes"
        " of another kind or broken, .*"
    )
    with pytest.raises(InputError, match=message):
        pack(
            "colours",
            listing_of(files),
            tmp_path / "packed",
            THIRDS,
            IMAGES.model_copy(update={"form": form, "broken": 1}),
        )
    assert not list(tmp_path.iterdir())


def test_of_many_broken_images_twenty_are_listed(tmp_path: Path) -> None:
    files = [b""] * 22 + draw_files()[22:]
    with pytest.raises(InputError, match="found 22 broken of 24 images.*; and 2 more$") as caught:
        pack("colours", listing_of(files), tmp_path / "packed", THIRDS, IMAGES)
    assert str(caught.value).count("image ") == 20
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("form", ["encoded", "decoded"])
def test_broken_images_that_are_allowed_are_left_out(tmp_path: Path, form: str) -> None:
    files = draw_files()
    files[0], files[17] = b"", b""
    pack(
        "colours",
        listing_of(files),
        tmp_path / "packed",
        THIRDS,
        IMAGES.model_copy(update={"form": form, "broken": 2}),
    )
    packed = open_packed(tmp_path / "packed")
    kept = [row for row in range(24) if row not in (0, 17)]
    assert packed.samples["id"].tolist() == [f"image {row}" for row in kept]
    assert sum(counts["images"] for counts in packed.card["counts"].values()) == 22
    for place, row in enumerate(kept):
        if isinstance(packed.images, Encoded):
            assert packed.images.read(place) == files[row]
        else:
            assert np.array_equal(packed.images[place], squeeze(decode(files[row], 3), 4))
    reason = "found 0 bytes of another kind or broken, expected a JPEG, PNG, BMP, GIF, WEBP"
    assert packed.card["left_out"] == {"image 0": reason, "image 17": reason}


@pytest.mark.parametrize(
    ("broken", "found"),
    [
        (
            range(20, 24),
            r"1 classes in the gallery \(4 samples of 1 classes, "
            r"after 4 broken images were left out\)",
        ),
        (
            [17, 18, 19, 20, 21, 22],
            r"2 samples of 2 classes \(class 4, class 5, after 6 broken .*\) "
            "and no query with another",
        ),
    ],
)
def test_a_split_that_broken_images_leave_too_small_is_refused(
    tmp_path: Path, broken: Sequence[int], found: str
) -> None:
    listing = listing_of([b"" if row in broken else file for row, file in enumerate(draw_files())])
    listing.samples["split"] = ["train"] * 8 + ["val"] * 8 + ["test"] * 8
    with pytest.raises(InputError, match=f"^split.test: found {found}"):
        pack(
            "colours",
            listing,
            tmp_path / "packed",
            THIRDS,
            IMAGES.model_copy(update={"broken": 10}),
        )
    assert not list(tmp_path.iterdir())


def test_a_data_set_of_broken_images_alone_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="found 24 broken of 24 images"):
        pack(
            "colours",
            listing_of([b""] * 24),
            tmp_path / "packed",
            THIRDS,
            IMAGES.model_copy(update={"broken": 100}),
        )


def test_an_official_split_and_roles_are_kept(tmp_path: Path) -> None:
    listing = listing_of(draw_files())
    split = ["train"] * 16 + ["test"] * 8
    listing.samples["split"] = split
    listing.samples["role"] = [""] * 16 + ["query", "gallery"] * 4
    pack("colours", listing, tmp_path / "packed", THIRDS, IMAGES)
    packed = open_packed(tmp_path / "packed")
    assert packed.queries("test").tolist() == [16, 18, 20, 22]
    assert packed.gallery("test").tolist() == [17, 19, 21, 23]
    assert {name: counts["classes"] for name, counts in packed.card["counts"].items()} == {
        "train": 2,
        "val": 2,
        "test": 2,
    }


def test_a_data_set_may_assign_splits_and_roles_itself(tmp_path: Path) -> None:
    def assign(samples: pd.DataFrame) -> pd.DataFrame:
        assert set(samples["split"]) == {"train", "val", "test"}
        return samples.assign(split=samples["split"].where(samples.index % EACH > 0, ""))

    pack("colours", listing_of(draw_files(), assign=assign), tmp_path / "packed", THIRDS, IMAGES)
    packed = open_packed(tmp_path / "packed")
    assert (packed.samples["split"][::EACH] == "").all()
    assert packed.card["counts"]["test"]["images"] == 6


def test_queries_without_anything_to_find_leave_nothing(tmp_path: Path) -> None:
    listing = listing_of(draw_files())
    listing.samples["role"] = "query"
    with pytest.raises(InputError, match="split.val: found 0 classes in the gallery"):
        pack("colours", listing, tmp_path / "packed", THIRDS, IMAGES)
    assert not (tmp_path / "packed").exists()


def test_empty_roles_are_no_roles(tmp_path: Path) -> None:
    listing = listing_of(draw_files())
    listing.samples["role"] = ""
    pack("colours", listing, tmp_path / "packed", THIRDS, IMAGES)
    assert "role" not in open_packed(tmp_path / "packed").samples
    assert "split" not in listing.samples


def test_pixels_have_no_files_to_keep(raw: Path, tmp_path: Path) -> None:
    with pytest.raises(
        InputError,
        match="images.form: found encoded, expected decoded: glyphs has pixels and no files",
    ):
        pack(
            "glyphs",
            glyphs.read(raw),
            tmp_path / "packed",
            SPLIT,
            IMAGES.model_copy(update={"form": "encoded"}),
        )


def test_files_that_are_kept_have_no_side(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="images.side: found 64, expected null"):
        pack(
            "colours",
            listing_of(draw_files()),
            tmp_path / "packed",
            THIRDS,
            IMAGES.model_copy(update={"side": 64}),
        )


@pytest.mark.parametrize(
    ("rows", "found"), [(range(23), "found 0 for row 23"), ([*range(24), 5], "found 2 for row 5")]
)
def test_each_row_has_one_image(tmp_path: Path, rows: Any, found: str) -> None:
    files = draw_files()
    listing = listing_of(files, images=lambda: ((row, files[row]) for row in rows))
    with pytest.raises(ValueError, match=found):
        pack("colours", listing, tmp_path / "packed", THIRDS, IMAGES)


@pytest.fixture
def vectors(tmp_path: Path) -> Path:
    """Return the folder of 24 vectors in 8 classes, as download stores them."""
    folder = tmp_path / "raw"
    folder.mkdir()
    np.save(folder / "vectors.npy", np.random.default_rng(0).normal(size=(24, 5)))
    rows = [{"id": f"{row}", "label": f"{row // 3:03}", "kind": "NA"} for row in range(24)]
    pd.DataFrame(rows).to_csv(folder / "table.csv", index=False)
    return folder


def test_vectors_are_packed_as_they_are_and_opened_in_place(vectors: Path, tmp_path: Path) -> None:
    pack("embeddings", embeddings.read(vectors), tmp_path / "packed", QUARTERS, IMAGES)
    packed = open_packed(tmp_path / "packed")
    assert isinstance(packed.images, np.memmap)
    assert packed.images.dtype == np.float32
    assert np.array_equal(packed.images, np.load(vectors / "vectors.npy").astype(np.float32))
    assert (packed.form, packed.image_shape, packed.channels) == ("vectors", (1, 1, 5), 5)
    assert packed.card["levels"] == ["kind"]
    assert packed.card["counts"]["val"] == {"vectors": 6, "classes": 2, "kind": 1}


def test_a_class_of_vectors_is_in_one_split_only(vectors: Path, tmp_path: Path) -> None:
    pack("embeddings", embeddings.read(vectors), tmp_path / "packed", QUARTERS, IMAGES)
    samples = open_packed(tmp_path / "packed").samples
    assert samples.groupby("label")["split"].nunique().eq(1).all()
    assert samples["split"].value_counts().to_dict() == {"train": 12, "val": 6, "test": 6}
    pack("embeddings", embeddings.read(vectors), tmp_path / "again", QUARTERS, IMAGES)
    pack(
        "embeddings",
        embeddings.read(vectors),
        tmp_path / "other",
        QUARTERS.model_copy(update={"seed": 1}),
        IMAGES,
    )
    tables = [
        (tmp_path / name / "samples.csv").read_bytes() for name in ("packed", "again", "other")
    ]
    assert tables[0] == tables[1] != tables[2]


def test_an_official_split_and_roles_of_vectors_are_kept(vectors: Path, tmp_path: Path) -> None:
    table = pd.read_csv(vectors / "table.csv", dtype=str, keep_default_na=False)
    table["split"] = ["train"] * 12 + ["val"] * 6 + ["test"] * 6
    table["role"] = [""] * 18 + ["query", "gallery", "gallery"] * 2
    table.to_csv(vectors / "table.csv", index=False)
    pack("embeddings", embeddings.read(vectors), tmp_path / "packed", QUARTERS, IMAGES)
    packed = open_packed(tmp_path / "packed")
    assert packed.queries("test").tolist() == [18, 21]
    assert packed.gallery("test").tolist() == [19, 20, 22, 23]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"label": [*"aaabbbcccdddeeefff", *"ghijkl"]},
            "split.test: found 6 samples of 6 classes .* and no query with another",
        ),
        (
            {"role": [""] * 18 + ["gallery"] * 6},
            "split.test: found 6 samples of 2 classes .* and no query with another sample",
        ),
        ({"role": [""] * 18 + ["query"] * 6}, "split.test: found 0 classes in the gallery"),
        (
            {"role": [""] * 18 + ["query", "gallery", ""] * 2},
            "split.test: found roles, but none for 20, 23",
        ),
    ],
)
def test_vectors_that_cannot_be_searched_are_refused(
    vectors: Path, tmp_path: Path, change: dict[str, list[str]], message: str
) -> None:
    table = pd.read_csv(vectors / "table.csv", dtype=str, keep_default_na=False)
    official = {"split": ["train"] * 12 + ["val"] * 6 + ["test"] * 6}
    table.assign(**official | change).to_csv(vectors / "table.csv", index=False)
    with pytest.raises(InputError, match=message):
        pack("embeddings", embeddings.read(vectors), tmp_path / "packed", QUARTERS, IMAGES)
    assert not (tmp_path / "packed").exists()


def test_settings_of_images_do_not_touch_vectors(vectors: Path, tmp_path: Path) -> None:
    listing = embeddings.read(vectors)
    pack("embeddings", listing, tmp_path / "packed", QUARTERS, IMAGES)
    squares = IMAGES.model_copy(update={"form": "decoded", "side": 8, "broken": 3})
    pack("embeddings", listing, tmp_path / "other", QUARTERS, squares)
    cards = [(tmp_path / name / "card.json").read_bytes() for name in ("packed", "other")]
    assert cards[0] == cards[1]


MADE = {  # data sets without a network: samples, classes, and the classes of each split
    "tree": (364, 364, {"train": 243, "val": 30, "test": 91}),
    "grid": (324, 324, {"train": 216, "val": 54, "test": 54}),
    "tree_images": (484, 121, {"train": 80, "val": 11, "test": 30}),
    "wordnet": (1164, 1164, {"train": 727, "val": 109, "test": 328}),
    "accents": (8592, 716, {"train": 451, "val": 66, "test": 199}),
}


@pytest.mark.parametrize("name", MADE)
def test_a_data_set_without_a_network_is_packed_with_the_same_bytes(
    tmp_path: Path, name: str
) -> None:
    data = load_dataset(name)
    split = Split(seed=0, train=0.5, val=0.125, test=0.375)
    for run in ("a", "b"):
        obtain(name, data.SOURCE, PARAMS, tmp_path / run / "raw")
        pack(name, data.read(tmp_path / run / "raw"), tmp_path / run / "packed", split, IMAGES)
    files = [path.relative_to(tmp_path / "a") for path in (tmp_path / "a").rglob("*.*")]
    assert len(files) >= 5
    for file in files:
        assert hash_file(tmp_path / "a" / file) == hash_file(tmp_path / "b" / file), file
    packed = open_packed(tmp_path / "a" / "packed")
    samples = packed.samples
    count, nodes, splits = MADE[name]
    assert (len(samples), samples["label"].nunique()) == (count, nodes)
    assert samples.groupby("split")["label"].nunique().to_dict() == splits
    if name == "grid":
        assert packed.coordinates is not None
        assert packed.coordinates[:2].tolist() == [[0, 0], [0, 1]]
        assert packed.card["coordinates"] == ["x", "y"]
        return
    assert packed.coordinates is None
    assert "coordinates" not in packed.card
    inner = {node for path in samples["lineage"] for node in ancestors(path)}
    assert set(samples.loc[samples["lineage"].isin(inner), "split"]) == {"train"}
    assert samples.groupby("lineage")["split"].nunique().eq(1).all()
