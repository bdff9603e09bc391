"""The questions of a verdict, named before anything is trained.

A question sets one geometry against controls that share all with it but what is asked about.
"""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Literal

COSINE = "euclidean"
FLAT = ("euclidean", "chord", "power", "flat_free", "dot")  # single geometries without curvature


@dataclass(frozen=True)
class Question:
    """Whether a geometry is better than each of its controls.

    Attributes:
        name: What it is called in a table.
        setting: The geometry that has it.
        controls: Those that do not.
        needs: What has to act for an answer: a curvature that bends the loss, radii that differ, a
            kernel that bends the loss, or nothing further.
        limit: The control that is the setting at curvature 0; none where it has no curvature.
    """

    name: str
    setting: str
    controls: tuple[str, ...]
    needs: Literal["curvature", "radii", "kernel", "nothing"]
    limit: str | None = None

    def list_missing(self, trained: Collection[str]) -> list[str]:
        """Return the geometries without which it cannot be asked, in order."""
        return [name for name in (self.setting, *self.controls) if name not in trained]


QUESTIONS = (
    Question("curvature", "hyperbolic_free", FLAT, "curvature", limit="flat_free"),
    Question("kernel", "chord", ("euclidean",), "nothing"),
    Question("ball's kernel", "power", ("chord",), "kernel"),
    Question("radius", "flat_free", ("chord",), "radii"),
    Question("norm", "dot", ("euclidean",), "radii"),
    Question(
        "hybrid",
        "hybrid_free",
        ("hybrid_flat", *FLAT, "hyperbolic_free"),
        "curvature",
        limit="hybrid_flat",
    ),
)
