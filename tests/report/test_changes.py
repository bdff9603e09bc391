"""What a system changes, in words."""

from typing import Any, get_args

import pytest
import yaml

from geomix.config.negatives import Negatives
from geomix.report.changes import RULES, list_changes

PLAIN = {
    "geometry": "euclidean",
    "tau": 0.1,
    "lam": None,
    "loss": {"name": "plain"},
    "negatives": {"rule": "uniform"},
    "batch": {"classes": 2, "images": 2},
    "labels": "given",
}


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({}, "nothing"),
        ({"tau": 0.0125}, "tau 0.0125"),
        ({"loss": {"name": "proxy_anchor", "margin": 0.1}}, "loss proxy_anchor (margin 0.1)"),
        ({"batch": {"classes": 8, "images": 2}}, "batch classes 8 (images 2)"),
        ({"lam": 1, "labels": "hidden"}, "lam 1, labels hidden"),
        ({"negatives": {"rule": "hard", "beta": 1}}, "negatives HCL (beta 1)"),
        (
            {"negatives": {"rule": "cluster", "clusters": 32}},
            "negatives after ClusterNS (clusters 32)",
        ),
    ],
)
def test_changes_are_those_of_the_settings(changed: dict[str, Any], expected: str) -> None:
    assert list_changes(PLAIN | changed, PLAIN) == expected


def test_every_rule_has_a_name_for_tables() -> None:
    sections = get_args(get_args(Negatives)[0])
    rules = [get_args(one.model_fields["rule"].annotation)[0] for one in sections]
    assert sorted(RULES) == sorted(rules)


@pytest.mark.parametrize("name", ["fne", "cluster", "sscl", "unremix", "pucl", "graphrank", "dcdc"])
def test_words_of_a_system_say_after_where_its_rule_does(root: Any, name: str) -> None:
    system = yaml.safe_load((root / "systems" / f"{name}.yaml").read_text())
    assert RULES[system["settings"]["negatives"]["rule"]].startswith("after ")
    assert system["about"].startswith("After ")
