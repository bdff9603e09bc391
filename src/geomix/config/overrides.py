"""Settings on a command line: --tau 0.1 --head.outputs 8, as DVC writes a dictionary."""

from collections.abc import Sequence
from typing import Any

from ruamel.yaml import YAML

from geomix.errors import InputError


def read_overrides(arguments: Sequence[str]) -> dict[str, Any]:
    """Read settings under dotted names of params.yaml.

    Args:
        arguments: `--key value` pairs; `--key` alone is true, `--no-key` false.

    Raises:
        InputError: If a value has no key, or a key is there twice.
    """
    yaml = YAML(typ="safe")
    overrides: dict[str, Any] = {}
    left = list(arguments)
    while left:
        key = left.pop(0)
        if not key.startswith("--"):
            raise InputError(f"command line: found {key}, expected --key value")
        if left and not left[0].startswith("--"):
            name, value = key[2:], yaml.load(left.pop(0))
        else:
            name, value = key[2:].removeprefix("no-"), not key.startswith("--no-")
        if name in overrides:
            raise InputError(f"command line: found --{name} twice, expected it once")
        overrides[name] = value
    return overrides
