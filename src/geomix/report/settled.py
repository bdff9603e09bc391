"""What a system was trained with, as stage settle wrote it."""

from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from geomix.config.systems import Published
from geomix.files import read_json

OPTIONAL = ("curvature", "lam")  # settings that only some geometries have
KNOBS = ("tau", *OPTIONAL)  # settings that tables name first


@dataclass(frozen=True)
class System:
    """A system.

    Attributes:
        system: Its name.
        labels: What training knew of labels.
        geometry: Its name.
        about: One sentence.
        source: The paper or code.
        published: Scores.
        settings: What it lays over params.yaml as published.
        full: What these settings come to, but for the spaces of the geometry.
        twin: The system that is the same in the limit of curvature 0.
        tuned: What it needs besides what all have where they are tuned: why, settings, reference.
        trained: What the paper trained with, as far as it is known.
    """

    system: str
    labels: str
    geometry: str
    about: str
    source: str | None
    published: list[Published]
    settings: dict[str, Any]
    full: dict[str, Any]
    twin: str | None = None
    tuned: dict[str, Any] | None = None
    trained: str | None = None

    @property
    def key(self) -> str:
        """What names it among those with labels given and hidden."""
        return f"{self.labels}/{self.system}"

    @property
    def negatives(self) -> dict[str, Any]:
        """Its rule for negatives."""
        rule: dict[str, Any] = self.full["negatives"]
        return rule

    @property
    def reference(self) -> str | None:
        """What its winner is compared with, where that is not the reference of its labels."""
        return (self.tuned or {}).get("reference")

    @property
    def comparable(self) -> dict[str, Any]:
        """The settings in which systems are compared, in the order of tables."""
        keys = sorted(self.full, key=lambda key: (key == "labels", key not in KNOBS))
        unsaid = {key for key in OPTIONAL if key not in self.settings}
        full = {key: None if key in unsaid else self.full[key] for key in keys}
        return {"geometry": self.geometry, **full}


def read_system(settled: Path, name: str, labels: str) -> System:
    """Read what a system was trained with.

    Args:
        settled: The folder that stage settle wrote.
        name: Of the system.
        labels: What training knew of labels.

    Raises:
        InputError: If a file is missing or no JSON.
    """
    content: dict[str, Any] = {}
    for folder in ("settings", "words"):
        content |= read_json(settled / folder / name / f"{labels}.json")
    content["published"] = [Published.model_validate(one) for one in content["published"]]
    return System(**{field.name: content[field.name] for field in fields(System)})
