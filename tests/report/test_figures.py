"""Figures: every geometry has its own marker and dash, a wrong neighbour is marked without colour, bytes repeat."""

import io

import numpy as np
import pandas as pd
import pytest
from matplotlib import pyplot as plt
from PIL import Image

from geomix.report.figures import (
    LOOKS,
    SPARE_LOOKS,
    draw_neighbours,
    draw_samples,
    draw_sweep,
    fit_caption,
    look_of,
    measure_text,
)


def summary(knob: str, values: list[float]) -> pd.DataFrame:
    rows = [("flat", value, 0.5 + value / 10, 0.01) for value in values] + [
        ("other", value, 0.4, np.nan) for value in values
    ]
    return pd.DataFrame(rows, columns=["geometry", knob, "recall_at_1", "recall_at_1_sd"]).assign(
        seeds=2
    )


def opened(png: bytes) -> Image.Image:
    image = Image.open(io.BytesIO(png))
    assert "Software" not in image.info
    return image


def test_lines_differ_without_colour() -> None:
    shapes = [(marker, str(dash)) for _, marker, dash in [*LOOKS.values(), *SPARE_LOOKS]]
    assert len(set(shapes)) == len(shapes)
    assert look_of("other", ["flat", "other"])["marker"] == SPARE_LOOKS[0][1]


def test_a_sweep_is_drawn_alike_every_time_and_leaves_no_figure_open() -> None:
    chosen = pd.DataFrame({"geometry": ["flat", "other"], "curvature": [0.1, 0.0]})
    lines = {split: {"raw pixels": 0.45, "untrained": 0.01} for split in ("val", "test")}
    first, second = (
        draw_sweep(
            {s: summary("curvature", [0.0, 0.1, 1.0]) for s in lines}, "curvature", chosen, lines
        )
        for _ in "ab"
    )
    assert first == second
    assert opened(first).size == (1200, 528)
    assert not plt.get_fignums()


def test_a_sweep_of_one_value_can_be_drawn() -> None:
    chosen = pd.DataFrame({"geometry": ["flat", "other"], "tau": [0.1, 0.1]})
    lines: dict[str, dict[str, float]] = {"val": {}, "test": {}}
    opened(draw_sweep({split: summary("tau", [0.1]) for split in lines}, "tau", chosen, lines))


def test_a_wrong_neighbour_is_seen_in_grey() -> None:
    image = np.full((8, 8, 1), 128, np.uint8)
    right, wrong = (
        np.asarray(
            opened(draw_neighbours([(image, "a")], {"flat": [[(image, found)]]})).convert("L"), int
        )
        for found in "ab"
    )
    assert right.shape == wrong.shape
    assert (np.abs(right - wrong) > 60).sum() > 100


def test_rows_of_samples_may_differ_in_length() -> None:
    image = np.zeros((8, 8, 1), np.uint8)
    opened(draw_samples([("long", [(image, "a"), (image, "b")]), ("short", [(image, "c")])]))


@pytest.mark.parametrize(
    ("caption", "lines", "size"),
    [
        ("Kiwi", ["Kiwi"], 7),
        ("Yellow-Bell-Pepper", ["Yellow-Bell-", "Pepper"], 5.5),
        ("Royal Gala (test)", ["Royal Gala", "(test)"], 5.5),
        ("Bengali/character01", ["Bengali/", "character01"], 5.5),
        ("Arla-Natural-Mild-Low-Fat-Yoghurt", ["Arla-Natural-", "Mild-Low-Fat-", "Yoghurt"], 5.5),
        ("God-Morgon-Red-Grapefruit-Juice", ["God-Morgon-", "Red-Grapefruit-", "Juice"], 4.6),
    ],
)
def test_a_caption_breaks_between_words_in_the_largest_letters_that_keep_it_whole(
    caption: str, lines: list[str], size: float
) -> None:
    assert fit_caption(caption, 38) == (lines, size)


@pytest.mark.parametrize("width", [15, 31, 40])
@pytest.mark.parametrize(
    "caption",
    [
        "",
        "Ă",
        "God-Morgon-Orange-Red-Grapefruit-Juice",
        "Japanese_(katakana)/character07",
        "W" * 40,
        "a b " * 20,
        "--/_",
    ],
)
def test_no_caption_is_wider_than_its_image_or_longer_than_three_lines(
    caption: str, width: float
) -> None:
    lines, size = fit_caption(caption, width)
    assert len(lines) <= 3
    assert max(measure_text(line, size) for line in lines) <= width


def test_what_is_left_out_of_a_caption_is_of_its_middle() -> None:
    lines, _ = fit_caption("God-Morgon-Orange-Red-Grapefruit-Juice", 31)
    assert lines[0] == "God-Morgon-"
    assert lines[1].startswith("…")
    assert lines[2] == "Juice"
    (line,), _ = fit_caption("Supercalifragilistic12", 31)
    assert line.startswith("Super")
    assert line.endswith("12")
    assert line.count("…") == 1
