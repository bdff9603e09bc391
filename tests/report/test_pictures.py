"""Pictures: a wrong neighbour is marked without colour, captions fit below their image."""

import io

import numpy as np
import pytest
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from PIL import Image

from geomix.data.packed import Encoded, Packed
from geomix.report import hardest, pictures
from geomix.report.hardest import Block, draw_hardest
from geomix.report.pictures import (
    draw_neighbours,
    draw_samples,
    fit_captions,
    measure_text,
    read_pictures,
)


def opened(png: bytes) -> Image.Image:
    image = Image.open(io.BytesIO(png))
    assert "Software" not in image.info
    return image


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


def drawn_parts(monkeypatch: pytest.MonkeyPatch, images: list[np.ndarray]) -> list[np.ndarray]:
    """Return what is handed to matplotlib for images of a row."""
    shown: list[np.ndarray] = []
    show = Axes.imshow

    def keep(self: Axes, image: np.ndarray, **options: object) -> object:
        shown.append(image)
        return show(self, image, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(Axes, "imshow", keep)
    opened(draw_samples([("row", [(image, "x") for image in images])]))
    return shown


@pytest.mark.parametrize("channels", [1, 3])
def test_sides_of_one_pixel_are_drawn_as_they_are(
    monkeypatch: pytest.MonkeyPatch, channels: int
) -> None:
    shapes = [(1, 1), (1, 96), (96, 1), (8, 8)]
    images = [np.full((*shape, channels), 7, np.uint8) for shape in shapes]
    shown = drawn_parts(monkeypatch, images)
    assert [image.shape for image in shown] == [
        shape if channels == 1 else (*shape, 3) for shape in shapes
    ]


@pytest.mark.parametrize("shape", [(1, 1), (1, 3000), (3000, 1)])
@pytest.mark.parametrize("form", ["encoded", "decoded"])
def test_a_packed_image_of_any_proportions_is_read_in_them(
    packed: Packed, shape: tuple[int, int], form: str
) -> None:
    height, width = shape
    if form == "encoded":
        file = io.BytesIO()
        Image.new("RGB", (width, height), "red").save(file, "PNG")
        content = np.frombuffer(file.getvalue(), np.uint8)
        images: Encoded | np.ndarray = Encoded(content, np.array([[0, len(content)]]))
    else:
        images = np.zeros((1, 16, 16, 3), np.uint8)
    samples = packed.samples[:1].assign(aspect=f"{width / height:.6g}")
    card = packed.card | {"image_shape": [0, 0, 3] if form == "encoded" else [16, 16, 3]}
    (found,) = read_pictures(Packed(samples, images, card), [0])
    longest = 16 if form == "decoded" and height == width else 96
    expected = (min(height, longest), min(width, longest))
    assert found.shape == ((16, 16, 3) if longest == 16 else (*expected, 3))


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
    assert fit_captions([caption], 38) == ([lines], size)


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
    [lines], size = fit_captions([caption], width)
    assert len(lines) <= 3
    assert max(measure_text(line, size) for line in lines) <= width


def test_what_is_left_out_of_a_caption_is_of_its_middle() -> None:
    [lines], _ = fit_captions(["God-Morgon-Orange-Red-Grapefruit-Juice"], 31)
    assert lines[0] == "God-Morgon-"
    assert lines[1].startswith("…")
    assert lines[2] == "Juice"
    [[line]], _ = fit_captions(["Supercalifragilistic12"], 31)
    assert line.startswith("Super")
    assert line.endswith("12")
    assert line.count("…") == 1


ROW = ["Kiwi", "Yellow-Bell-Pepper", "God-Morgon-Red-Grapefruit-Juice", "", "W" * 40]


@pytest.mark.parametrize(("count", "size"), [(1, 7), (2, 5.5), (3, 4.6), (4, 4.6), (5, 4.6)])
def test_the_caption_that_needs_the_smallest_letters_sets_those_of_its_row(
    count: int, size: float
) -> None:
    for captions in (ROW[:count], ROW[:count][::-1]):
        broken, found = fit_captions(captions, 38)
        assert found == size == min(fit_captions([one], 38)[1] for one in captions)
        assert max(measure_text(line, size) for lines in broken for line in lines) <= 38
        assert broken[captions.index("Kiwi")] == ["Kiwi"]


def list_sizes(figure: Figure) -> list[set[float]]:
    """Return the sizes of the captions of each row of a figure, from the top."""
    rows: dict[int, set[float]] = {}
    for axis in figure.axes:
        caption, place = axis.xaxis.label, axis.get_subplotspec()
        if caption.get_text() and place:
            rows.setdefault(place.rowspan.start, set()).add(float(caption.get_fontsize()))
    return [sizes for _, sizes in sorted(rows.items())]


def test_captions_of_a_row_have_one_size_in_every_picture(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[Figure] = []
    for module in (pictures, hardest):
        monkeypatch.setattr(module, "to_png", drawn.append)
    items = [(np.zeros((8, 8, 1), np.uint8), name) for name in ROW]
    kiwi, long = items[0], items[2]
    draw_samples([("mixed", [kiwi, long]), ("short", [kiwi, kiwi])])
    draw_neighbours([kiwi, kiwi], {"flat": [[kiwi, kiwi], [kiwi, kiwi]], "dot": [[long], [kiwi]]})
    negatives = [[(kiwi, True)], [(kiwi, True)]], [[(long, True)], [(kiwi, False)]]
    draw_hardest(["a", "b"], [Block(kiwi, kiwi, rows) for rows in negatives])
    assert [list_sizes(figure) for figure in drawn] == [
        [{4.6}, {7.0}],
        [{4.6}, {7.0}],
        [{4.6}, {7.0}],
    ]
    for figure in drawn:
        plt.close(figure)
