"""The page of a data set: counts of the card, and families of classes side by side."""

import io
from pathlib import Path

import pandas as pd

from geomix.data.packed import SPLITS, Packed
from geomix.report.dataset import build_dataset, count_related, describe_form, sample_rows


def test_counts_are_those_of_the_samples(packed_folder: Path, packed: Packed) -> None:
    files = build_dataset(packed_folder)
    assert sorted(files) == ["README.md", "counts.csv", "samples.png"]
    counts = pd.read_csv(io.BytesIO(files["counts.csv"])).set_index(["split", "kind"])["count"]
    for split in SPLITS:
        rows = packed.samples[packed.samples["split"] == split]
        assert counts[split, "images"] == len(rows)
        assert counts[split, "classes"] == rows["label"].nunique()
    page = files["README.md"].decode()
    assert "patterns has 60 images in 12 classes" in page
    assert "A class has 5 images." in page


def test_related_classes_are_counted(packed: Packed) -> None:
    assert count_related(packed) == 4
    apart = packed.samples.assign(group=packed.samples["label"])
    assert count_related(Packed(apart, packed.images, packed.card)) == 0
    assert describe_form(packed) == "16 x 16 pixels, grey"


def test_a_row_shows_a_family_first(packed: Packed) -> None:
    rows = dict(sample_rows(packed))
    assert list(rows) == ["even\nfrom group group 0", "odd\nfrom group group 1"]
    captions = [caption for _, caption in rows["even\nfrom group group 0"]]
    assert captions[:6] == ["class 0 (train)"] * 2 + ["class 4 (val)"] * 2 + ["class 8 (test)"] * 2


def test_a_data_set_without_levels_has_one_row(packed: Packed) -> None:
    flat = Packed(packed.samples, packed.images, packed.card | {"levels": []})
    assert len(list(sample_rows(flat))) == 1
    assert count_related(flat) == 0
