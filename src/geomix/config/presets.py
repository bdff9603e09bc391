"""Presets: settings of the literature, laid over params.yaml, which stays the whole truth."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from geomix.config.read import read_yaml
from geomix.config.systems import Published, System, read_system
from geomix.config.write import describe_changes, write_settings
from geomix.errors import InputError


def apply_preset(name: str, systems: Path, path: Path) -> str:
    """Lay a preset over params.yaml, comments and order kept, and say what changed.

    Args:
        name: `<data>-<system>`, such as cub-hypvit.
        systems: The folder with data/<data>.yaml and <system>.yaml.
        path: params.yaml.

    Returns:
        What changed, the published scores, the cost and a command, for people.

    Raises:
        InputError: If there is no such preset, or the result is no valid params.yaml; nothing is
            written then.
    """
    where, _, what = name.partition("-")
    data, system = _read(where, what, systems)
    overlays = data["params"], system.settings, system.preset, system.data.get(where, {})
    changes = write_settings(path, overlays)
    return "\n".join([*describe_changes(changes), *_describe(data, system, read_yaml(path))])


def _read(data: str, system: str, systems: Path) -> tuple[dict[str, Any], System]:
    """Read the files of a preset."""
    sets = sorted(file.stem for file in (systems / "data").glob("*.yaml"))
    names = [file.stem for file in sorted(systems.glob("*.yaml"))]
    presets = [name for name in names if read_system(systems, name).preset]
    if data not in sets or system not in presets:
        known = f"data being {', '.join(sets)}, systems {', '.join(presets)}"
        raise InputError(f"preset: found '{data}-{system}', expected <data>-<system>, {known}")
    return read_yaml(systems / "data" / f"{data}.yaml"), read_system(systems, system)


def _describe(data: Mapping[str, Any], system: System, params: Mapping[str, Any]) -> Iterator[str]:
    """Yield lines that say what was published, what a cell costs and how to run one."""
    dataset, batch = params["dataset"], params["batch"]
    scores = [_score(one) for one in system.published if one.data == dataset]
    images = batch["classes"] * batch["images"]
    yield f"system: {system.about} {system.source or ''}".rstrip()
    yield f"data: {data['about']}"
    yield f"published R@1: {'; '.join(scores) or 'none known'}"
    yield (
        f"cost of a cell: {params['epochs']} epochs in batches of {images} images of "
        f"{params['backbone']['name']}, on CUDA"
    )
    knobs = " ".join(f"--{key} {params[key]}" for key in ("tau", "curvature", "lam"))
    yield (
        f"one cell: dvc repro flows/data/dvc.yaml:preprocess@{dataset}, then python -m "
        f"stages.train --geometry {system.geometry} --seeds 0 {knobs} --data data/packed/{dataset} "
        f"--out runs/{dataset}/preset/{system.geometry}-0"
    )


def _score(published: Published) -> str:
    """Write a published score with what it is a score of."""
    return f"{published.score} ({published.vector}; {published.protocol})"
