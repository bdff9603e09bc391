"""Pages of vectors: complete without a picture of any, and true of what they show."""

import json
from pathlib import Path

import numpy as np
import pytest
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from geomix.config.stages import PageParams
from geomix.data.packed import Packed, open_packed
from geomix.files import hash_file
from geomix.report import vectors as module
from geomix.report.dataset import build_dataset
from geomix.report.page import build_page
from geomix.report.vectors import draw_labels, draw_map, project
from tests.report.conftest import STUDIES

PNG = b"\x89PNG"


@pytest.fixture
def vectors_folder(packed_folder: Path) -> Path:
    """Give the small packed data set with vectors in place of its images."""
    (packed_folder / "images.npy").unlink()
    vectors = np.random.default_rng(0).normal(size=(60, 7)).astype(np.float32)
    np.save(packed_folder / "vectors.npy", vectors)
    card = json.loads((packed_folder / "card.json").read_text())
    hashes = {name: hash_file(packed_folder / name) for name in ("vectors.npy", "samples.csv")}
    counts = {
        split: {"vectors": count.pop("images"), **count} for split, count in card["counts"].items()
    }
    changes = {"form": "vectors", "image_shape": [1, 1, 7], "sha256": hashes, "counts": counts}
    (packed_folder / "card.json").write_text(json.dumps(card | changes))
    return packed_folder


@pytest.fixture
def vectors(vectors_folder: Path) -> Packed:
    """Give a small packed data set of vectors."""
    return open_packed(vectors_folder)


def keep_figures(monkeypatch: pytest.MonkeyPatch) -> list[Figure]:
    """Keep the figures that are drawn, closed."""
    figures: list[Figure] = []

    def keep(figure: Figure) -> None:
        plt.close(figure)
        figures.append(figure)

    monkeypatch.setattr(module, "to_png", keep)
    return figures


def test_pages_are_built_without_a_picture_of_any(
    kept_results: Path, vectors_folder: Path, params: PageParams
) -> None:
    dataset = build_dataset(vectors_folder)
    study = kept_results / "tau", kept_results / "baselines"
    files = build_page("tau", STUDIES["tau"], *study, vectors_folder, params)
    assert dataset["samples.png"].startswith(PNG)
    assert files["neighbours.png"].startswith(PNG)
    for content in (dataset["README.md"], files["README.md"]):
        assert "image" not in content.decode().partition("<details>")[0]
    assert "A vector has 7 numbers." in dataset["README.md"].decode()


def test_the_projection_is_that_of_the_covariance() -> None:
    random = np.random.default_rng(0)
    points = random.normal(size=(50, 4)) * [1, 5, 2, 0.1] + 3
    places, shares = project(points)
    values, directions = np.linalg.eigh(np.cov(points.T))
    np.testing.assert_allclose(shares, values[::-1][:2] / values.sum())
    expected = np.abs((points - points.mean(0)) @ directions[:, ::-1][:, :2])
    np.testing.assert_allclose(np.abs(places), expected, atol=1e-9)
    assert places[:, 0] @ (points[:, 1] - points[:, 1].mean()) > 0


@pytest.mark.parametrize("points", [np.ones((4, 3)), np.arange(4.0)[:, None], np.ones((1, 2))])
def test_points_without_a_second_direction_are_projected_too(points: np.ndarray) -> None:
    places, shares = project(points)
    assert places.shape == (len(points), 2)
    assert not places[:, 1].any()
    assert np.isfinite(shares).all()


def test_the_map_shows_every_test_vector_in_the_colour_of_its_group(
    vectors: Packed, monkeypatch: pytest.MonkeyPatch
) -> None:
    figures = keep_figures(monkeypatch)
    monkeypatch.setattr(module, "GROUPS", 3)
    draw_map(vectors)
    draw_map(Packed(vectors.samples, vectors.images, vectors.card | {"levels": []}))
    drawn = []
    for figure in figures:
        legend = figure.axes[0].get_legend()
        assert legend
        names = [text.get_text() for text in legend.get_texts()]
        counts = [len(np.asarray(line.get_xdata())) for line in figure.axes[0].lines]
        drawn.append(dict(zip(names, filter(None, counts), strict=True)))
    assert drawn[0] == {"even": 10, "odd": 10}
    assert drawn[1] == {"other label": 5, "class 8": 5, "class 9": 5, "class 10": 5}


def test_the_legend_shows_names_as_they_are(
    vectors: Packed, monkeypatch: pytest.MonkeyPatch
) -> None:
    figures = keep_figures(monkeypatch)
    names = {"even": "_e$v$n", "odd": "猫\n$$"}
    samples = vectors.samples.replace({"kind": names}).rename(columns={"kind": "_$k$"})
    draw_map(Packed(samples, vectors.images, vectors.card | {"levels": ["_$k$"]}))
    legend = figures[0].axes[0].get_legend()
    assert legend
    shown = [text.get_text() for text in (legend.get_title(), *legend.get_texts())]
    assert shown[:2] == ["_$k$", "_e$v$n"]
    assert shown[2] in ("[732B] $$", "猫 $$")


def test_wrong_neighbours_have_a_cross(monkeypatch: pytest.MonkeyPatch) -> None:
    figures = keep_figures(monkeypatch)
    draw_labels(
        ["a$x$", "b"],
        {"flat": [["a$x$", "b"], ["b", "b" * 30]], "hybrid": [["c", "a$x$"], ["b", "b"]]},
    )
    cells = figures[0].axes[0].tables[0].get_celld()
    shown = [[cells[row, column].get_text().get_text() for column in range(4)] for row in range(5)]
    assert shown == [
        ["query", "geometry", "1", "2"],
        ["a$x$", "flat", "a$x$", "b ✗"],
        ["a$x$", "hybrid", "c ✗", "a$x$"],
        ["b", "flat", "b", "b" * 23 + "… ✗"],
        ["b", "hybrid", "b", "b"],
    ]
    assert cells[1, 3].get_text().get_fontweight() == "bold"
    assert cells[1, 2].get_text().get_fontweight() != "bold"
