"""Settings written into params.yaml, which keeps its comments, its order and its lines."""

import io
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap

from geomix.config.read import KIND, read_yaml, validate
from geomix.files import replace_file

WIDTH = 10**6  # columns: no line is broken
LINE = 78  # columns: DVC breaks longer mappings


def write_settings(path: Path, overlays: Iterable[Mapping[str, Any]]) -> list[str]:
    """Lay nested settings over params.yaml, comments and order kept, and list what changed.

    Args:
        path: params.yaml.
        overlays: The last one uppermost.

    Returns:
        A line for each number that differs.

    Raises:
        InputError: If the result is no valid params.yaml; nothing is written then.
    """
    yaml = YAML()
    yaml.width = WIDTH
    yaml.preserve_quotes = True
    content = yaml.load(path.read_text(encoding="utf-8"))
    before = read_yaml(path)
    for overlay in overlays:
        _lay_over(content, overlay)
    buffer = io.StringIO()
    yaml.dump(content, buffer)
    after = YAML(typ="safe").load(buffer.getvalue())
    validate(after)
    replace_file(path, buffer.getvalue().encode())
    return list(_list_changes(before, after))


def describe_changes(changes: list[str]) -> list[str]:
    """Return lines that say what changed."""
    if not changes:
        return ["params.yaml was like that already"]
    return ["changed in params.yaml:", *(f"  {line}" for line in changes)]


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
        elif key not in target or old != value or not isinstance(old, type(value)):
            target[key] = value


def _fits(value: Mapping[str, Any], old: Mapping[str, Any]) -> bool:
    """Say whether keys can be set in place, which keeps comments, and none is left over."""
    return not any(kind in value for kind in KIND) or set(value) == set(old)


def _list_changes(before: Any, after: Any, prefix: str = "") -> Iterator[str]:
    """Yield a line for each number that differs."""
    for key in sorted({*before, *after}, key=str):
        old, new = before.get(key), after.get(key)
        if isinstance(old, dict) and isinstance(new, dict):
            yield from _list_changes(old, new, f"{prefix}{key}.")
        elif old != new or type(old) is not type(new):
            yield f"{prefix}{key}: {old} -> {new}"
