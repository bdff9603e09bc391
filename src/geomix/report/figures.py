"""What all figures share: looks that read without colour, and the same bytes every time."""

import io
from collections.abc import Iterable, Sequence
from functools import cache
from typing import Any

import matplotlib

matplotlib.use("Agg")

from matplotlib import pyplot as plt
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties, findfont, fontManager, get_font

# Okabe and Ito's palette, ordered so that neighbours differ in lightness too.
LOOKS: dict[str, tuple[str, str, Any]] = {
    "euclidean": ("#000000", "o", "-"),
    "flat": ("#E69F00", "s", "--"),
    "hyperbolic": ("#0072B2", "^", "-."),
    "hybrid": ("#CC79A7", "D", ":"),
    "hyperbolic_learned": ("#009E73", "v", (0, (5, 1, 1, 1, 1, 1))),
    "flat_free": ("#D55E00", "P", "-"),
    "hyperbolic_free": ("#56B4E9", "X", "--"),
    "dot": ("#999933", "*", "-."),
    "chord": ("#8B4513", ">", (0, (5, 1, 1, 1, 1, 1))),
    "power": ("#666666", "<", ":"),
    "hybrid_flat": ("#332288", "p", "-"),
    "hybrid_free": ("#AA4499", "h", "--"),
}
SPARE_LOOKS: tuple[tuple[str, str, Any], ...] = (
    ("#117733", "d", "-"),
    ("#CC6677", "H", "--"),
    ("#888800", "8", "-."),
    ("#4477AA", "x", ":"),
    ("#AA3377", "+", (0, (5, 1, 1, 1, 1, 1))),
    ("#222255", "1", "-"),
)
PIXELS_PER_INCH = 120
# Fonts for what the default one lacks, where a machine has them; the first that can takes part.
FALLBACKS = (
    "Noto Sans CJK JP",
    "Noto Sans CJK SC",
    "Source Han Sans",
    "WenQuanYi Micro Hei",
    "Droid Sans Fallback",
    "Hiragino Sans",
    "PingFang SC",
    "Yu Gothic",
    "Microsoft YaHei",
    "Malgun Gothic",
    "Arial Unicode MS",
    "Noto Sans",
    "Noto Emoji",
    "Segoe UI Symbol",
    "Symbola",
    "Unifont",
)
WEIGHTS = {"normal": (400, "normal", "regular", "book"), "bold": (700, "bold")}
# Marks that only change what stands beside them: joiners, directions and kinds of emoji.
MARKS = frozenset(map(chr, (0x200C, 0x200D, 0x200E, 0x200F, *range(0xFE00, 0xFE10))))


def look_of(geometry: str, among: Sequence[str]) -> dict[str, Any]:
    """Return colour, marker and dash of a geometry, in every figure the same for those in LOOKS."""
    others = [name for name in among if name not in LOOKS]
    color, marker, dash = (
        LOOKS[geometry]
        if geometry in LOOKS
        else SPARE_LOOKS[others.index(geometry) % len(SPARE_LOOKS)]
    )
    return {"color": color, "marker": marker, "linestyle": dash, "markersize": 6, "linewidth": 1.6}


def spread_labels(heights: Sequence[float], gap: float) -> list[float]:
    """Return where labels lie so that none covers another, in the order of what they name.

    Args:
        heights: Where they belong, rising, as shares of a panel.
        gap: The least distance between two.

    Returns:
        Heights that rise by the gap at least, within the panel where it has room for all.
    """
    placed: list[float] = []
    for height in heights:
        placed.append(max(height, placed[-1] + gap) if placed else max(height, 0.0))
    top = 1.0
    for at in reversed(range(len(placed))):
        placed[at] = min(placed[at], top)
        top = placed[at] - gap
    return placed


def to_png(figure: Figure) -> bytes:
    """Return a figure as PNG and close it; without software names, so that bytes repeat."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=PIXELS_PER_INCH, metadata={"Software": None})
    plt.close(figure)
    return buffer.getvalue()


def drawable(text: str, weight: str = "normal") -> str:
    """Return a text all of whose characters can be drawn, for figures that show people's names.

    A font of this machine is added to those of figures where it has what the default one lacks. A
    character that no font has becomes its code point, as in [732B].

    Args:
        text: Perhaps of several lines.
        weight: Of the letters, normal or bold.
    """
    return "".join(
        character if character == "\n" or _can_draw(character, weight) else _stand_in(character)
        for character in text
    )


def find_stand_ins(texts: Iterable[str]) -> dict[str, str]:
    """Return the characters of texts that figures cannot draw, with what stands for them there."""
    characters = sorted(set().union(*texts))
    shown = {one: drawable(one) for one in characters if one not in MARKS and one.isprintable()}
    return {one: stands for one, stands in shown.items() if stands != one}


def _stand_in(character: str) -> str:
    if character in MARKS:
        return ""
    return f"[{ord(character):04X}]" if character.isprintable() else " "


@cache
def _can_draw(character: str, weight: str) -> bool:
    """Say whether a font has a character; one that the default font lacks is added to it."""
    if ord(character) in _read_font("DejaVu Sans", weight):
        return True
    for family in FALLBACKS:
        if ord(character) in _read_font(family, weight):
            families = plt.rcParams["font.family"]
            if family not in families:
                plt.rcParams["font.family"] = [*families, family]
            return True
    return False


@cache
def _read_font(family: str, weight: str) -> frozenset[int]:
    """Return the characters of a font in a weight, none if this machine lacks it."""
    entries = (font for font in fontManager.ttflist if font.name == family)
    if not any(font.weight in WEIGHTS[weight] and font.style == "normal" for font in entries):
        return frozenset()
    path = findfont(FontProperties(family=[family], weight=weight), fallback_to_default=False)
    try:
        return frozenset(get_font(path).get_charmap())
    except (RuntimeError, OSError):  # of a kind that cannot be drawn, such as pictures of emoji
        return frozenset()
