"""The budget of a study: of the settings that all its cells share."""

from geomix.config.stages import PageParams
from geomix.data.packed import Packed
from geomix.report.budget import find_budget


def test_the_budget_is_that_of_the_settings(packed: Packed, params: PageParams) -> None:
    found = find_budget(packed, params, 7, ["tau"], {"epochs": 4, "batch.classes": 2})
    assert found is not None
    assert (found["cells"], found["epochs"], found["classes"]) == (7, 4, 2)
    images = len(packed.rows("train"))
    assert (found["images"], found["views"]) == (images, params.batch.images)
    assert found["steps"] == 4 * (images // (2 * params.batch.images))
    assert found["start"] == "from scratch"
    assert found["shape"]["width"] == params.backbone.width
    assert "side" not in found["shape"]  # null is the model's own


def test_a_small_set_is_seen_once_a_pass(packed: Packed, params: PageParams) -> None:
    found = find_budget(packed, params, 1, pinned={"batch.classes": 10_000})
    assert found is not None
    assert found["steps"] == params.epochs


def test_there_is_none_in_common_where_it_varies(packed: Packed, params: PageParams) -> None:
    assert find_budget(packed, params, 1, ["epochs"]) is None
    assert find_budget(packed, params, 1, ["backbone.width"]) is None
