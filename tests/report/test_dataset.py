"""The data set page: counts of the card, and families of classes side by side."""

from geomix.data.packed import Packed
from geomix.report.dataset import dataset_page, sample_rows


def test_counts_and_files(packed: Packed) -> None:
    files = dataset_page(packed)
    assert sorted(files) == ["dataset.csv", "dataset.md", "samples.png"]
    page = files["dataset.md"].decode()
    assert (
        "60 images of 16 x 16 pixels, grey, in\n12 classes of 5 images. Hierarchy: kind -> group -> class."
        in page
    )
    assert "4 of 4 test classes share their group with one of train." in page
    assert "val,classes,4\n" in files["dataset.csv"].decode()


def test_a_row_shows_a_family_first(packed: Packed) -> None:
    rows = dict(sample_rows(packed))
    assert list(rows) == ["even\nfrom group group 0", "odd\nfrom group group 1"]
    captions = [caption for _, caption in rows["even\nfrom group group 0"]]
    assert captions[:6] == ["class 0 (train)"] * 2 + ["class 4 (val)"] * 2 + ["class 8 (test)"] * 2


def test_a_data_set_without_levels_has_one_row(packed: Packed) -> None:
    flat = Packed(packed.samples, packed.images, packed.card | {"levels": []})
    assert len(list(sample_rows(flat))) == 1
