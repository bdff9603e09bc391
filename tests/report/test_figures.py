"""What all figures share: every geometry has its own marker and dash."""

from geomix.report.figures import LOOKS, SPARE_LOOKS, look_of


def test_lines_differ_without_colour() -> None:
    shapes = [(marker, str(dash)) for _, marker, dash in [*LOOKS.values(), *SPARE_LOOKS]]
    assert len(set(shapes)) == len(shapes)
    assert look_of("other", ["flat", "other"])["marker"] == SPARE_LOOKS[0][1]
