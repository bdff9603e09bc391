"""Omniglot: two archives of alphabets are train and test; every character has its 20 drawings."""

from collections.abc import Callable
from pathlib import Path

import pytest

from geomix.datasets import omniglot
from geomix.errors import InputError

CHARACTERS = {
    "images_background": ["Greek/character01", "Greek/character02", "Early_Aramaic/character01"],
    "images_evaluation": ["Angelic/character01", "Angelic/character02"],
}
GATES = {
    "images_background": {"alphabets": 2, "characters": 3},
    "images_evaluation": {"alphabets": 1, "characters": 2},
}


def drawings(folder: str) -> dict[str, bytes]:
    """Return the members of an archive, numbered by character and by drawing."""
    return {
        f"{folder}/{character}/{number:04}_{drawing:02}.png": f"{character} {drawing}".encode()
        for number, character in enumerate(CHARACTERS[folder], 709)
        for drawing in range(1, 21)
    }


@pytest.fixture
def raw(tmp_path: Path, write_zip: Callable[..., Path]) -> Path:
    for folder in CHARACTERS:
        write_zip(tmp_path / f"{folder}.zip", {f"{folder}/": b""} | drawings(folder))
    return tmp_path


def test_background_is_train_and_evaluation_is_test(raw: Path) -> None:
    samples = omniglot.read(raw, GATES).samples
    assert samples.groupby("split")["label"].unique().map(sorted).to_dict() == {
        "train": sorted(CHARACTERS["images_background"]),
        "test": sorted(CHARACTERS["images_evaluation"]),
    }
    assert samples["id"].is_unique
    row = samples.set_index("id").loc["Greek/character02/0710_07"]
    assert row.to_dict() == {"label": "Greek/character02", "alphabet": "Greek", "split": "train"}


def test_an_alphabet_stays_in_one_split(raw: Path) -> None:
    assert omniglot.read(raw, GATES).unit == "branch"


def test_each_row_gets_its_drawing(raw: Path) -> None:
    listing = omniglot.read(raw, GATES)
    contents = dict(listing.images())
    assert sorted(contents) == list(range(100))
    for row, (name, label) in enumerate(
        zip(listing.samples["id"], listing.samples["label"], strict=True)
    ):
        assert contents[row] == f"{label} {int(name[-2:])}".encode()


def test_drawings_are_small_grey_squares(raw: Path) -> None:
    listing = omniglot.read(raw, GATES)
    assert (listing.form, listing.side, listing.channels, listing.levels) == (
        "decoded",
        32,
        1,
        ("alphabet",),
    )


def test_the_order_of_storage_does_not_matter(raw: Path, write_zip: Callable[..., Path]) -> None:
    before = omniglot.read(raw, GATES).samples
    folder = "images_background"
    members = dict(reversed(drawings(folder).items()))
    write_zip(
        raw / f"{folder}.zip",
        {"__MACOSX/images_background/._Greek": b"", f"{folder}/Greek/._a.png": b""} | members,
    )
    assert omniglot.read(raw, GATES).samples.equals(before)


def test_a_missing_drawing_is_named(raw: Path, write_zip: Callable[..., Path]) -> None:
    members = drawings("images_evaluation")
    del members["images_evaluation/Angelic/character02/0710_20.png"]
    write_zip(raw / "images_evaluation.zip", members)
    with pytest.raises(
        InputError,
        match=r"images_evaluation\.zip: found 19 of Angelic/character02; expected 20 drawings",
    ):
        omniglot.read(raw, GATES)


def test_a_drawing_in_another_place_is_named(raw: Path, write_zip: Callable[..., Path]) -> None:
    write_zip(
        raw / "images_evaluation.zip",
        drawings("images_evaluation") | {"images_evaluation/a.png": b""},
    )
    with pytest.raises(
        InputError, match=r"images_evaluation\.zip: found a\.png, expected <alphabet>"
    ):
        omniglot.read(raw, GATES)


def test_a_part_of_the_set_is_refused(raw: Path) -> None:
    message = "found 2 alphabets, 3 characters; expected 30 alphabets, 964 characters"
    with pytest.raises(InputError, match=rf"images_background\.zip: {message}"):
        omniglot.read(raw)
    (raw / "images_evaluation.zip").unlink()
    with pytest.raises(InputError, match=r"images_evaluation\.zip: not found"):
        omniglot.read(raw, GATES)
