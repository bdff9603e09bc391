"""How often a drawn negative has the class of its anchor."""

import numpy as np
import pytest

from geomix.config.studies import Study
from geomix.data.packed import Packed
from geomix.report.collisions import list_collisions


def make_study(**pinned: object) -> Study:
    run = {"geometries": ["flat"], "seeds": ["0"]}
    over = {"negatives": {"count": [1, 3, 50]}}
    return Study.model_validate({"run": run, "over": over, "pinned": pinned})


def test_the_chance_is_that_of_draws_with_return(packed: Packed) -> None:
    found = list_collisions(make_study(labels="hidden"), packed, "given")
    random = np.random.default_rng(0)  # 4 classes of train, the anchor's is 0
    for count, chance in found.items():
        drawn = (random.integers(0, 4, (20_000, count)) == 0).any(1).mean()
        assert chance == pytest.approx(drawn, abs=0.01)


def test_given_labels_never_collide(packed: Packed) -> None:
    assert list_collisions(make_study(), packed, "given") == {1: 0, 3: 0, 50: 0}
    assert list_collisions(make_study(), packed, "hidden")[50] > 0.9


def test_other_studies_have_none(packed: Packed) -> None:
    run = {"geometries": ["flat"], "seeds": ["0"]}
    study = Study.model_validate({"run": run, "over": {"tau": [1, 2]}})
    assert list_collisions(study, packed, "hidden") == {}
