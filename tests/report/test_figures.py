"""What all figures share: marks and dashes of geometries, and names that fonts can draw."""

from collections.abc import Iterator

import numpy as np
import pandas as pd
import pytest
from matplotlib import pyplot as plt
from matplotlib import rc_context, rcParams
from matplotlib.figure import Figure

from geomix.data.packed import Packed
from geomix.report import disks, hardest, pictures, shapes, vectors
from geomix.report import figures as module
from geomix.report.disks import draw_disk
from geomix.report.figures import LOOKS, SPARE_LOOKS, drawable, find_stand_ins, look_of
from geomix.report.hardest import Block, draw_hardest
from geomix.report.pictures import draw_neighbours, draw_samples
from geomix.report.shapes import draw_deltas, draw_radii
from geomix.report.vectors import draw_labels, draw_map
from tests.report.conftest import list_texts, read_literally


def test_lines_differ_without_colour() -> None:
    shapes = [(marker, str(dash)) for _, marker, dash in [*LOOKS.values(), *SPARE_LOOKS]]
    assert len(set(shapes)) == len(shapes)
    assert look_of("other", ["flat", "other"])["marker"] == SPARE_LOOKS[0][1]


ODD = ["Ba$$in", "a|b", "_under", "<b>", "line\nbreak", "f$x$", "ألفا", "אלף", "e\u0301", "a&b"]


@pytest.mark.parametrize("text", [*ODD, "Ă̂", "✗ … ✓"])
@pytest.mark.parametrize("weight", ["normal", "bold"])
def test_what_the_default_font_has_stays_as_it_is(text: str, weight: str) -> None:
    if weight == "normal" or text.isascii():
        assert drawable(text, weight) == text


@pytest.fixture
def no_fallbacks(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Take away the further fonts that a machine may have."""
    monkeypatch.setattr(module, "FALLBACKS", ())
    module._can_draw.cache_clear()
    yield
    module._can_draw.cache_clear()


@pytest.mark.usefixtures("no_fallbacks")
def test_a_character_that_no_font_has_is_its_code_and_a_mark_beside_it_is_nothing() -> None:
    assert drawable("猫の2") == "[732B][306E]2"
    assert drawable("a\u200db\x07\U0001fae0\u202fc") == "a\u200db [1FAE0]\u202fc"
    assert find_stand_ins(["猫2", "2猫", "a\u200d"]) == {"猫": "[732B]"}
    assert find_stand_ins(["a", ""]) == find_stand_ins([]) == {}


def test_a_font_of_this_machine_is_added_where_it_has_what_the_default_lacks(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    fonts = {"DejaVu Sans": frozenset(b"ab"), "First": frozenset(b"a"), "Second": frozenset(b"abc")}
    monkeypatch.setattr(module, "FALLBACKS", ("First", "Second"))
    monkeypatch.setattr(module, "_read_font", lambda family, weight: fonts[family])
    module._can_draw.cache_clear()
    with rc_context():
        before = list(rcParams["font.family"])
        assert drawable("ab") == "ab"
        assert rcParams["font.family"] == before
        assert drawable("cd") == "c[0064]"
        assert rcParams["font.family"] == [*before, "Second"]
    module._can_draw.cache_clear()


def test_a_font_that_is_not_there_has_no_characters() -> None:
    assert ord("a") in module._read_font("DejaVu Sans", "bold")
    assert not module._read_font("No such font", "normal")


@pytest.mark.usefixtures("no_fallbacks")
def test_figures_of_odd_names_are_drawn_without_a_warning() -> None:
    image = np.zeros((8, 8, 3), np.uint8)
    odd = [*ODD, "猫の喵", "🙂👩\u200d🚀", "x" * 300, "", " "]
    assert draw_samples([(name, [(image, name)] * 2) for name in odd])
    assert draw_neighbours([(image, name) for name in odd], {"flat": [[(image, n)] for n in odd]})
    assert draw_labels(odd, {"flat": [[name, odd[at - 1]] for at, name in enumerate(odd)]})


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Figure]]:
    """Return the figures that are drawn."""
    kept: list[Figure] = []
    for room in (disks, hardest, pictures, shapes, vectors):
        monkeypatch.setattr(room, "to_png", kept.append)
    yield kept
    for figure in kept:
        plt.close(figure)


DOLLARS = "f$x$", "Ba$$in"
SETTINGS = [{"study": "tau", "geometry": name, "label": name} for name in DOLLARS]


def test_dollars_of_pictures_and_labels_are_drawn_as_they_are(drawn: list[Figure]) -> None:
    image = np.zeros((8, 8, 3), np.uint8)
    one, other = [(image, name) for name in DOLLARS]
    draw_samples([(name, [one, other]) for name in DOLLARS])
    draw_neighbours([one, other], {"flat": [[one, other], [one, other]]})
    draw_hardest(DOLLARS, [Block(one, other, [[(one, True)], [(other, False)]])])
    draw_labels(DOLLARS, {name: [DOLLARS, DOLLARS] for name in DOLLARS})
    for figure in drawn:
        shown = read_literally(list_texts(figure))
        assert all(shown.count(name) >= 3 for name in DOLLARS)


def test_dollars_of_groups_are_drawn_as_they_are(drawn: list[Figure], packed: Packed) -> None:
    samples = packed.samples.replace({"kind": dict(zip(("even", "odd"), DOLLARS, strict=True))})
    named = Packed(samples, packed.images, packed.card)
    rows = packed.rows("test")
    places = np.random.default_rng(0).uniform(-0.6, 0.6, (len(rows), 2))
    draw_disk(pd.DataFrame({"row": rows, "x": places[:, 0], "y": places[:, 1]}), named)
    numbers = np.random.default_rng(0).normal(size=(len(samples), 3)).astype(np.float32)
    draw_map(Packed(samples, numbers, packed.card))
    for figure in drawn:
        shown = read_literally(list_texts(figure)).splitlines()
        assert all(shown.count(name) == 1 for name in DOLLARS)


def test_dollars_of_settings_are_drawn_as_they_are(drawn: list[Figure]) -> None:
    rows = pd.DataFrame(SETTINGS).assign(seed=0)
    draw_radii(rows.assign(low=0.0, high=1.0, count=3), SETTINGS, DOLLARS)
    deltas = dict.fromkeys(shapes.KINDS, 0.1)
    draw_deltas(rows.assign(**deltas), SETTINGS, DOLLARS)
    for figure in drawn:
        shown = read_literally(list_texts(figure))
        assert all(name in shown for name in DOLLARS)
