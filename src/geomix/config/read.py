"""The one way to read params.yaml.

Every stage calls `load` before anything else: the whole file is validated, in well under a second
and without torch, and every mistake is reported at once. A stage receives only the keys it asks
for, which `tests/test_layout.py` compares with the `params:` of its block in dvc.yaml.
"""

import re
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError
from pydantic_core import ErrorDetails

from geomix.config.checks import find_equal_views, list_mistakes
from geomix.config.whole import Params
from geomix.errors import InputError

# DVC leaves parameters of these names out of its run-cache key, so a changed value would restore an
# old result.
NAMES_DVC_IGNORES = frozenset({"size", "nfiles"})


class _Loader(yaml.SafeLoader):
    """PyYAML with YAML 1.2's numbers, as DVC reads them, and no silent repetition of a key."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """Build a mapping whose keys are all different."""
        keys = [key.value for key, _ in node.value]
        for key in keys:
            if keys.count(key) > 1:
                raise InputError(
                    f"params.yaml: line {node.start_mark.line + 1}: key {key!r} is there twice"
                )
        return super().construct_mapping(node, deep)


# YAML 1.1, PyYAML's default, reads 1e-3 and 010 otherwise, and yes, no, on and off as booleans.
_Loader.yaml_implicit_resolvers = {
    first: [
        (tag, pattern)
        for tag, pattern in resolvers
        if not tag.endswith((":float", ":int", ":bool"))
    ]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:bool", re.compile(r"^(?:true|True|TRUE|false|False|FALSE)$"), list("tTfF")
)
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:int", re.compile(r"^[-+]?[0-9]+$"), list("-+0123456789")
)
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(
        r"^[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?$|^[-+]?\.(?:inf|Inf|INF)$|^\.(?:nan|NaN|NAN)$"
    ),
    list("-+0123456789."),
)
_Loader.add_constructor("tag:yaml.org,2002:int", lambda _, node: int(node.value))


def read_yaml(path: Path) -> Any:
    """Read a YAML file with the numbers of YAML 1.2.

    Raises:
        InputError: If the file is missing, is no YAML, or repeats a key.
    """
    try:
        return yaml.load(path.read_text(encoding="utf-8"), Loader=_Loader)
    except FileNotFoundError:
        raise InputError(
            f"{path}: not found; start stages from the root of the repository"
        ) from None
    except yaml.YAMLError as error:
        raise InputError(f"{path}: not YAML: {' '.join(str(error).split())}") from None


def validate(raw: Any) -> Params:
    """Check the content of params.yaml as a whole.

    Raises:
        InputError: With one line for each mistake: key, value found, what was expected.
    """
    if not isinstance(raw, dict):
        raise InputError(f"params.yaml: found {raw!r}, expected a mapping of keys to values")
    reserved = _reserved_names(raw)
    mistakes = {
        key: f"found a parameter of this name, expected another (DVC ignores changes of {key!r})"
        for key in reserved
    }
    try:
        params = Params.model_validate(raw)
    except ValidationError as error:
        for detail in error.errors():
            key, found, expected = _mistake(detail, raw)
            if key not in mistakes:
                mistakes[key] = f"found {found}, expected {expected}"
            elif key not in reserved and expected not in mistakes[key]:
                mistakes[key] += f" or {expected}"
    else:
        mistakes |= list_mistakes(params)
        if not mistakes:
            return params
    raise InputError(
        "\n".join(f"params.yaml: {key}: {mistake}" for key, mistake in mistakes.items())
    )


def load(
    *keys: str, instead: str | None = None, path: Path = Path("params.yaml")
) -> dict[str, Any]:
    """Validate the whole of params.yaml and hand out the values asked for.

    Args:
        keys: Dotted names, such as `epochs` or `geometry.hybrid`.
        instead: A key such as `benchmark.omniglot` or `system.hcl.settings`, whose sections stand
            in for those of the same name among `keys`, unless they are null.
        path: The file; the default is right for a stage, which runs in the root of the repository.

    Returns:
        The value of each key: plain numbers, strings, lists and dictionaries.

    Raises:
        InputError: As `validate` and `read_yaml` do, for a key that is not in the file, and if
            labels are hidden where, with the sections of `instead`, nothing tells two views of an
            image apart.
    """
    content = validate(read_yaml(path)).model_dump()
    chosen: dict[str, Any] = {}
    if instead:
        own = {
            key: value
            for key, value in load(instead, path=path)[instead].items()
            if value is not None
        }
        content |= own
        if mistake := find_equal_views(content, instead, own):
            raise InputError(f"params.yaml: {mistake}")
    for key in keys:
        value: Any = content
        for step in key.split("."):
            if not isinstance(value, dict) or step not in value:
                raise InputError(
                    f"params.yaml: {key}: not there; known here: {', '.join(map(str, value))}"
                )
            value = value[step]
        chosen[key] = value
    return chosen


def _reserved_names(node: Any, path: str = "") -> list[str]:
    """List the keys whose name DVC leaves out of the run-cache key."""
    if not isinstance(node, dict):
        return []
    found = [f"{path}{key}" for key in node if key in NAMES_DVC_IGNORES]
    return found + [
        name for key, value in node.items() for name in _reserved_names(value, f"{path}{key}.")
    ]


def _mistake(detail: ErrorDetails, raw: dict[str, Any]) -> tuple[str, str, str]:
    """Turn one of pydantic's errors into key, value found, and what was expected."""
    steps: list[str] = []
    node: Any = raw
    for step in detail["loc"]:  # the path in the file, with the names of union members in between
        if (isinstance(node, dict) and step in node) or (
            isinstance(node, list) and isinstance(step, int)
        ):
            node = node[step]  # type: ignore[index]
            steps.append(str(step))
    if detail["type"] == "missing":
        return ".".join([*steps, str(detail["loc"][-1])]), "nothing", "a value"
    if detail["type"] == "extra_forbidden":
        return ".".join(steps), "an unknown key", "no key of this name"
    if detail["type"] == "union_tag_invalid":
        tags = detail["ctx"]["expected_tags"]
        return (
            ".".join(steps),
            repr(node),
            f"{detail['ctx']['discriminator'].strip(chr(39))}: {' or '.join(tags.rsplit(', ', 1))}",
        )
    expected = detail["msg"]
    for prefix in (
        "Value error, ",
        "Input should be ",
        "Input should ",
        "String should ",
        "List should ",
        "Dictionary should ",
    ):
        expected = expected.removeprefix(prefix)
    return ".".join(steps), repr(node), expected
