"""Copies: images of the same content are kept, dropped by class, or refused with their names."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from geomix.config.sections import Images
from geomix.data.packed import Encoded, open_packed
from geomix.errors import InputError
from geomix.preprocess.copies import digest, group_copies, settle_copies
from geomix.preprocess.pack import pack
from tests.preprocess.test_pack import EACH, THIRDS, draw_files, listing_of


def copied(*pairs: tuple[int, int]) -> list[bytes]:
    """Return the files with some in the place of others."""
    files = draw_files()
    for row, other in pairs:
        files[other] = files[row]
    return files


def images(how: str | int, **more: Any) -> Images:
    return Images.model_validate(
        {"form": "encoded", "side": None, "broken": 0, "duplicates": how} | more
    )


COPIES = ((0, 1), (0, 3), (4, 9), (13, 14))  # three and two of one class, two of two classes


def test_content_is_told_by_every_byte_and_by_its_shape() -> None:
    assert digest(b"ab") == digest(b"ab") != digest(b"ac")
    pixels = np.arange(12, dtype=np.uint8)
    assert digest(pixels.reshape(3, 4, 1)) != digest(pixels.reshape(4, 3, 1))
    assert digest(pixels.reshape(3, 4).T) == digest(np.ascontiguousarray(pixels.reshape(3, 4).T))


def test_groups_are_of_samples_in_use_and_whole() -> None:
    digests = [b"x", b"y", b"x", b"", b"", b"x", b"y"]
    used = np.array([True, True, True, True, True, False, True])
    assert group_copies(digests, used) == [[0, 2], [1, 6]]


def test_copies_are_kept_by_default_and_counted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pack("colours", listing_of(copied(*COPIES)), tmp_path / "packed", THIRDS, images("keep"))
    assert len(open_packed(tmp_path / "packed").samples) == 24
    line = "colours: 24 images packed; 0 broken; 4 copies of others\n"
    assert capsys.readouterr().err.splitlines(keepends=True)[0] == line


@pytest.mark.parametrize("form", ["encoded", "decoded"])
def test_of_copies_in_a_class_the_first_stays_and_of_several_classes_none(
    tmp_path: Path, form: str
) -> None:
    files = copied(*COPIES)
    out = tmp_path / "packed"
    pack("colours", listing_of(files), out, THIRDS, images("drop", form=form))
    packed = open_packed(out)
    kept = [row for row in range(24) if row not in (1, 3, 4, 9, 14)]
    assert packed.samples["id"].tolist() == [f"image {row}" for row in kept]
    assert packed.card["left_out"] == {
        "image 1": "the same as image 0",
        "image 3": "the same as image 0",
        "image 4": "the same as image 9, in several classes",
        "image 9": "the same as image 4, in several classes",
        "image 14": "the same as image 13",
    }
    if isinstance(packed.images, Encoded):
        assert [packed.images.read(row) for row in range(len(kept))] == [files[r] for r in kept]


def test_copies_are_refused_with_their_names_and_classes(tmp_path: Path) -> None:
    message = (
        r"images.duplicates: found 4 copies of other images, expected each image once: "
        r"image 0 \(class 0\) = image 1 \(class 0\) = image 3 \(class 0\); "
        r"image 4 \(class 1\) = image 9 \(class 2\); image 13 \(class 3\) = image 14 \(class 3\)$"
    )
    with pytest.raises(InputError, match=message):
        pack("colours", listing_of(copied(*COPIES)), tmp_path / "packed", THIRDS, images("refuse"))
    assert not list(tmp_path.iterdir())
    pack("colours", listing_of(draw_files()), tmp_path / "packed", THIRDS, images("refuse"))


@pytest.mark.parametrize(("most", "refused"), [(0, True), (3, True), (4, False)])
def test_more_copies_than_a_number_are_refused_and_fewer_kept(
    tmp_path: Path, most: int, refused: bool
) -> None:
    given = (listing_of(copied(*COPIES)), tmp_path / "packed", THIRDS, images(most))
    if not refused:
        pack("colours", *given)
        assert len(open_packed(tmp_path / "packed").samples) == 24
        return
    expected = f"at most {most}" if most else "each image once"
    with pytest.raises(InputError, match=f"found 4 copies of other images, expected {expected}: "):
        pack("colours", *given)


def test_a_copy_that_is_not_used_is_none() -> None:
    table = pd.DataFrame({"id": list("abc"), "label": list("xyx"), "split": ["train", "", ""]})
    assert settle_copies([b"1", b"1", b"1"], table, "refuse") == {}


def test_copies_and_broken_images_go_together(tmp_path: Path) -> None:
    files = copied(*COPIES)
    files[23] = b""
    out = tmp_path / "packed"
    pack("colours", listing_of(files), out, THIRDS, images("drop", broken=1))
    assert list(open_packed(out).card["left_out"]) == [
        *("image 1", "image 3", "image 4", "image 9", "image 14", "image 23"),
    ]


def test_a_class_that_copies_leave_too_small_is_refused(tmp_path: Path) -> None:
    files = copied(*((row, row + 1) for row in range(23) if row % EACH < EACH - 1))
    files = [files[row - row % EACH] for row in range(24)]
    message = (
        "classes.smallest_class: found 1 sample of .*, after 18 copies were left out, expected"
    )
    with pytest.raises(InputError, match=message):
        pack("colours", listing_of(files), tmp_path / "packed", THIRDS, images("drop"))
