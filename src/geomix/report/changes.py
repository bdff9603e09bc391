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


def list_changes(settings: Mapping[str, Any], reference: Mapping[str, Any]) -> str:
    """Say in which settings a system differs from another, with the values it has.

    Args:
        settings: Of the system, from `settle`.
        reference: Of the other.
    """
    changes = []
    for key, value in settings.items():
        if value == reference[key] or value is None:
            continue
        if not isinstance(value, dict):
            changes.append(f"{key} {number(value) if isinstance(value, int | float) else value}")
        else:
            first, *others = value.items()
            details = ", ".join(f"{name} {what}" for name, what in others)
            name = str(first[1]) if first[0] in ("name", "rule") else f"{first[0]} {first[1]}"
            changes.append(
                f"{key} {RULES[name] if key == 'negatives' else name}"
                + (f" ({details})" if details else "")
            )
    return ", ".join(changes) or "nothing"
