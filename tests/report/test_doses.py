"""The figure of the calibration: no name lies on another, and lines to names do not cross."""

from collections.abc import Iterator
from itertools import combinations

import numpy as np
import pytest
from matplotlib import pyplot as plt
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.text import Annotation, Text

from geomix.report import doses as module
from geomix.report.doses import draw_doses
from geomix.report.figures import spread_labels
from geomix.report.stresses import Setting

NAN = float("nan")


@pytest.mark.parametrize(
    ("heights", "placed"),
    [
        ([], []),
        ([0.2, 0.8], [0.2, 0.8]),
        ([0.5, 0.5, 0.55], [0.5, 0.6, 0.7]),
        ([0.9, 0.95, 1.0], [0.8, 0.9, 1.0]),
        ([-0.1, 0.0], [0.0, 0.1]),
    ],
)
def test_labels_keep_their_order_and_their_distance(
    heights: list[float], placed: list[float]
) -> None:
    assert spread_labels(heights, 0.1) == pytest.approx(placed)


@pytest.fixture
def figures(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Figure]]:
    """Return the figures that are drawn."""
    kept: list[Figure] = []
    monkeypatch.setattr(module, "to_png", kept.append)
    yield kept
    for figure in kept:
        plt.close(figure)


def make_settings() -> list[Setting]:
    """Return settings whose controls are close to each other."""
    made = []
    for outputs in (3, 2):
        for geometry, level in (("euclidean", 0.5), ("dot", 0.51), ("flat_free", 0.0005)):
            by_seed = (level, 1.1 * level)
            made.append(Setting("grid", outputs, geometry, NAN, 0.003, level, by_seed))
        for curvature in (0, 0.001, 0.1, 4):
            level = (0.0005 + curvature / 30) / outputs
            by_seed = (level, 1.1 * level)
            made.append(Setting("grid", outputs, "ball", curvature, 0.003, level, by_seed))
    return made


def test_no_name_lies_on_another_and_lines_to_names_do_not_cross(figures: list[Figure]) -> None:
    draw_doses(make_settings(), ["grid"])
    (figure,) = figures
    canvas = figure.canvas
    assert isinstance(canvas, FigureCanvasAgg)
    canvas.draw()
    (panel,) = figure.axes
    names = [text for text in panel.texts if isinstance(text, Annotation)]
    assert len(names) == 6
    boxes = [Text.get_window_extent(name) for name in names]  # without the line to it
    heights = [(name.xy[1], name.get_position()[1]) for name in names]
    for a, b in combinations(range(6), 2):
        assert boxes[a].y1 <= boxes[b].y0 or boxes[b].y1 <= boxes[a].y0
        assert (heights[a][0] <= heights[b][0]) == (heights[a][1] < heights[b][1])


def test_balls_are_means_with_a_point_for_each_seed(figures: list[Figure]) -> None:
    draw_doses(make_settings(), ["grid"])
    (panel,) = figures[0].axes
    lines = {line.get_label(): line for line in panel.lines}
    drawn = lines["ball, 3 outputs, mean"]
    rows = [one for one in make_settings() if one.is_ball and one.outputs == 3]
    assert np.asarray(drawn.get_ydata()).tolist() == pytest.approx([one.mean for one in rows])
    places = np.asarray(drawn.get_xdata()).tolist()
    assert places == sorted(places)
    labels = [tick.get_text() for tick in panel.get_xticklabels()]
    assert labels == ["0\n(flat)", "0.001", "0.1", "4"]
    assert np.size(lines["ball, 3 outputs, each seed"].get_ydata()) == 2 * len(rows)
    assert panel.get_yscale() == "log"
