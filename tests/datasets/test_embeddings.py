"""The user's own vectors: both kinds of file become one array with one table, read row by row."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from pyarrow import parquet

from geomix.config.sections import Download, Embeddings, Folder
from geomix.config.stages import DownloadParams
from geomix.datasets import embeddings as module
from geomix.download.obtain import obtain
from geomix.errors import InputError
from geomix.files import hash_file, read_json

VECTORS = np.random.default_rng(0).normal(size=(6, 3))
TABLE = {"kind": ["x", "x", "y", "y", "w", "z"], "label": ["NA", "NA", "Löwe", "Löwe", "007", "c"]}

PARAMS = DownloadParams(
    download=Download(mirror=None),
    folder=Folder(path=None, table=None),
    embeddings=Embeddings(path=None, table=None),
)


def save_embeddings(path: Path, table: str | None, out: Path) -> None:
    params = PARAMS.model_copy(update={"embeddings": Embeddings(path=str(path), table=table)})
    obtain("embeddings", module.SOURCE, params, out)


def write_array(folder: Path, vectors: Any = VECTORS, table: str | None = None) -> tuple[Path, str]:
    """Write a .npy and a CSV beside it."""
    np.save(folder / "own.npy", vectors)
    (folder / "own.csv").write_text(
        table or pd.DataFrame(TABLE).to_csv(index=False), encoding="utf-8"
    )
    return folder / "own.npy", "own.csv"


def write_parquet(folder: Path, **columns: Any) -> Path:
    """Write a .parquet of columns."""
    parquet.write_table(pa.table(TABLE | columns), folder / "own.parquet")
    return folder / "own.parquet"


def lists(kind: pa.DataType, vectors: np.ndarray = VECTORS) -> pa.Array:
    """Return vectors as a column of lists."""
    return pa.array(list(vectors), kind)


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make blocks of two vectors, so that there are three."""
    monkeypatch.setattr(module, "BLOCK", 6)


@pytest.mark.parametrize("kind", ["float16", "float32", "float64", ">f4"])
@pytest.mark.parametrize("order", ["C", "F"])
def test_a_npy_is_kept_in_its_precision(tmp_path: Path, kind: str, order: Any) -> None:
    vectors = np.asarray(VECTORS.astype(kind), order=order)
    save_embeddings(*write_array(tmp_path, vectors), tmp_path / "raw")
    found = np.load(tmp_path / "raw" / "vectors.npy")
    assert found.dtype == kind
    assert np.array_equal(found, vectors)
    table = pd.read_csv(tmp_path / "raw" / "table.csv", dtype=str, keep_default_na=False)
    assert table.to_dict("list") == {"id": list("012345"), **TABLE}
    manifest = read_json(tmp_path / "raw" / "manifest.json")
    assert (manifest["vectors"], manifest["dimensions"], manifest["classes"]) == (6, 3, 4)
    assert manifest["files"]["vectors.npy"]["sha256"] == hash_file(tmp_path / "raw" / "vectors.npy")
    assert str(tmp_path) not in (tmp_path / "raw" / "manifest.json").read_text()


@pytest.mark.parametrize(
    ("columns", "kind"),
    [
        ({"vector": lists(pa.list_(pa.float32()))}, "float32"),
        ({"vector": lists(pa.large_list(pa.float64()))}, "float64"),
        ({"vector": lists(pa.list_(pa.float16(), 3), VECTORS.astype(np.float16))}, "float16"),
        (
            {"v2": VECTORS[:, 2], "v0": VECTORS[:, 0], "v1": VECTORS[:, 1].astype(np.float32)},
            "float64",
        ),
    ],
)
def test_a_parquet_gives_what_a_npy_and_a_table_give(
    tmp_path: Path, columns: dict[str, Any], kind: str
) -> None:
    save_embeddings(write_parquet(tmp_path, **columns), None, tmp_path / "raw")
    found = np.load(tmp_path / "raw" / "vectors.npy")
    assert found.dtype == kind
    np.testing.assert_allclose(found, VECTORS, rtol=1e-3 if kind == "float16" else 1e-6)
    save_embeddings(*write_array(tmp_path), tmp_path / "other")
    assert (tmp_path / "raw" / "table.csv").read_text() == (
        tmp_path / "other" / "table.csv"
    ).read_text()


def test_a_table_may_be_a_parquet_whose_numbers_are_names(tmp_path: Path) -> None:
    path, _ = write_array(tmp_path)
    labels = pa.table(
        {
            "label": pa.array([7, 7, 8, 8, 9, 9]),
            "kind": pa.array([1, 1, 3, 3, 2, 2], pa.int8()),
            "split": pa.array(["train", "train", None, None, "test", "test"]),
        }
    )
    parquet.write_table(labels, tmp_path / "own.parquet")
    save_embeddings(path, "own.parquet", tmp_path / "raw")
    assert (tmp_path / "raw" / "table.csv").read_text().splitlines()[1:4] == [
        "0,7,1,train",
        "1,7,1,train",
        "2,8,3,",
    ]


def test_an_index_of_pandas_is_no_level(tmp_path: Path) -> None:
    table = pd.DataFrame(TABLE | {"vector": list(VECTORS)}, index=list("abcdef"))
    table.to_parquet(tmp_path / "own.parquet")
    save_embeddings(tmp_path / "own.parquet", None, tmp_path / "raw")
    assert (tmp_path / "raw" / "table.csv").read_text().splitlines()[0] == "id,kind,label"


def test_ids_splits_and_roles_are_kept(tmp_path: Path) -> None:
    table = "id,label,split\na,1,train\nb,1,train\nc,2,query\nd,2,gallery\ne,3,val\nf,4,\n"
    save_embeddings(*write_array(tmp_path, table=table), tmp_path / "raw")
    found = pd.read_csv(tmp_path / "raw" / "table.csv", dtype=str, keep_default_na=False)
    assert found["id"].tolist() == list("abcdef")
    assert found["split"].tolist() == ["train", "train", "test", "test", "val", ""]
    assert found["role"].tolist() == ["", "", "query", "gallery", "", ""]


def spoil(row: int, column: int, value: float) -> np.ndarray:
    """Return the vectors with one other number."""
    vectors = VECTORS.copy()
    vectors[row, column] = value
    return vectors


@pytest.mark.parametrize(
    ("vectors", "message"),
    [
        (
            spoil(3, 1, np.nan),
            r"own\.npy: found nan in row 3, column 1 \(the first are 0\), "
            "expected numbers that are finite",
        ),
        (spoil(5, 0, -np.inf), "found -inf in row 5, column 0"),
        (spoil(0, 2, 1e39), r"found 1e\+39 in row 0, column 2"),
        (VECTORS[:5], r"own\.csv: found 6 rows, expected 5, one for each vector"),
        (
            VECTORS[0],
            r"found float64 of shape \(3,\), "
            r"expected float16 or float32 or float64 of shape \(N, D\)",
        ),
        (VECTORS[:0], r"found float64 of shape \(0, 3\)"),
        (VECTORS.astype(np.int8), r"found int8 of shape \(6, 3\)"),
        (np.array([[{}]]), r"own\.npy: found no array \(.*\), expected a \.npy of numbers"),
    ],
)
def test_an_array_that_is_no_good_is_refused_in_one_line(
    tmp_path: Path, vectors: np.ndarray, message: str
) -> None:
    with pytest.raises(InputError, match=message) as raised:
        save_embeddings(*write_array(tmp_path, vectors), tmp_path / "raw")
    assert "\n" not in str(raised.value)
    assert not (tmp_path / "raw").exists()


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        (
            {"vector": pa.array([*VECTORS[:4].tolist(), [1.0], [2.0, 3.0, 4.0]])},
            "found 1 numbers in row 4 .* expected 3",
        ),
        ({"vector": pa.array([*VECTORS[:5].tolist(), None])}, "found 0 numbers in row 5"),
        (
            {"vector": pa.array([*VECTORS[:5].tolist(), [1.0, None, 2.0]])},
            "found nan in row 5, column 1",
        ),
        (
            {"vector": pa.array([[1, 2]] * 6)},
            "found int64 in vector, expected float16 or float32 or float64, in lists",
        ),
        ({"vector": VECTORS[:, 0]}, "found double in vector"),
        (
            {"vector": pa.array([None, *VECTORS[1:].tolist()])},
            r"found no numbers in row 0 \(the first\) of vector, expected a vector in each row",
        ),
        (
            {"vector": pa.array([[], *VECTORS[1:].tolist()])},
            r"found no numbers in row 0 \(the first\) of vector, expected a vector in each row",
        ),
        ({"v0": pa.array([1.0, 2.0, None, 4.0, 5.0, 6.0])}, "found nan in row 2, column 0"),
        ({"v0": VECTORS[:, 0], "v1": ["a"] * 6}, "found string in v0, v1, ..., expected"),
        (
            {"v1": VECTORS[:, 0]},
            "found 6 rows and columns kind, label, v1; "
            "expected a column vector of lists, or columns v0",
        ),
        (
            {"v0": VECTORS[:, 0], "tags": [["a"]] * 6},
            "found list.* in column tags, expected text or numbers",
        ),
        (
            {"v0": VECTORS[:, 0], "id": [None, *"bcdef"]},
            "found '' in row 1, column id, expected the id of a sample",
        ),
        (
            {"v0": VECTORS[:, 0], "id": list("abcdea")},
            "found 'a' in row 6, column id, expected it once, as it is in row 1, column id",
        ),
        ({"v0": VECTORS[:, 0], "aspect": ["1"] * 6}, "found column aspect, expected another name"),
        (
            {"v0": VECTORS[:, 0], "label": list("aabbcc")},
            "found 'z' in row 6, column kind, expected 'w' of class 'c' as in row 5, column kind",
        ),
    ],
)
def test_a_parquet_that_is_no_good_is_refused_in_one_line(
    tmp_path: Path, columns: dict[str, Any], message: str
) -> None:
    with pytest.raises(InputError, match=message) as raised:
        save_embeddings(write_parquet(tmp_path, **columns), None, tmp_path / "raw")
    assert str(raised.value).startswith(f"{tmp_path}/own.parquet: ")
    assert "\n" not in str(raised.value)
    assert not (tmp_path / "raw").exists()


@pytest.mark.parametrize(
    ("name", "table", "message"),
    [
        (
            "gone.npy",
            "own.csv",
            r"embeddings\.path: found no file .*gone\.npy ending in \.npy or \.parquet, "
            "expected one of",
        ),
        ("own.csv", "own.csv", r"embeddings\.path: found no file .*own\.csv ending in"),
        (
            "own.npy",
            None,
            r"embeddings\.table: found nothing, expected a table of labels beside a \.npy",
        ),
        (
            "own.parquet",
            "own.csv",
            r"embeddings\.table: found own\.csv, expected null beside a \.parquet",
        ),
        (
            "own.npy",
            "gone.csv",
            r"embeddings\.table: found no file .*gone\.csv, expected a CSV or \.parquet"
            " with columns label",
        ),
        (
            "own.npy",
            "gone.parquet",
            r"embeddings\.table: found no file .*gone\.parquet, expected a CSV or \.parquet",
        ),
        ("own.npy", "bad.parquet", r"bad\.parquet: found no table \(.*\), expected a \.parquet"),
        ("bad.parquet", None, r"bad\.parquet: found no table"),
        ("bad.npy", "own.csv", r"bad\.npy: found no array"),
    ],
)
def test_a_file_that_is_not_there_or_of_another_kind_is_refused(
    tmp_path: Path, name: str, table: str | None, message: str
) -> None:
    write_array(tmp_path)
    write_parquet(tmp_path, v0=VECTORS[:, 0])
    for other in ("bad.npy", "bad.parquet"):
        (tmp_path / other).write_bytes(b"PAR1 but no more")
    with pytest.raises(InputError, match=message):
        save_embeddings(tmp_path / name, table, tmp_path / "raw")


@pytest.mark.parametrize("column", ["label", "vector", "v1"])
@pytest.mark.parametrize("checked", [False, True], ids=["undecodable", "another checksum"])
def test_a_parquet_with_damaged_pages_is_refused_in_one_line(
    tmp_path: Path, column: str, checked: bool
) -> None:
    columns = (
        {"vector": lists(pa.list_(pa.float64()))}
        if column == "vector"
        else {"v0": VECTORS[:, 0], "v1": VECTORS[:, 1]}
    )
    path = tmp_path / "own.parquet"
    compression = "none" if checked else "gzip"
    parquet.write_table(
        pa.table(TABLE | columns),
        path,
        use_dictionary=False,
        compression=compression,
        write_page_checksum=checked,
    )
    places = {
        chunk["path_in_schema"].partition(".")[0]: chunk
        for chunk in parquet.read_metadata(path).row_group(0).to_dict()["columns"]
    }
    content = bytearray(path.read_bytes())
    end = places[column]["data_page_offset"] + places[column]["total_compressed_size"]
    content[end - 6] ^= 1
    path.write_bytes(content)
    with pytest.raises(
        InputError,
        match=r"^.*/own\.parquet: found damaged data \(.*\), expected a whole \.parquet$",
    ) as raised:
        save_embeddings(path, None, tmp_path / "raw")
    assert "\n" not in str(raised.value)
    assert not (tmp_path / "raw").exists()


@pytest.mark.parametrize("name", ["vector", "v0"])
def test_columns_of_vectors_that_are_there_twice_are_refused(tmp_path: Path, name: str) -> None:
    arrays = [pa.array(["a", "b"]), *[pa.array([[1.0], [2.0]])] * 2]
    table = pa.Table.from_arrays(arrays, ["label", name, name])
    parquet.write_table(table, tmp_path / "own.parquet")
    with pytest.raises(InputError, match=f"found column {name} twice, expected each once$"):
        save_embeddings(tmp_path / "own.parquet", None, tmp_path / "raw")


def test_columns_of_vectors_are_numbered_without_a_gap() -> None:
    names = ["label", *(f"v{number}" for number in (3, 0, 1, 2, 5, 10_000))]
    schema = pa.schema([(name, pa.float32()) for name in names])
    assert module.vector_columns(schema) == ["v0", "v1", "v2", "v3"]


def test_text_of_a_parquet_that_is_no_utf_8_is_refused(tmp_path: Path) -> None:
    path = write_parquet(
        tmp_path, v0=VECTORS[:, 0], label=pa.array([b"\xff"] * 6).view(pa.string())
    )
    with pytest.raises(
        InputError, match=r"own\.parquet: found damaged text in column label, expected UTF-8"
    ):
        save_embeddings(path, None, tmp_path / "raw")


def test_stored_vectors_are_listed_with_their_levels(tmp_path: Path) -> None:
    save_embeddings(*write_array(tmp_path), tmp_path / "raw")
    listing = module.read(tmp_path / "raw")
    assert (listing.form, listing.channels, listing.levels) == ("vectors", 3, ("kind",))
    assert listing.samples.to_dict("list") == {"id": list("012345"), **TABLE}
    rows, vectors = zip(*listing.images(), strict=True)
    assert rows == tuple(range(6))
    assert np.array_equal(vectors, VECTORS)


def test_vectors_and_table_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    save_embeddings(*write_array(tmp_path), tmp_path / "raw")
    np.save(tmp_path / "raw" / "vectors.npy", np.zeros((5, 3)))
    message = "found 5 vectors and 6 rows of table.csv, expected the same number"
    with pytest.raises(InputError, match=message):
        module.read(tmp_path / "raw")
    (tmp_path / "raw" / "vectors.npy").unlink()
    with pytest.raises(InputError, match=r"vectors\.npy: not found"):
        module.read(tmp_path / "raw")


def test_a_parquet_may_have_blank_labels_or_lineages(tmp_path: Path) -> None:
    labels = [None, "NA", "Löwe", "Löwe", "007", "c"]
    save_embeddings(write_parquet(tmp_path, v0=VECTORS[:, 0], label=labels), None, tmp_path / "raw")
    listing = module.read(tmp_path / "raw")
    assert listing.levels == ()
    assert listing.samples["label"].tolist() == ["x", *labels[1:]]
    assert listing.samples["lineage"].tolist() == ["x", "x/NA", "y/Löwe", "y/Löwe", "w/007", "z/c"]
    lineages = pa.table({"v0": VECTORS[:, 0], "lineage": ["a/b", "a", "c", "c/d", "c/e", "a"]})
    parquet.write_table(lineages, tmp_path / "own.parquet")
    save_embeddings(tmp_path / "own.parquet", None, tmp_path / "other")
    samples = module.read(tmp_path / "other").samples
    assert samples["label"].tolist() == samples["lineage"].tolist()


def test_a_name_below_a_blank_of_a_parquet_is_named_by_its_row(tmp_path: Path) -> None:
    path = write_parquet(tmp_path, v0=VECTORS[:, 0], kind=["x", "x", "y", "y", None, "z"])
    message = "found '007' in row 5, column label, expected nothing below the blank in column kind"
    with pytest.raises(InputError, match=message):
        save_embeddings(path, None, tmp_path / "raw")
