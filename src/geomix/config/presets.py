"""Presets: settings of the literature, laid over params.yaml, which stays the whole truth."""

import io
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap

from geomix.config.read import KIND, read_yaml, validate
from geomix.config.systems import Published, System, read_system
from geomix.errors import InputError
from geomix.files import replace_file

WIDTH = 10**6  # columns: no line is broken
LINE = 78  # columns: DVC breaks longer mappings


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
    yaml = YAML()
    yaml.width = WIDTH
    yaml.preserve_quotes = True
    content = yaml.load(path.read_text(encoding="utf-8"))
    before = read_yaml(path)
    for overlay in (data["params"], system.settings, system.preset, system.data.get(where, {})):
        _lay_over(content, overlay)
    buffer = io.StringIO()
    yaml.dump(content, buffer)
    after = YAML(typ="safe").load(buffer.getvalue())
    validate(after)
    replace_file(path, buffer.getvalue().encode())
    changes = [f"  {line}" for line in _changes(before, after)]
    return "\n".join([*_describe_changes(changes), *_describe(data, system, after)])


def _read(data: str, system: str, systems: Path) -> tuple[dict[str, Any], System]:
    """Read the files of a preset."""
    sets = sorted(file.stem for file in (systems / "data").glob("*.yaml"))
    names = [file.stem for file in sorted(systems.glob("*.yaml"))]
    presets = [name for name in names if read_system(systems, name).preset]
    if data not in sets or system not in presets:
        known = f"data being {', '.join(sets)}, systems {', '.join(presets)}"
        raise InputError(f"preset: found '{data}-{system}', expected <data>-<system>, {known}")
    return read_yaml(systems / "data" / f"{data}.yaml"), read_system(systems, system)


def _lay_over(target: Any, overlay: Mapping[str, Any]) -> None:
    """Set keys one by one; a section that says what kind it is replaces another as a whole."""
    for key, value in overlay.items():
        old = target.get(key)
        if isinstance(value, dict) and isinstance(old, dict) and _fits(value, old):
            _lay_over(old, value)
        elif isinstance(value, dict):
            new = CommentedMap(value)
            if len(f"{key}: {value}".replace("'", "")) <= LINE:
                new.fa.set_flow_style()
            target[key] = new
        else:
            target[key] = value


def _fits(value: Mapping[str, Any], old: Mapping[str, Any]) -> bool:
    """Say whether keys can be set in place, which keeps comments, and none is left over."""
    return not any(kind in value for kind in KIND) or set(value) == set(old)


def _changes(before: Any, after: Any, prefix: str = "") -> Iterator[str]:
    """Yield a line for each number that differs."""
    for key in sorted({*before, *after}, key=str):
        old, new = before.get(key), after.get(key)
        if isinstance(old, dict) and isinstance(new, dict):
            yield from _changes(old, new, f"{prefix}{key}.")
        elif old != new or type(old) is not type(new):
            yield f"{prefix}{key}: {old} -> {new}"


def _describe_changes(changes: list[str]) -> list[str]:
    """Return lines that say what changed."""
    if not changes:
        return ["params.yaml was like that already"]
    return ["changed in params.yaml:", *changes]


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
