"""What no section of params.yaml says alone: values and sections that do not go together."""

from collections.abc import Iterator, Mapping
from typing import Any

from geomix.config.sections import Augment, Backbone, Crop
from geomix.config.studies import REFERENCES
from geomix.config.whole import Params

# The first sentence of the report compares these at their own temperatures.
COMPARED = ("euclidean", "flat", "hyperbolic")


def list_mistakes(params: Params) -> dict[str, str]:
    """List the keys that do not go with others, each with what was found and what was expected.

    Args:
        params: The whole file, each section of it valid.
    """
    mistakes = (
        dict(_repeated_values(params))
        | dict(_section_mistakes(params))
        | dict(_geometry_mistakes(params))
    )
    return mistakes | dict(_system_mistakes(params)) | dict(_view_mistakes(params))


def find_equal_views(sections: Mapping[str, Any], entry: str, own: Mapping[str, Any]) -> str:
    """Find whether labels are hidden in an entry, but nothing tells the two views of an image
    apart.

    It is looked for when the entry is used: where it takes one of both from the top, the file is no
    mistake for those who never use it.

    Args:
        sections: Those of the whole file, but for those that the entry replaces.
        entry: Its key, such as `system.infonce.settings` or `benchmark.omniglot`.
        own: The sections that the entry has.

    Returns:
        The key, what was found there, and what was expected; nothing where views differ.
    """
    dataset = entry.split(".")[1] if entry.startswith("benchmark.") else sections["dataset"]
    crop, augment = (
        Crop.model_validate(sections["crop"]),
        Augment.model_validate(sections["augment"]),
    )
    if sections["labels"] == "given" or not _views_are_equal(dataset, crop, augment):
        return ""
    key = f"{entry}.augment" if own.get("augment") else "augment"
    return f"{key}: {_no_change(dataset, f'labels are hidden in {entry}')}"


def _repeated_values(params: Params) -> Iterator[tuple[str, str]]:
    """Find axes that hold a value twice: two cells, one place."""
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
    for key, values in axes.items():
        if len(set(values)) < len(values):
            yield key, f"found {values}, expected each value once"


def _section_mistakes(params: Params) -> Iterator[tuple[str, str]]:
    """Find sections that the data set, the backbone or the loss does not allow."""
    if params.dataset == "folder" and not params.folder.path:
        yield "folder.path", "found nothing, expected a folder of images, as dataset is folder"
    if params.dataset == "embeddings" and not params.embeddings.path:
        yield (
            "embeddings.path",
            "found nothing, expected a .npy or .parquet of vectors, as dataset is embeddings",
        )
    yield from _backbone_mistakes("backbone", params.backbone, params.dataset)
    unset = [name for name in params.benchmarks.datasets if name not in params.benchmark]
    if unset:
        yield (
            "benchmarks.datasets",
            f"found {', '.join(unset)}, expected names under benchmark: {', '.join(params.benchmark)}",
        )
    for name, section in params.benchmark.items():
        yield from _backbone_mistakes(f"benchmark.{name}.backbone", section.backbone, name)
    if params.negatives.rule != "uniform" and params.loss.name != "pairwise_cross_entropy":
        found = f"{params.negatives.rule} with loss {params.loss.name}"
        yield "negatives.rule", f"found {found}, expected uniform with this loss"


def _backbone_mistakes(key: str, backbone: Backbone, dataset: str) -> Iterator[tuple[str, str]]:
    """Find a backbone that cannot have its stem, or cannot see what the data set holds."""
    if backbone.stem == "conv" and (backbone.pretrained or backbone.checkpoint):
        yield f"{key}.stem", "found conv beside pretrained or a checkpoint, expected patch"
    if (dataset == "embeddings") != (backbone.name == "mlp"):
        expected = "mlp" if dataset == "embeddings" else "the name of a Vision Transformer of timm"
        yield f"{key}.name", f"found {backbone.name}, expected {expected}, as dataset is {dataset}"


def _geometry_mistakes(params: Params) -> Iterator[tuple[str, str]]:
    """Find sweeps without a geometry or value that the report needs, or with a geometry that is not there."""
    sweep, runs = params.sweep, params.sweep.runs
    lacking = [name for name in COMPARED if name not in runs.tau.geometries]
    if lacking:
        yield (
            "sweep.runs.tau.geometries",
            f"found no {', '.join(lacking)}, expected {', '.join(COMPARED)} among them",
        )
    if not any(sweep.curvature.values):
        yield (
            "sweep.curvature.values",
            f"found {sweep.curvature.values}, expected a value above 0 among them",
        )
    for study, axis in {"tau": runs.tau, "curvature": runs.curvature}.items():
        unknown = [name for name in axis.geometries if name not in params.geometry]
        if unknown:
            expected = f"names under geometry: {', '.join(params.geometry)}"
            yield (
                f"sweep.runs.{study}.geometries",
                f"found {', '.join(unknown)}, expected {expected}",
            )


def _system_mistakes(params: Params) -> Iterator[tuple[str, str]]:
    """Find systems that lack their reference, a geometry or its numbers, and ensembles of what is not there."""
    for name, system in params.system.items():
        key, settings = f"system.{name}.settings", system.settings
        rule = settings.negatives.rule if settings.negatives else "uniform"
        if settings.loss and settings.loss.name != "pairwise_cross_entropy" and rule != "uniform":
            yield (
                f"{key}.negatives",
                f"found {rule} with loss {settings.loss.name}, expected uniform with this loss",
            )
        if settings.geometry not in params.geometry:
            expected = f"a name under geometry: {', '.join(params.geometry)}"
            yield f"{key}.geometry", f"found {settings.geometry}, expected {expected}"
            continue
        spaces = params.geometry[settings.geometry].values()
        if settings.lam is None and any(space.weight == "lam" for space in spaces):
            yield f"{key}.lam", "found nothing, expected a number, as the geometry has a weight lam"
        if settings.curvature is None and any(
            space.space == "ball" and space.curvature is None for space in spaces
        ):
            yield (
                f"{key}.curvature",
                "found nothing, expected a number, as the geometry has a ball without its own",
            )
    known = ", ".join(params.system)
    for labels in {system.settings.labels or params.labels for system in params.system.values()} | {
        "given"
    }:
        if REFERENCES[labels] not in params.system:
            why = f"as rows with labels {labels} are compared with it"
            yield "system", f"found {known}, expected {REFERENCES[labels]} among them, {why}"
    unknown = [name for name in params.ensemble.systems if name not in params.system]
    if unknown:
        yield (
            "ensemble.systems",
            f"found {', '.join(unknown)}, expected names under system: {known}",
        )


def _view_mistakes(params: Params) -> Iterator[tuple[str, str]]:
    """Find where labels are hidden but nothing tells the two views of an image apart: at the top,
    and in a system by itself.

    Where an entry has one of both from the top, `find_equal_views` finds it once the entry is used.
    """
    if params.labels == "hidden" and _views_are_equal(params.dataset, params.crop, params.augment):
        yield "augment", _no_change(params.dataset, "labels are hidden")
    for name, system in params.system.items():
        labels, augment = system.settings.labels or params.labels, system.settings.augment
        if (
            labels == "hidden"
            and augment
            and _views_are_equal(params.dataset, params.crop, augment)
        ):
            yield f"system.{name}.settings.augment", _no_change(params.dataset, "labels are hidden")


def _views_are_equal(dataset: str, crop: Crop, augment: Augment) -> bool:
    """Say whether two views of an image are always the same; a flip of all images, say, changes both alike."""
    if dataset == "embeddings":
        return not augment.noise
    changes = augment.rotate, augment.zoom, augment.shear, augment.shift, augment.noise
    return crop.area == 1 and crop.flip in (0, 1) and not any(changes)


def _no_change(dataset: str, why: str) -> str:
    """Write that two views are equal, and what could tell them apart."""
    if dataset == "embeddings":
        return f"found noise 0, so both views of a vector are equal, expected above 0, as {why}"
    expected = "a change above 0, crop.area below 1 or crop.flip between 0 and 1"
    return f"found no change, so both views of an image are equal, expected {expected}, as {why}"
