"""What a system changes, in words."""

from typing import Any, get_args

import pytest

from geomix.config.negatives import Negatives
from geomix.report.changes import RULES, list_changes
from geomix.report.systems import settle

TOP = {
    "labels": "given",
    "loss": {"name": "plain"},
    "negatives": {"rule": "uniform"},
    "batch": {"classes": 2, "images": 2},
}
PLAIN = {"geometry": "euclidean", "tau": 0.1, "curvature": None, "lam": None} | dict.fromkeys(TOP)


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({}, "nothing"),
        ({"tau": 0.0125}, "tau 0.0125"),
        ({"loss": {"name": "proxy_anchor", "margin": 0.1}}, "loss proxy_anchor (margin 0.1)"),
        ({"batch": {"classes": 8, "images": 2}}, "batch classes 8 (images 2)"),
        ({"negatives": {"rule": "uniform"}, "lam": 1}, "lam 1"),
        ({"negatives": {"rule": "hard", "beta": 1}}, "negatives HCL (beta 1)"),
        (
            {"negatives": {"rule": "cluster", "clusters": 32}},
            "negatives after ClusterNS (clusters 32)",
        ),
    ],
)
def test_changes_are_those_of_the_settings(changed: dict[str, Any], expected: str) -> None:
    settings = [settle(one, TOP) for one in (PLAIN | changed, PLAIN)]
    assert list_changes(*settings) == expected


def test_every_rule_has_a_name_for_tables() -> None:
    sections = get_args(get_args(Negatives)[0])
    assert sorted(RULES) == sorted(
        get_args(one.model_fields["rule"].annotation)[0] for one in sections
    )


@pytest.mark.parametrize("stem", ["fne", "cluster", "sscl", "unremix", "pucl", "graphrank", "dcdc"])
@pytest.mark.parametrize("labels", ["", "_hidden"])
def test_words_of_a_system_say_after_where_its_rule_does(
    raw: dict[str, Any], stem: str, labels: str
) -> None:
    entry = raw["system"][stem + labels]
    assert RULES[entry["settings"]["negatives"]["rule"]].startswith("after ")
    assert entry["about"].startswith("After ")
