"""A packed data set opens whole or is refused with what is wrong."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from geomix.data.packed import Encoded, Packed, check_hashes, open_packed, read_samples
from geomix.errors import InputError
from geomix.files import hash_file

FILES = [bytes([row]) * (row + 1) for row in range(60)]


def encode(folder: Path, **changes: object) -> Path:
    """Turn a packed folder into an encoded one, whose files are any bytes, with their hashes."""
    (folder / "images.npy").unlink()
    (folder / "images.bin").write_bytes(b"".join(FILES))
    ends = np.cumsum([len(content) for content in FILES])
    np.save(folder / "offsets.npy", np.stack([np.r_[0, ends[:-1]], ends], 1))
    return sign(folder, form="encoded", image_shape=[0, 0, 3], **changes)


def sign(folder: Path, **changes: object) -> Path:
    """Write the hashes of a folder's files, and other changes, to its card."""
    card = json.loads((folder / "card.json").read_text())
    names = sorted(path.name for path in folder.iterdir() if path.name != "card.json")
    hashes = {name: hash_file(folder / name) for name in names}
    (folder / "card.json").write_text(json.dumps(card | {"sha256": hashes} | changes))
    return folder


def test_rows_of_a_split_are_in_the_order_of_the_table(packed: Packed) -> None:
    assert packed.rows("val").tolist() == list(range(20, 40))
    assert isinstance(packed.images, np.ndarray)
    assert packed.images.shape == (60, *packed.image_shape) == (60, 16, 16, 1)
    assert set(packed.samples["label"][packed.rows("test")]) == {
        "class 8",
        "class 9",
        "class 10",
        "class 11",
    }


def test_a_card_without_a_key_is_refused(packed_folder: Path) -> None:
    path = packed_folder / "card.json"
    path.write_text(path.read_text().replace('"levels"', '"lavels"'))
    with pytest.raises(InputError, match="card.json: found no levels, expected dataset, levels"):
        open_packed(packed_folder)


@pytest.mark.parametrize("cut", [100, 100_000])
def test_truncated_images_are_refused(packed_folder: Path, cut: int) -> None:
    path = packed_folder / "images.npy"
    path.write_bytes(path.read_bytes()[:-cut])
    with pytest.raises(InputError, match="images.npy: damaged: .* makes it again") as caught:
        open_packed(packed_folder)
    assert "\n" not in str(caught.value)


def test_bytes_after_the_images_are_refused(packed_folder: Path) -> None:
    path = packed_folder / "images.npy"
    path.write_bytes(path.read_bytes() + b"0")
    with pytest.raises(InputError, match="images.npy: damaged: .* in 15,489 bytes, expected .* in"):
        open_packed(packed_folder)


@pytest.mark.parametrize("shape", [(59, 16, 16, 1), (60, 16, 8, 1), (60, 16, 16)])
def test_images_of_another_shape_are_refused(packed_folder: Path, shape: tuple[int, ...]) -> None:
    np.save(packed_folder / "images.npy", np.zeros(shape, np.uint8))
    with pytest.raises(InputError, match=r"images.npy: damaged: .*expected \(60, 16, 16, 1\)"):
        open_packed(packed_folder)


def test_a_changed_byte_is_found_by_its_hash(packed_folder: Path) -> None:
    check_hashes(packed_folder)
    path = packed_folder / "images.npy"
    content = path.read_bytes()
    path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    open_packed(packed_folder)
    with pytest.raises(InputError, match="images.npy: damaged: found sha256 .*expected"):
        check_hashes(packed_folder)
    path.unlink()
    with pytest.raises(InputError, match="images.npy: not found"):
        check_hashes(packed_folder)


@pytest.mark.parametrize("name", ["images.npy", "samples.csv", "card.json"])
def test_a_missing_file_is_named(packed_folder: Path, name: str) -> None:
    (packed_folder / name).unlink()
    with pytest.raises(InputError, match=f"{name}: not found"):
        open_packed(packed_folder)


def test_a_missing_column_is_named(packed_folder: Path) -> None:
    path = packed_folder / "samples.csv"
    path.write_text(path.read_text().replace("label", "lable", 1))
    with pytest.raises(
        InputError, match="samples.csv: found columns id, lable, .*; expected label too"
    ):
        open_packed(packed_folder)


def test_a_table_edited_by_hand_is_refused(packed_folder: Path) -> None:
    path = packed_folder / "samples.csv"
    path.write_text(path.read_text().replace("train", "test", 1))
    with pytest.raises(
        InputError, match="samples.csv: damaged: found 19 rows of train, expected 20"
    ):
        open_packed(packed_folder)


def test_an_unknown_split_is_named(tmp_path: Path) -> None:
    (tmp_path / "samples.csv").write_text("id,label,split\n1,a,train\n2,b,query\n")
    with pytest.raises(InputError, match="found split query; expected train, val, test or nothing"):
        read_samples(tmp_path / "samples.csv", [])


@pytest.mark.parametrize("content", ["", 'id,label,split\n1,"a,train\n'])
def test_what_is_no_table_is_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / "samples.csv").write_text(content)
    with pytest.raises(InputError, match="samples.csv: not a table"):
        read_samples(tmp_path / "samples.csv", [])


def test_labels_stay_text(tmp_path: Path) -> None:
    (tmp_path / "samples.csv").write_text(
        "id,label,split\n1,NA,train\n2,007,train\n", encoding="utf-8"
    )
    assert read_samples(tmp_path / "samples.csv", [])["label"].tolist() == ["NA", "007"]


def test_images_are_not_loaded_until_used(packed: Packed) -> None:
    assert isinstance(packed.images, np.memmap)


def test_encoded_images_are_read_file_by_file(packed_folder: Path) -> None:
    packed = open_packed(encode(packed_folder))
    assert isinstance(packed.images, Encoded)
    assert isinstance(packed.images.content, np.memmap)
    assert (packed.form, packed.channels, len(packed.images)) == ("encoded", 3, 60)
    assert [packed.images.read(row) for row in range(60)] == FILES


@pytest.mark.parametrize("wrong", [(-1, 5), (7, 7), (9, 2), (1829, 1831)])
def test_offsets_outside_of_the_file_are_refused(
    packed_folder: Path, wrong: tuple[int, int]
) -> None:
    encode(packed_folder)
    offsets = np.load(packed_folder / "offsets.npy")
    offsets[3] = wrong
    np.save(packed_folder / "offsets.npy", offsets)
    found = f"bytes {wrong[0]} to {wrong[1]} for row 3"
    message = f"offsets.npy: found {found}, expected some of the 1830 bytes"
    with pytest.raises(InputError, match=message):
        open_packed(sign(packed_folder))


def test_offsets_of_another_shape_are_refused(packed_folder: Path) -> None:
    encode(packed_folder)
    np.save(packed_folder / "offsets.npy", np.arange(60))
    with pytest.raises(
        InputError, match=r"offsets.npy: found int64 of shape \(60,\), expected int64 of \(N, 2\)"
    ):
        open_packed(sign(packed_folder))


def test_fewer_files_than_rows_are_refused(packed_folder: Path) -> None:
    encode(packed_folder)
    np.save(packed_folder / "offsets.npy", np.load(packed_folder / "offsets.npy")[:-1])
    with pytest.raises(InputError, match="found 59 images and 60 rows"):
        open_packed(sign(packed_folder))


def test_an_unknown_form_is_refused(packed_folder: Path) -> None:
    with pytest.raises(
        InputError, match="card.json: found form 'jpeg', expected decoded or encoded"
    ):
        open_packed(sign(packed_folder, form="jpeg"))


def test_without_roles_every_image_is_query_and_gallery(packed: Packed) -> None:
    assert (
        packed.queries("test").tolist()
        == packed.gallery("test").tolist()
        == packed.rows("test").tolist()
    )


def test_roles_divide_a_split(packed: Packed) -> None:
    roles = ["query", "gallery", ""] * 20
    divided = replace(packed, samples=packed.samples.assign(role=roles))
    rows = range(20, 40)
    assert divided.queries("val").tolist() == [row for row in rows if roles[row] != "gallery"]
    assert divided.gallery("val").tolist() == [row for row in rows if roles[row] != "query"]


def test_an_unknown_role_is_named(tmp_path: Path) -> None:
    (tmp_path / "samples.csv").write_text("id,label,split,role\n1,a,test,query\n2,b,test,probe\n")
    with pytest.raises(InputError, match="found role probe; expected query, gallery or nothing"):
        read_samples(tmp_path / "samples.csv", [])


def test_aspects_are_numbers_and_squares_by_default(packed: Packed) -> None:
    assert packed.aspects.tolist() == [1.0] * 60
    wide = replace(packed, samples=packed.samples.assign(aspect=["1.25", "0.75"] * 30))
    assert wide.aspects[:3].tolist() == [1.25, 0.75, 1.25]


def test_samples_lie_in_a_tree_by_their_levels_and_label_or_by_a_column_of_paths(
    packed: Packed,
) -> None:
    depths = packed.lineages.depth
    assert depths.tolist() == [3] * 60
    assert packed.lineages.paths[packed.lineages.node[0]] == ("even", "group 0", "class 0")
    paths = ["a", "a/b", "a/b/c"] * 20
    known = replace(packed, samples=packed.samples.assign(lineage=paths))
    assert known.lineages.depth.tolist() == [1, 2, 3] * 20


def test_coordinates_are_the_columns_that_the_card_names(packed: Packed) -> None:
    assert packed.coordinates is None
    samples = packed.samples.assign(x=[str(row / 4) for row in range(60)], y="-1e-3")
    card = packed.card | {"coordinates": ["x", "y"]}
    flat = replace(packed, samples=samples, card=card)
    assert flat.coordinates is not None
    assert flat.coordinates[5].tolist() == [1.25, -0.001]
