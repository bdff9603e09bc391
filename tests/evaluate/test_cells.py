"""Names of cells come from params, numbers as they are written."""

from geomix.evaluate.cells import baseline_cells, compare_cells, sweep_cells, system_cells


def test_cells_are_named_by_what_makes_them() -> None:
    assert compare_cells(["flat", "hybrid"], [0, 3]) == ["flat-0", "flat-3", "hybrid-0", "hybrid-3"]
    assert sweep_cells(["flat"], [0, 0.0125, 1.0, 3], [7]) == [
        "flat-0-7",
        "flat-0.0125-7",
        "flat-1.0-7",
        "flat-3-7",
    ]
    assert baseline_cells([0, 2]) == ["pixels", "untrained-0", "untrained-2"]
    assert system_cells(["hypvit", "hcl"], [0, 3]) == ["hypvit/0", "hypvit/3", "hcl/0", "hcl/3"]
