"""Presets: settings of the literature, laid over params.yaml, which stays the whole truth."""

import io
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap

from geomix.config.read import read_yaml, validate
from geomix.errors import InputError
from geomix.files import replace_file

WIDTH = 10**6  # columns: no line is broken
LINE = 78  # columns: DVC breaks longer mappings


def apply_preset(name: str, presets: Path, path: Path) -> str:
    """Lay a preset over params.yaml, comments and order kept, and say what changed.

    Args:
        name: `<data>-<system>`, such as cub-hypvit.
        presets: The folder with data/<data>.yaml and systems/<system>.yaml.
        path: params.yaml.

    Returns:
        What changed, the published figure, the cost and a command, for people.

    Raises:
        InputError: If there is no such preset, or the result is no valid params.yaml; nothing is
            written then.
    """
    data, system = _read(name, presets)
    yaml = YAML()
    yaml.width = WIDTH
    yaml.preserve_quotes = True
    content = yaml.load(path.read_text(encoding="utf-8"))
    before = read_yaml(path)
    own = system.get("for", {}).get(name.partition("-")[0], {})
    for overlay in (data["params"], system["params"], own):
        _lay_over(content, overlay)
    buffer = io.StringIO()
    yaml.dump(content, buffer)
    after = YAML(typ="safe").load(buffer.getvalue())
    validate(after)
    replace_file(path, buffer.getvalue().encode())
    return _describe(
        name.partition("-")[0], data, system, list(_changes(before, read_yaml(path))), after
    )


def _read(name: str, presets: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    known = {
        kind: sorted(file.stem for file in (presets / kind).glob("*.yaml"))
        for kind in ("data", "systems")
    }
    data, _, system = name.partition("-")
    if data not in known["data"] or system not in known["systems"]:
        expected = f"<data>-<system>, data being {', '.join(known['data'])}, systems {', '.join(known['systems'])}"
        raise InputError(f"preset: found {name!r}, expected {expected}")
    return read_yaml(presets / "data" / f"{data}.yaml"), read_yaml(
        presets / "systems" / f"{system}.yaml"
    )


def _lay_over(target: Any, overlay: Mapping[str, Any]) -> None:
    """Set keys one by one; a mapping with other keys, such as another loss, is replaced as a whole."""
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
    """Say whether a mapping sets keys of another, and not another kind of thing, as another loss is."""
    return set(value) <= set(old) and ("name" not in value or len(value) == len(old))


def _changes(before: Any, after: Any, prefix: str = "") -> Iterator[str]:
    """Give a line for each number that differs."""
    for key in sorted({*before, *after}, key=str):
        old, new = before.get(key), after.get(key)
        if isinstance(old, dict) and isinstance(new, dict):
            yield from _changes(old, new, f"{prefix}{key}.")
        elif old != new or type(old) is not type(new):
            yield f"  {prefix}{key}: {old} -> {new}"


def _describe(
    data_name: str,
    data: Mapping[str, Any],
    system: Mapping[str, Any],
    changes: list[str],
    params: Mapping[str, Any],
) -> str:
    """Say what changed, what was published, and what a cell costs."""
    published = system["published"].get(data_name)
    figure = f"{published} ({system['of']})" if published else f"none ({system['of']})"
    images = params["batch"]["classes"] * params["batch"]["images"]
    geometry = system["geometry"]
    knobs = f"--tau {params['tau']} --curvature {params['curvature']} --lam {params['lam']}"
    folder = f"runs/{params['dataset']}/preset/{geometry}-0"
    return "\n".join(
        [
            *(
                ["changed in params.yaml:", *changes]
                if changes
                else ["params.yaml was like that already"]
            ),
            f"system: {system['about']}",
            f"data: {data['about']}",
            f"published R@1: {figure}",
            f"cost of a cell: {params['epochs']} epochs in batches of {images} images of {params['backbone']['name']}, on CUDA",
            f"one cell: dvc repro preprocess, then python -m stages.train --geometry {geometry} --seed 0 {knobs}"
            f" --data data/packed/{params['dataset']} --out {folder}",
        ]
    )
