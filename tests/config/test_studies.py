"""Studies: which cells there are, in the names that DVC gives them."""

from typing import Any

import pytest

from geomix.config.overrides import read_overrides
from geomix.config.studies import Baselines, Study, expand_group, flatten, nest
from geomix.errors import InputError


def study(**settings: Any) -> Study:
    run = {"geometries": ["flat", "hybrid"], "seeds": ["0-1", 4]}
    return Study.model_validate({"run": run, **settings})


def test_a_study_without_an_axis_has_a_cell_for_each_geometry_and_seed() -> None:
    places = [
        f"{name}-{place}" for name in ("flat", "hybrid") for place in ("0-1/0", "0-1/1", "4/4")
    ]
    assert study().cells() == places
    assert study().seeds == [0, 1, 4]


def test_axes_are_dotted_keys_and_their_values_stand_in_the_names_as_written() -> None:
    over = {"tau": [0.1, 1], "optim": {"learning_rate": [0.001]}}
    found = study(over=over, pinned={"optim": {"warmup": 0.2}, "lam": 1})
    assert found.axes == {"tau": [0.1, 1], "optim.learning_rate": [0.001]}
    assert found.fixed == {"optim.warmup": 0.2, "lam": 1}
    assert found.cells()[0] == "flat-0.1-0.001-0-1/0"
    assert len(found.cells()) == len(set(found.cells())) == 2 * 2 * 3


def test_baselines_are_the_pixels_and_an_untrained_network_for_each_seed() -> None:
    baselines = Baselines.model_validate({"seeds": ["0-1", "7"]})
    assert baselines.cells() == ["pixels", "untrained-0", "untrained-1", "untrained-7"]
    assert baselines.axes == {}


@pytest.mark.parametrize(("group", "seeds"), [("0-2", [0, 1, 2]), ("5", [5]), ("3-3", [3])])
def test_a_group_is_a_range_of_seeds(group: str, seeds: list[int]) -> None:
    assert expand_group(group) == seeds


def test_flat_and_nested_settings_are_the_same() -> None:
    settings = {
        "tau": 1,
        "optim": {"warmup": 0.2},
        "geometry": {"flat": {"distance": {"scale": 2}}},
    }
    flat = {"tau": 1, "optim.warmup": 0.2, "geometry.flat.distance.scale": 2}
    assert flatten(settings) == flat
    assert nest(flat) == settings


def test_a_command_line_gives_numbers_words_and_flags() -> None:
    line = "--tau 1e-3 --loss.name proxy_anchor --backbone.pretrained --no-x.y --head.outputs 8"
    assert read_overrides(line.split()) == {
        "tau": 0.001,
        "loss.name": "proxy_anchor",
        "backbone.pretrained": True,
        "x.y": False,
        "head.outputs": 8,
    }


def test_a_value_without_a_key_is_refused() -> None:
    with pytest.raises(InputError, match="command line: found 0.1, expected --key value"):
        read_overrides(["0.1"])


@pytest.mark.parametrize("line", ["--tau 1 --x 2 --tau 1", "--x --no-x", "--x 1 --x"])
def test_a_key_that_is_there_twice_is_refused(line: str) -> None:
    with pytest.raises(InputError, match="command line: found --(tau|x) twice, expected it once"):
        read_overrides(line.split())


def test_the_settings_of_a_study_are_its_cells_without_seeds() -> None:
    found = list(study(over={"tau": [0.1, 1], "optim": {"learning_rate": [0.001]}}).settings())
    assert found[1] == ("flat", {"tau": 1, "optim.learning_rate": 0.001}, "flat-1-0.001")
    assert len(found) == 4


def test_what_is_pinned_is_whole_with_what_varies_beside_it() -> None:
    over = {"negatives": {"count": [4, 8]}, "head": {"outputs": [2, 3]}}
    found = study(over=over, pinned={"negatives": {"rule": "limited"}, "tau": 1})
    assert found.base == {"negatives": {"count": 4, "rule": "limited"}, "tau": 1}
