"""Copies in a data set, found as by comparing each pair of samples."""

import io
import math
from itertools import combinations
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from geomix.data.packed import Encoded, Packed, open_packed
from geomix.files import write_json
from geomix.report.copies import (
    MOST_BITS,
    MOST_COLOUR,
    find_copies,
    hash_pictures,
    hash_squares,
    match_looks,
)
from geomix.report.dataset import build_dataset


def hash_by_definition(square: np.ndarray) -> int:
    """Hash a square pixel by pixel and wave by wave."""
    side = len(square)

    def wave(rows: int, columns: int) -> float:
        return 4 * sum(
            float(square[y, x])
            * math.cos(math.pi * rows * (2 * y + 1) / (2 * side))
            * math.cos(math.pi * columns * (2 * x + 1) / (2 * side))
            for y in range(side)
            for x in range(side)
        )

    waves = [round(wave(rows, columns), 6) for rows in range(8) for columns in range(8)]
    middle = sorted(waves)
    median = (middle[31] + middle[32]) / 2
    return int("".join(str(int(one > median)) for one in waves), 2)


@pytest.mark.parametrize("seed", range(2))
def test_the_hash_is_that_of_its_definition(seed: int) -> None:
    square = np.random.default_rng(seed).integers(0, 256, (32, 32), np.uint8)
    square[: 9 * seed] = 0
    assert int(hash_squares(square[None])[0]) == hash_by_definition(square)


def test_plain_squares_have_one_hash_whatever_their_grey() -> None:
    squares = np.stack([np.full((32, 32), grey, np.uint8) for grey in (1, 77, 200, 255)])
    assert len(set(hash_squares(squares).tolist())) == 1


def test_looks_that_differ_in_two_bits_at_most_are_matched_as_pair_by_pair() -> None:
    random = np.random.default_rng(0)
    hashes = random.integers(0, 2**63, 40).astype(np.uint64)
    flips = [0, 1, 1, 2, 2, 2, 3, 4]
    for number in range(40):
        other = int(hashes[random.integers(40)])
        for bit in random.choice(64, flips[number % 8], replace=False).tolist():
            other ^= 1 << bit
        hashes = np.append(hashes, np.uint64(other))
    colours = (
        random.integers(0, 2, (80, 192), np.uint8) * 60 * random.integers(0, 2, (80, 1), np.uint8)
    )
    expected = [
        (one, other)
        for one, other in combinations(range(80), 2)
        if (int(hashes[one]) ^ int(hashes[other])).bit_count() <= MOST_BITS
        and np.abs(colours[one].astype(int) - colours[other]).max() <= MOST_COLOUR
    ]
    assert match_looks(hashes, colours) == expected
    assert 5 < len(expected) < 40


def save(image: Image.Image, kind: str = "PNG", **options: int) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def encode(files: list[bytes], labels: str, splits: list[str]) -> Packed:
    """Return files as a packed data set."""
    ends = np.cumsum([len(file) for file in files])
    offsets = np.stack([np.append(0, ends[:-1]), ends], 1)
    content = np.frombuffer(b"".join(files), np.uint8)
    ids = [f"image {row}" for row in range(len(files))]
    samples = pd.DataFrame({"id": ids, "label": list(labels), "split": splits})
    card = {"dataset": "own", "levels": [], "image_shape": [0, 0, 3]}
    return Packed(samples, Encoded(content, offsets), card)


def noise(seed: int) -> Image.Image:
    """Draw a picture that is like no other."""
    fields = np.random.default_rng(seed).integers(0, 256, (6, 6, 3), np.uint8)
    return Image.fromarray(fields).resize((60, 48), Image.Resampling.BICUBIC)


def test_copies_are_counted_by_class_and_split() -> None:
    first, second, third = save(noise(0)), save(noise(1)), save(noise(2))
    near = save(noise(1).resize((90, 72)), "JPEG", quality=90)
    files = [first, first, second, near, third, save(noise(3)), third, third]
    splits = ["train", "train", "train", "test", "val", "val", "test", ""]
    found = find_copies(encode(files, "aabcddee", splits))
    assert found.counts == {
        "equal": {"class": 2, "conflict": 2, "leak": 2},
        "near": {"class": 2, "conflict": 4, "leak": 4},
    }
    assert [(pair.kind, pair.first, pair.second) for pair in found.pairs] == [
        ("equal", 4, 6),
        ("equal", 0, 1),
        ("near", 2, 3),
    ]


@pytest.mark.parametrize("kind", ["JPEG", "WEBP", "PNG"])
def test_a_copy_at_another_size_or_quality_is_nearly_the_same(kind: str) -> None:
    picture = noise(5).resize((300, 240))
    options = {} if kind == "PNG" else {"quality": 70}
    copy = save(picture.resize((170, 136)), kind, **options)
    packed = encode([save(picture), copy, save(noise(6))], "abc", ["test"] * 3)
    assert find_copies(packed).counts["near"] == {"class": 0, "conflict": 2, "leak": 0}


def test_another_colour_is_another_picture() -> None:
    other = Image.merge("RGB", noise(5).split()[::-1])
    packed = encode([save(noise(5)), save(other)], "ab", ["test"] * 2)
    assert find_copies(packed).counts["near"]["conflict"] == 0


def test_many_plain_pictures_are_found_at_once() -> None:
    greys = [save(Image.new("L", (9, 9), 3 * grey)) for grey in range(60)]
    found = find_copies(encode(greys * 30, "a" * 1799 + "b", ["test"] * 1800))
    assert found.counts["equal"] == {"class": 1799, "conflict": 30, "leak": 0}
    assert found.counts["near"]["class"] == 1799
    assert len(found.pairs) <= 2000
    assert found.pairs[0].second == 1799


def test_decoded_squares_are_compared_too(packed: Packed) -> None:
    assert isinstance(packed.images, np.ndarray)
    images = np.array(packed.images)
    images[7] = images[0]
    changed = Packed(packed.samples, images, packed.card)
    hashes, colours = hash_pictures(changed, np.array([0, 7, 8]))
    assert hashes[0] == hashes[1]
    assert np.array_equal(colours[0], colours[1])
    assert find_copies(changed).counts["equal"] == {"class": 0, "conflict": 2, "leak": 0}


def test_vectors_are_the_same_or_not() -> None:
    samples = pd.DataFrame({"id": list("abc"), "label": list("xyx"), "split": ["test"] * 3})
    vectors = np.array([[1, 2], [1, 2], [2, 1]], np.float32)
    found = find_copies(Packed(samples, vectors, {}))
    assert found.counts == {"equal": {"class": 0, "conflict": 2, "leak": 0}}


def test_the_page_shows_conflicts_and_lists_all(packed_folder: Path) -> None:
    images = np.load(packed_folder / "images.npy")
    images[[7, 50, 21]] = images[0], images[0], images[20]
    np.save(packed_folder / "images.npy", images)
    files = build_dataset(packed_folder)
    page = " ".join(files["README.md"].decode().split())
    assert "**3 images are the same as one of another class: their labels contradict each" in page
    assert "| the same | 2 | 3 | 3 |" in page
    assert "![Pairs of pictures that are alike, of different classes](conflicts.png)" in page
    assert files["conflicts.png"].startswith(b"\x89PNG")
    pairs = pd.read_csv(io.BytesIO(files["duplicates.csv"]))
    assert pairs.iloc[0].to_dict() == {
        "alike": "the same",
        "first_id": "0-0",
        "first_label": "class 0",
        "first_split": "train",
        "second_id": "1-2",
        "second_label": "class 1",
        "second_split": "train",
    }
    assert pairs[["first_id", "second_id"]].to_numpy().tolist() == [
        *(["0-0", "1-2"], ["0-0", "10-0"], ["4-0", "4-1"]),
    ]


def test_a_page_without_copies_says_so_and_has_no_further_files(packed_folder: Path) -> None:
    files = build_dataset(packed_folder)
    assert sorted(files) == ["README.md", "counts.csv", "samples.png"]
    assert "No image is the same as another to the last byte." in files["README.md"].decode()


def test_what_was_left_out_is_counted_by_reason(packed_folder: Path) -> None:
    card = open_packed(packed_folder).card
    reasons = {"a": "the same as b", "c": "found 0 bytes", "d": "the same as e, in several classes"}
    write_json(packed_folder / "card.json", card | {"left_out": reasons, "ignored": {".x|y": 1200}})
    page = build_dataset(packed_folder)["README.md"].decode()
    assert "Left out, with the reasons in card.json: 1 broken, 2 copies of others." in page
    assert r"Not read: 1,200 .x\|y." in page
