"""In-Shop: a list with two header lines names the images of train, query and gallery."""

from collections.abc import Callable
from pathlib import Path

import pytest

from geomix.datasets import inshop
from geomix.errors import InputError

LIST = """\
6
image_name item_id evaluation_status
img/WOMEN/Dresses/id_00000002/02_1_front.jpg                            id_00000002 train
img/WOMEN/Skirts/id_00000002/02_2_side.jpg                              id_00000002 train
img/MEN/Denim/id_00000080/01_1_front.jpg                                id_00000080 train
img/WOMEN/Blouses_Shirts/id_00000001/02_1_front.jpg                     id_00000001 query
img/WOMEN/Blouses_Shirts/id_00000001/02_2_side.jpg                      id_00000001 gallery
img/MEN/Denim/id_00000085/01_1_front.jpg                                id_00000085 gallery
"""
GATES = {
    "train images": 3,
    "train classes": 2,
    "test classes": 2,
    "query images": 1,
    "gallery images": 2,
}


def images() -> dict[str, bytes]:
    """Return the members of img.zip."""
    names = [line.split()[0] for line in LIST.splitlines()[2:]]
    return {name: name.encode() for name in reversed(names)}


@pytest.fixture
def raw(tmp_path: Path, write_zip: Callable[..., Path]) -> Path:
    write_zip(tmp_path / "img.zip", {"img/": b""} | images())
    (tmp_path / "list_eval_partition.txt").write_text(LIST)
    return tmp_path


def test_query_and_gallery_are_roles_of_test_and_labels_are_bare_items(raw: Path) -> None:
    listing = inshop.read(raw, GATES)
    assert listing.samples.drop(columns="id").to_numpy().tolist() == [
        ["id_00000002", "WOMEN", "Dresses", "train", ""],
        ["id_00000002", "WOMEN", "Skirts", "train", ""],
        ["id_00000080", "MEN", "Denim", "train", ""],
        ["id_00000001", "WOMEN", "Blouses_Shirts", "test", "query"],
        ["id_00000001", "WOMEN", "Blouses_Shirts", "test", "gallery"],
        ["id_00000085", "MEN", "Denim", "test", "gallery"],
    ]
    assert listing.samples["id"][0] == "img/WOMEN/Dresses/id_00000002/02_1_front.jpg"
    assert (listing.form, listing.levels) == ("encoded", ("gender", "category"))


def test_each_row_gets_its_photograph(raw: Path, write_zip: Callable[..., Path]) -> None:
    write_zip(raw / "img.zip", {f"In-shop/{name}": content for name, content in images().items()})
    listing = inshop.read(raw, GATES)
    assert dict(listing.images()) == {
        row: name.encode() for row, name in enumerate(listing.samples["id"])
    }


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("6\n", "7\n", r"list_eval_partition\.txt: found 6 images, expected '7', its first line"),
        (
            "6\n",
            "",
            r"list_eval_partition\.txt: found second line 'img/WOMEN/.*', "
            "expected 'image_name item_id",
        ),
        (
            LIST,
            "",
            r"list_eval_partition\.txt: found second line '', "
            "expected 'image_name item_id evaluation_status'",
        ),
        (
            "query",
            "probe",
            r"found img/WOMEN/.*/02_1_front\.jpg id_00000001 probe; expected img/<gender>",
        ),
        (
            "id_00000085 gallery",
            "gallery",
            r"found line 7: 'img/MEN/Denim/id_00000085/01_1_front\.jpg .*', expected 3 fields",
        ),
        (
            "02_2_side",
            "02_3_back",
            r"img\.zip: found no img/WOMEN/Skirts/.*/02_3_back\.jpg, .*; expected the 6 files",
        ),
        (
            "query",
            "gallery",
            "found 0 query images, 3 gallery images; expected 1 query images, 2 gallery images",
        ),
    ],
)
def test_lists_that_do_not_fit_are_refused(raw: Path, old: str, new: str, message: str) -> None:
    (raw / "list_eval_partition.txt").write_text(LIST.replace(old, new))
    with pytest.raises(InputError, match=message):
        inshop.read(raw, GATES)


def test_a_part_of_the_set_is_refused(raw: Path) -> None:
    with pytest.raises(
        InputError,
        match="expected 25882 train images, 3997 train classes, 3985 test classes, 14218 query",
    ):
        inshop.read(raw)
    (raw / "list_eval_partition.txt").unlink()
    with pytest.raises(InputError, match=r"list_eval_partition\.txt: not found"):
        inshop.read(raw, GATES)
