"""In which settings a system differs from the one it is compared with."""

from collections.abc import Mapping
from typing import Any

from geomix.report.text import number

# What tables call a rule for negatives. "after": the exact formula is not public, or ours differs;
# its docstring says how.
RULES = {
    "uniform": "uniform",
    "hard": "HCL",
    "debiased": "debiased",
    "bayesian": "BCL",
    "ambiguous": "SimANS by weights",
    "false_negative_elimination": "after FNE",
    "cluster": "after ClusterNS",
    "synthetic": "after SSCL",
    "mixed_importance": "after UnReMix",
    "positive_unlabelled": "after PUCL",
    "ranking": "after GraphRank",
    "limited": "Ash et al.",
    "doubly_contrastive": "after DCDC",
}
KINDS = ("name", "rule")  # keys that say what kind a section is of


def list_changes(settings: Mapping[str, Any], reference: Mapping[str, Any]) -> str:
    """Say in which settings a system differs from another, with the values it has.

    Args:
        settings: Of the system, by key: numbers, words or sections.
        reference: Of the other.
    """
    changed = {
        key: value
        for key, value in settings.items()
        if value is not None and value != reference.get(key)
    }
    return ", ".join(_describe(key, value) for key, value in changed.items()) or "nothing"


def _describe(key: str, value: Any) -> str:
    """Write a setting: tau 0.1, or a section with its kind first and its numbers in brackets."""
    if not isinstance(value, Mapping):
        return f"{key} {number(value)}"
    (first, kind), *others = value.items()
    name = RULES.get(kind, kind) if first in KINDS else f"{first} {number(kind)}"
    details = ", ".join(f"{other} {number(setting)}" for other, setting in others)
    return f"{key} {name}" + (f" ({details})" if details else "")
