"""The one way to read params.yaml.

Every stage calls `load` before anything else: the whole file is validated, in well under a second and without torch,
and every mistake is reported at once. A stage receives only the keys it asks for, which `tests/test_layout.py`
compares with the `params:` of its block in dvc.yaml.
"""

import re
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError
from pydantic_core import ErrorDetails

from geomix.errors import InputError
from geomix.schema.sections import Params

# DVC leaves parameters of these names out of its run-cache key, so a changed value would restore an old result.
NAMES_DVC_IGNORES = frozenset({"size", "nfiles"})
# The first sentence of the report compares these at their own temperatures.
COMPARED = ("euclidean", "flat", "hyperbolic")
# The row of the study `systems` that others are compared with, by what training knows.
REFERENCES = {"given": "euclidean", "hidden": "infonce"}


class _Loader(yaml.SafeLoader):
    """PyYAML with YAML 1.2's numbers, as DVC reads them, and no silent repetition of a key."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """Build a mapping whose keys are all different."""
        keys = [key.value for key, _ in node.value]
        for key in keys:
            if keys.count(key) > 1:
                raise InputError(f"params.yaml: line {node.start_mark.line + 1}: key {key!r} is there twice")
        return super().construct_mapping(node, deep)


# YAML 1.1, PyYAML's default, reads 1e-3 and 010 otherwise, and yes, no, on and off as booleans.
_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if not tag.endswith((":float", ":int", ":bool"))]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_Loader.add_implicit_resolver("tag:yaml.org,2002:bool", re.compile(r"^(?:true|True|TRUE|false|False|FALSE)$"), list("tTfF"))
_Loader.add_implicit_resolver("tag:yaml.org,2002:int", re.compile(r"^[-+]?[0-9]+$"), list("-+0123456789"))
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"^[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?$|^[-+]?\.(?:inf|Inf|INF)$|^\.(?:nan|NaN|NAN)$"),
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
        raise InputError(f"{path}: not found; start stages from the root of the repository") from None
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
    mistakes = {key: f"found a parameter of this name, expected another (DVC ignores changes of {key!r})" for key in reserved}
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
        mistakes |= _study_mistakes(params)
        if not mistakes:
            return params
    raise InputError("\n".join(f"params.yaml: {key}: {mistake}" for key, mistake in mistakes.items()))


def load(*keys: str, instead: str | None = None, path: Path = Path("params.yaml")) -> dict[str, Any]:
    """Validate the whole of params.yaml and hand out the values asked for.

    Args:
        keys: Dotted names, such as `epochs` or `geometry.hybrid`.
        instead: A key such as `benchmark.omniglot`, whose sections stand in for those of the same name among `keys`, unless
            they are null.
        path: The file; the default is right for a stage, which runs in the root of the repository.

    Returns:
        The value of each key: plain numbers, strings, lists and dictionaries.

    Raises:
        InputError: As `validate` and `read_yaml` do, and for a key that is not in the file.
    """
    content = validate(read_yaml(path)).model_dump()
    chosen: dict[str, Any] = {}
    if instead:
        content |= {key: value for key, value in load(instead, path=path)[instead].items() if value is not None}
    for key in keys:
        value: Any = content
        for step in key.split("."):
            if not isinstance(value, dict) or step not in value:
                raise InputError(f"params.yaml: {key}: not there; known here: {', '.join(map(str, value))}")
            value = value[step]
        chosen[key] = value
    return chosen


def _reserved_names(node: Any, path: str = "") -> list[str]:
    """List the keys whose name DVC leaves out of the run-cache key."""
    if not isinstance(node, dict):
        return []
    found = [f"{path}{key}" for key in node if key in NAMES_DVC_IGNORES]
    return found + [name for key, value in node.items() for name in _reserved_names(value, f"{path}{key}.")]


def _mistake(detail: ErrorDetails, raw: dict[str, Any]) -> tuple[str, str, str]:
    """Turn one of pydantic's errors into key, value found, and what was expected."""
    steps: list[str] = []
    node: Any = raw
    for step in detail["loc"]:  # the path in the file, with the names of union members in between
        if (isinstance(node, dict) and step in node) or (isinstance(node, list) and isinstance(step, int)):
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
    for prefix in ("Value error, ", "Input should be ", "Input should ", "String should ", "List should ", "Dictionary should "):
        expected = expected.removeprefix(prefix)
    return ".".join(steps), repr(node), expected


def _study_mistakes(params: Params) -> dict[str, str]:
    """Find axes that hold a value twice (two cells, one place) or name an unknown geometry, and sections at odds."""
    sweep, runs = params.sweep, params.sweep.runs
    axes: dict[str, list[Any]] = {
        "compare.seeds": params.compare.seeds,
        "sweep.tau.values": sweep.tau.values,
        "sweep.curvature.values": sweep.curvature.values,
        "sweep.runs.tau.seeds": runs.tau.seeds,
        "sweep.runs.tau.geometries": runs.tau.geometries,
        "sweep.runs.curvature.seeds": runs.curvature.seeds,
        "sweep.runs.curvature.geometries": runs.curvature.geometries,
        "sweep.benchmarks.values": sweep.benchmarks.values,
        "benchmarks.datasets": params.benchmarks.datasets,
        "benchmarks.seeds": params.benchmarks.seeds,
        "systems.seeds": params.systems.seeds,
        "ensemble.systems": params.ensemble.systems,
        "ensemble.weights": params.ensemble.weights,
    }
    mistakes = {
        key: f"found {values}, expected each value once" for key, values in axes.items() if len(set(values)) < len(values)
    }
    if params.dataset == "folder" and not params.folder.path:
        mistakes["folder.path"] = "found nothing, expected a folder of images, as dataset is folder"
    unset = [name for name in params.benchmarks.datasets if name not in params.benchmark]
    if unset:
        mistakes["benchmarks.datasets"] = (
            f"found {', '.join(unset)}, expected names under benchmark: {', '.join(params.benchmark)}"
        )
    if params.backbone.stem == "conv" and (params.backbone.pretrained or params.backbone.checkpoint):
        mistakes["backbone.stem"] = "found conv beside pretrained or a checkpoint, expected patch"
    if params.dataset == "embeddings" and not params.embeddings.path:
        mistakes["embeddings.path"] = "found nothing, expected a .npy or .parquet of vectors, as dataset is embeddings"
    if (params.dataset == "embeddings") != (params.backbone.name == "mlp"):
        expected = "mlp" if params.dataset == "embeddings" else "the name of a Vision Transformer of timm"
        mistakes["backbone.name"] = f"found {params.backbone.name}, expected {expected}, as dataset is {params.dataset}"
    if params.negatives.rule != "uniform" and params.loss.name != "pairwise_cross_entropy":
        mistakes["negatives.rule"] = (
            f"found {params.negatives.rule} with loss {params.loss.name}, expected uniform with this loss"
        )
    lacking = [name for name in COMPARED if name not in runs.tau.geometries]
    if lacking:
        mistakes["sweep.runs.tau.geometries"] = f"found no {', '.join(lacking)}, expected {', '.join(COMPARED)} among them"
    if not any(sweep.curvature.values):
        mistakes["sweep.curvature.values"] = f"found {sweep.curvature.values}, expected a value above 0 among them"
    known = ", ".join(params.geometry)
    for key in ("sweep.runs.tau.geometries", "sweep.runs.curvature.geometries"):
        unknown = [name for name in axes[key] if name not in params.geometry]
        if unknown:
            mistakes[key] = f"found {', '.join(unknown)}, expected names under geometry: {known}"
    return mistakes | _system_mistakes(params)


def _system_mistakes(params: Params) -> dict[str, str]:
    """Find systems that lack their reference, a geometry or its numbers, and ensembles of what is not there."""
    mistakes: dict[str, str] = {}
    for name, system in params.system.items():
        if system.geometry not in params.geometry:
            known = ", ".join(params.geometry)
            mistakes[f"system.{name}.geometry"] = f"found {system.geometry}, expected a name under geometry: {known}"
            continue
        rule = system.negatives.rule if system.negatives else "uniform"
        if system.loss and system.loss.name != "pairwise_cross_entropy" and rule != "uniform":
            mistakes[f"system.{name}.negatives"] = f"found {rule} with loss {system.loss.name}, expected uniform with this loss"
        spaces = params.geometry[system.geometry].values()
        if system.lam is None and any(space.weight == "lam" for space in spaces):
            mistakes[f"system.{name}.lam"] = "found nothing, expected a number, as the geometry has a weight lam"
        if system.curvature is None and any(space.space == "ball" and space.curvature is None for space in spaces):
            mistakes[f"system.{name}.curvature"] = "found nothing, expected a number, as the geometry has a ball without its own"
    known = ", ".join(params.system)
    for labels in {system.labels or params.labels for system in params.system.values()} | {"given"}:
        if REFERENCES[labels] not in params.system:
            what = f"as rows with labels {labels} are compared with it"
            mistakes["system"] = f"found {known}, expected {REFERENCES[labels]} among them, {what}"
    unknown = [name for name in params.ensemble.systems if name not in params.system]
    if unknown:
        mistakes["ensemble.systems"] = f"found {', '.join(unknown)}, expected names under system: {known}"
    return mistakes
