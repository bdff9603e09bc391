"""The one way to read params.yaml.

Every stage calls `load` before anything else: the whole file is validated, in well under a second
and without torch, and every mistake is reported at once. A stage receives only the typed part that
it asks for, whose fields `tests/test_layout.py` compares with the `params:` of its block in
dvc.yaml.
"""

import difflib
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar, get_args

from pydantic import ValidationError
from pydantic_core import ErrorDetails
from ruamel.yaml import YAML
from ruamel.yaml.constructor import DuplicateKeyError
from ruamel.yaml.error import YAMLError

from geomix.config.base import Section
from geomix.config.checks import list_mistakes, list_short_heads
from geomix.config.params import Params
from geomix.config.stages import CellParams, list_own, list_studies
from geomix.config.studies import nest
from geomix.config.tuning import list_ends
from geomix.errors import InputError

# DVC leaves parameters of these names out of its run-cache key, so a changed value would restore an
# old result.
NAMES_DVC_IGNORES = frozenset({"size", "nfiles"})
KIND = {"name", "rule", "space"}  # a section that holds one of these is of that kind, and whole
PARAMS = Path("params.yaml")
MARKS = ("<<<<<<< ", ">>>>>>> ")  # of a merge
PREFIXES = ("Value error, ", "Input should be ", "Input should ", "String should ", "List should ")

Part = TypeVar("Part", bound=Section)


def read_yaml(path: Path) -> Any:
    """Read a YAML 1.2 file, as DVC does: 1e-3 is a number, and no key is there twice.

    Raises:
        InputError: If the file is missing, is no UTF-8, holds a merge that is not finished, is no
            YAML, or repeats a key.
    """
    try:
        text = path.read_text(encoding="utf-8")
        _refuse_marks(path, text)
        return YAML(typ="safe").load(text)
    except FileNotFoundError:
        raise InputError(
            f"{path}: not found; start stages from the root of the repository"
        ) from None
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        found = f"byte 0x{error.object[error.start]:02x}"
        raise InputError(f"{path}: line {line}: found {found}, expected text in UTF-8") from None
    except DuplicateKeyError as error:
        line = error.problem_mark.line + 1
        what = str(error.problem).partition(" with ")[0].removeprefix("found duplicate ")
        what = what.replace(chr(34), chr(39))
        raise InputError(f"{path}: line {line}: {what} is there twice") from None
    except (YAMLError, ValueError, RecursionError) as error:  # ValueError: of 2020-13-45, no date
        raise InputError(f"{path}: not YAML: {' '.join(str(error).split())}") from None


def _refuse_marks(path: Path, text: str) -> None:
    """Refuse a file with the marks of a merge that is not finished.

    Raises:
        InputError: With the line of the first.
    """
    for number, line in enumerate(text.splitlines(), 1):
        if line.startswith(MARKS):
            found = f"{line[:7]}, a merge that is not finished"
            expected = "one of its sides (git restore --ours or --theirs takes a whole one)"
            raise InputError(f"{path}: line {number}: found {found}, expected {expected}")


def lay_over(base: Mapping[str, Any], overlay: Mapping[str, Any]) -> dict[str, Any]:
    """Return settings with others laid over them, key by key.

    A section of the overlay that says what kind it is (a loss by its name, a rule, a space)
    replaces the other as a whole. All backbones have the same keys, so their name is one of these.
    """
    merged = dict(base)
    for key, value in overlay.items():
        old = merged.get(key)
        partial = isinstance(value, Mapping) and (key == "backbone" or not KIND & value.keys())
        merged[key] = lay_over(old, value) if partial and isinstance(old, Mapping) else value
    return merged


def validate(raw: Any, origin: str = "params.yaml", overlaid: bool = False) -> Params:
    """Check the content of params.yaml as a whole.

    Args:
        raw: The content.
        origin: What the messages begin with.
        overlaid: Whether the settings of one cell are laid over the file, which was checked itself:
            then the studies of others are not.

    Raises:
        InputError: With one line for each mistake: key, value found, what was expected.
    """
    if not isinstance(raw, dict):
        content = "nothing" if raw is None else repr(raw)
        raise InputError(f"{origin}: found {content}, expected a mapping of keys to values")
    reserved = set(_reserved_names(raw))
    mistakes = {
        key: f"found a parameter of this name, expected another (DVC ignores changes of {key!r})"
        for key in reserved
    }
    params, found = _parse(raw)
    mistakes |= {key: mistake for key, mistake in found.items() if key not in reserved}
    if params:
        mistakes |= list_mistakes(params)
        if not overlaid:
            mistakes |= _study_values(raw, params)
    if params and not mistakes and not overlaid:
        mistakes = list_short_heads(params)
    if mistakes or not params:
        raise InputError("\n".join(f"{origin}: {key}: {what}" for key, what in mistakes.items()))
    return params


def load(
    part: type[Part],
    *overlays: Mapping[str, Any],
    own: str | None = None,
    path: Path = PARAMS,
) -> Part:
    """Validate the whole of params.yaml and return a typed part of it.

    Args:
        part: Its fields are top-level keys of params.yaml.
        overlays: Nested settings laid over the file, the last one uppermost.
        own: A section and a data set, such as tune.omniglot, whose settings under
            `tune.own`, then what the section pins, are laid over the file before these.
        path: The file; the default is right for a stage, which runs in the root of the repository.

    Raises:
        InputError: As `read_yaml` and `validate` do, also where the overlays make a mistake.
    """
    raw = read_yaml(path)
    try:
        params = validate(raw)
    except InputError as error:
        cut = ": found nothing, expected" in str(error)
        raise InputError(f"{error}{_explain_end(path) if cut else ''}") from None
    origin = "params.yaml"
    if own is not None:
        section, _, dataset = own.partition(".")
        known = list_own(params)
        if dataset not in known.get(section, {}):
            names = ", ".join(f"{key}.{name}" for key, sets in known.items() for name in sets)
            raise InputError(f"command line: --own: found {own}, expected one of {names}")
        pinned = raw[section].get("pinned", {})  # of the study: it holds for its baselines too
        overlays = ({"dataset": dataset}, raw[section]["own"][dataset], pinned, *overlays)
        origin = f"params.yaml with {section}.own.{dataset}"
    if overlays:
        for overlay in overlays:
            raw = lay_over(raw, overlay)
        params = validate(raw, origin, overlaid=True)
    fields = {name: getattr(params, name) for name in part.model_fields}
    return part.model_construct(**fields)


def _explain_end(path: Path) -> str:
    """Return a line to add to mistakes in a file that was cut off, or nothing."""
    text = path.read_text(encoding="utf-8")
    if text.endswith("\n"):
        return ""
    found = f"{text.splitlines()[-1]!r} without an end" if text else "an empty file"
    expected = "a line that ends: was the file cut off? (git restore params.yaml)"
    return f"\nparams.yaml: found {found}, expected {expected}"


def _parse(raw: dict[str, Any]) -> tuple[Params | None, dict[str, str]]:
    """Return the typed file, or nothing and its mistakes by key."""
    try:
        return Params.model_validate(raw), {}
    except ValidationError as error:
        mistakes: dict[str, str] = {}
        order = list(raw)  # that of the file; what it lacks comes last
        place = {
            key: order.index(key) if key in order else len(order) for key in Params.model_fields
        }
        for detail in sorted(error.errors(), key=lambda one: place.get(str(one["loc"][0]), 0)):
            key, found, expected = _mistake(detail, raw)
            if key not in mistakes:
                mistakes[key] = f"found {found}, expected {expected}"
            elif expected not in mistakes[key]:
                mistakes[key] += f" or {expected}"
        return None, mistakes


def _study_values(raw: dict[str, Any], params: Params) -> dict[str, str]:
    """Return mistakes in the values of studies and in what data sets have of their own."""
    mistakes = _search_values(raw, params) | _unread_keys(params)
    for name, study in list_studies(params).items():
        varied = [(key, value) for key, values in study.axes.items() for value in values]
        whole = {key: values[0] for key, values in study.axes.items()} | study.fixed
        for section, settings in (("over", varied), ("pinned", list(study.fixed.items()))):
            for key, value in settings:
                # a section of another kind is whole only with what the study says of it elsewhere
                root = key.split(".")[0]
                beside = {k: v for k, v in whole.items() if k.split(".")[0] == root}
                found = _parse(lay_over(raw, nest(beside | {key: value})))[1]
                mistakes |= {f"{name}.{section}.{key}": what for what in list(found.values())[:1]}
    for name, start in params.tune.starts.items():
        found = _parse(lay_over(raw, start))[1]
        mistakes |= {f"tune.starts.{name}.{key}": what for key, what in found.items()}
    for section, sets in list_own(params).items():
        for name, own in sets.items():
            found = _parse(lay_over(raw, own))[1]
            mistakes |= {f"{section}.own.{name}.{key}": what for key, what in found.items()}
    return mistakes


def _unread_keys(params: Params) -> dict[str, str]:
    """Return the keys of params.yaml that are set for cells though no cell reads them."""
    settings = {
        f"{section}.own.{name}": own
        for section, sets in list_own(params).items()
        for name, own in sets.items()
    }
    for name, study in list_studies(params).items():
        settings |= {f"{name}.over": study.over, f"{name}.pinned": study.pinned}
    read = CellParams.model_fields
    expected = f"one that cells read: {', '.join(read)}"
    return {
        f"{place}.{key}": f"found a key that no cell reads, expected {expected}"
        for place, keys in settings.items()
        for key in keys
        if key in Params.model_fields and key not in read
    }


def _search_values(raw: dict[str, Any], params: Params) -> dict[str, str]:
    """Return mistakes in the ends of ranges and in the values that tuning chooses among."""
    mistakes: dict[str, str] = {}
    for place, ranges in (
        ("tune", params.tune.searched),
        ("systems.tuned", params.systems.tuned.searched),
    ):
        for key, values in ranges.items():
            section, _, name = key.partition(".")
            if section == "geometry" and name.partition(".")[0] not in params.geometry:
                continue  # `list_mistakes` tells it of tune, `settle` of systems
            for value in list_ends(values):
                for what in list(_parse(lay_over(raw, nest({key: value})))[1].values())[:1]:
                    mistakes.setdefault(f"{place}.search.{key}", what)
    return mistakes


def _reserved_names(node: Any, path: str = "") -> Iterator[str]:
    """Yield the keys whose name DVC leaves out of the run-cache key."""
    if isinstance(node, dict):
        for key, value in node.items():
            if key in NAMES_DVC_IGNORES:
                yield f"{path}{key}"
            yield from _reserved_names(value, f"{path}{key}.")


def _models(annotation: Any) -> Iterator[type[Section]]:
    """Yield the sections that a type is made of."""
    if isinstance(annotation, type) and issubclass(annotation, Section):
        yield annotation
    for part in get_args(annotation):
        yield from _models(part)


def _near_key(place: Sequence[int | str], beside: Collection[str]) -> str:
    """Return the key that an unknown one is most like, if any, of those that could be there.

    Args:
        place: As pydantic tells it: keys, names of union members in between, the unknown key last.
        beside: The keys that are there already.
    """
    models: list[type[Section]] = [Params]
    for step in place[:-1]:
        key = str(step)
        fields = [one.model_fields[key] for one in models if key in one.model_fields]
        # a step that is no field is a key of a dictionary, or a name of a union's member
        models = [one for field in fields for one in _models(field.annotation)] or models
    names = {name for one in models for name in one.model_fields} - {*beside}
    return [*difflib.get_close_matches(str(place[-1]), sorted(names), 1), ""][0]


def _mistake(detail: ErrorDetails, raw: dict[str, Any]) -> tuple[str, str, str]:
    """Return of one of pydantic's errors the key, the value found, and what was expected."""
    steps: list[str] = []
    node: Any = raw
    beside: Collection[str] = ()
    # the path in the file, with the names of union members in between
    for step in detail["loc"]:
        if (isinstance(node, dict) and step in node) or (
            isinstance(node, list) and isinstance(step, int)
        ):
            beside = node if isinstance(node, dict) else ()
            node = node[step]  # type: ignore[index]
            steps.append(str(step))
    key = ".".join(steps)
    if detail["type"] == "missing":
        return ".".join([*steps, str(detail["loc"][-1])]), "nothing", "a value"
    if detail["type"] == "extra_forbidden":
        near = _near_key(detail["loc"], beside)
        hint = f" (did you mean {near}?)" if near else ""
        return key, "an unknown key", f"no key of this name{hint}"
    if detail["type"] == "union_tag_invalid":
        tags = " or ".join(detail["ctx"]["expected_tags"].rsplit(", ", 1))
        return key, repr(node), f"{detail['ctx']['discriminator'].strip(chr(39))}: {tags}"
    expected = detail["msg"]
    for prefix in (*PREFIXES, "Dictionary should "):
        expected = expected.removeprefix(prefix)
    return key, repr(node), expected
