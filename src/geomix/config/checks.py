"""What no section of params.yaml says alone: values and sections that do not go together."""

from collections.abc import Iterator

from geomix.config.base import ALONE, FOR_VECTORS, VECTORS
from geomix.config.params import Params
from geomix.config.sections import Augment, Backbone, Crop
from geomix.config.stages import list_own, list_studies
from geomix.config.studies import Study, flatten
from geomix.config.tuning import COLUMNS, TRIAL_SEED, Tuning, has_key, is_within

UNFIT = ("features", "grid")  # what features are not made of: themselves, and points of a plane

Mistakes = Iterator[tuple[str, str]]  # key; what was found and what was expected


def list_mistakes(params: Params) -> dict[str, str]:
    """Return the keys that do not go with others, each with what was found and expected.

    Args:
        params: The whole file, each section of it valid.
    """
    found = (
        _data_mistakes(params),
        _split_mistakes(params),
        _backbone_mistakes(params.backbone, params.dataset),
        _feature_mistakes(params),
        _loss_mistakes(params),
        _study_mistakes(params),
        _knob_mistakes(params),
        _tuning_mistakes(params),
        _system_mistakes(params),
    )
    return {key: mistake for mistakes in found for key, mistake in mistakes}


def _data_mistakes(params: Params) -> Mistakes:
    """Find data of the user that are not named."""
    named = {"features.dataset": params.features.dataset, "dataset": params.dataset}
    for key, dataset in named.items():
        if dataset == "folder" and not params.folder.path:
            yield "folder.path", f"found nothing, expected a folder of images, as {key} is folder"
        if dataset == "embeddings" and not params.embeddings.path:
            expected = f"a .npy or .parquet of vectors, as {key} is embeddings"
            yield "embeddings.path", f"found nothing, expected {expected}"


def _split_mistakes(params: Params) -> Mistakes:
    """Find small classes that would be found outside the split of their branch."""
    if params.split.unit == "branch" and params.classes.below == "gallery":
        reason = "as split.unit is branch, and one sample of each would leave its branch"
        yield "classes.below", f"found gallery, expected refuse or drop, {reason}"


def _backbone_mistakes(backbone: Backbone, dataset: str, section: str = "") -> Mistakes:
    """Find a backbone that cannot have its stem, or cannot see what the data set holds."""
    key = f"{section}backbone"
    if backbone.stem == "conv" and (backbone.pretrained or backbone.checkpoint):
        yield f"{key}.stem", "found conv beside pretrained or a checkpoint, expected patch"
    if (dataset in VECTORS) != (backbone.name in FOR_VECTORS):
        vectors = " or ".join(FOR_VECTORS)
        expected = vectors if dataset in VECTORS else "the name of a Vision Transformer of timm"
        found = f"found {backbone.name}, expected {expected}"
        yield f"{key}.name", f"{found}, as {section}dataset is {dataset}"


def _feature_mistakes(params: Params) -> Mistakes:
    """Find what has no features, or a backbone that cannot make them; vectors need none."""
    dataset = params.features.dataset
    if dataset in UNFIT:
        expected = "images or vectors with classes or a hierarchy"
        yield "features.dataset", f"found {dataset}, expected {expected}"
    elif dataset not in VECTORS:
        yield from _backbone_mistakes(params.features.backbone, dataset, "features.")


def _loss_mistakes(params: Params) -> Mistakes:
    """Find what a loss or a relevance does not go with, and views that nothing tells apart."""
    if params.task != "class":
        yield from _task_mistakes(params)
    elif params.dataset in ALONE:
        expected = f"lineage, as each sample of {params.dataset} is a class"
        yield "relevance", f"found class, expected {expected}"
    if params.dataset == "grid" and params.task != "distances":
        expected = "distances, as points of grid are neither classes nor lineages"
        yield "loss.name", f"found {params.loss.name}, expected {expected}"
    if params.negatives.rule != "uniform" and params.loss.name != "pairwise_cross_entropy":
        found = f"{params.negatives.rule} with loss {params.loss.name}"
        yield "negatives.rule", f"found {found}, expected uniform with this loss"
    if params.labels == "given" or not _views_are_equal(
        params.dataset, params.crop, params.augment
    ):
        return
    if params.dataset in VECTORS:
        found, expected = "noise 0, so both views of a vector are equal", "above 0"
    else:
        found = "no change, so both views of an image are equal"
        expected = "a change above 0, crop.area below 1 or crop.flip between 0 and 1"
    yield "augment", f"found {found}, expected {expected}, as labels are hidden"


def _task_mistakes(params: Params) -> Mistakes:
    """Find what only classes go with: other losses, rules, regularisers, hidden labels."""
    words = f"with {'loss distances' if params.task == 'distances' else 'relevance lineage'}"
    name, rule = params.loss.name, params.negatives.rule
    if name not in ("pairwise_cross_entropy", "distances"):
        yield "loss.name", f"found {name}, expected pairwise_cross_entropy {words}"
    if rule != "uniform" and name == "pairwise_cross_entropy":
        yield "negatives.rule", f"found {rule}, expected uniform {words}"
    if params.regulariser.name != "none":
        yield "regulariser.name", f"found {params.regulariser.name}, expected none {words}"
    if params.labels != "given":
        yield "labels", f"found {params.labels}, expected given {words}"


def _views_are_equal(dataset: str, crop: Crop, augment: Augment) -> bool:
    """Say whether two views of an image are always the same; a flip of all changes both alike."""
    if dataset in VECTORS:
        return not augment.noise
    changes = augment.rotate, augment.zoom, augment.shear, augment.shift, augment.noise
    return crop.area == 1 and crop.flip in (0, 1) and not any(changes)


def _study_mistakes(params: Params) -> Mistakes:
    """Find unknown geometries, data sets without settings, and values pinned in compare."""
    named = {
        f"{key}.run.geometries": study.geometries
        for key, study in list_studies(params).items()
        if not isinstance(study, Tuning)
    }
    named["tune.geometries"] = params.tune.geometries
    for key, names in named.items():
        if unknown := [name for name in names if name not in params.geometry]:
            expected = f"names under geometry: {', '.join(params.geometry)}"
            yield key, f"found {', '.join(unknown)}, expected {expected}"
    for section, own in list_own(params).items():
        unset = [name for name in getattr(params, section).of.sets if name not in own]
        if unset:
            expected = f"names under {section}.own: {', '.join(own)}"
            yield f"{section}.of.sets", f"found {', '.join(unset)}, expected {expected}"
    compared = params.study.get("compare")
    if compared and compared.fixed:
        expected = "nothing, as these cells have the settings at the top"
        yield "study.compare.pinned", f"found {', '.join(compared.fixed)}, expected {expected}"
    if params.report.answer not in params.study:
        expected = f"a name under study: {', '.join(params.study)}"
        yield "report.answer", f"found {params.report.answer}, expected {expected}"


def _knob_mistakes(params: Params) -> Mistakes:
    """Find studies whose cells would have no temperature, curvature or weight."""
    for key, study in list_studies(params).items():
        if isinstance(study, Tuning) or key == "study.compare":  # searched; at the top
            continue
        given = {*study.axes, *study.fixed}
        for name in study.geometries:
            spaces = params.geometry.get(name, {})
            needed = [knob for knob in ("tau", "curvature", "lam") if has_key(knob, name, spaces)]
            if missing := [knob for knob in needed if knob not in given]:
                expected = f"{', '.join(missing)} there or in over, for {name}"
                yield (
                    f"{key}.pinned",
                    f"found {', '.join(study.fixed) or 'nothing'}, expected {expected}",
                )
                break


def list_short_heads(params: Params) -> dict[str, str]:
    """Return the spaces that need more outputs than the head has in a study of their geometry.

    This is of the file as a whole: with the settings of one cell laid over it, the heads of others
    are not as they are trained.
    """
    mistakes: dict[str, str] = {}
    for key, study in list_studies(params).items():
        least = min(_list_heads(params, key, study))
        used = {name: params.geometry[name] for name in study.geometries if name in params.geometry}
        for name, spaces in used.items():
            for space, entry in spaces.items():
                if entry.outputs and entry.outputs.stop > least:
                    expected = f"at most head.outputs, which is {least} in {key}"
                    found = f"found {entry.outputs.stop}, expected {expected}"
                    mistakes[f"geometry.{name}.{space}.outputs.stop"] = found
    return mistakes


def _list_heads(params: Params, key: str, study: Study) -> list[int]:
    """Return how many outputs heads have in a study, on all of its data sets."""
    if "head.outputs" in study.axes:
        return study.axes["head.outputs"]
    if "head.outputs" in study.fixed:
        return [study.fixed["head.outputs"]]
    sets = list_own(params).get(key.split(".")[0], {})
    own = [study.own] if isinstance(study, Tuning) else [*sets.values()] or [{}]
    return [flatten(one).get("head.outputs", params.head.outputs) for one in own]


def _tuning_mistakes(params: Params) -> Mistakes:
    """Find data sets without a budget, a split that is there already, or a senseless search."""
    tuned = params.tune
    if unset := [name for name in tuned.of.sets if name not in tuned.budget]:
        expected = "one for each of tune.of.sets"
        yield "tune.budget", f"found none for {', '.join(unset)}, expected {expected}"
    for name, budget in tuned.budget.items():
        if TRIAL_SEED in tuned.winners(name).run.seed_list:
            expected = "seeds other than that of the trials"
            yield f"tune.budget.{name}.seeds", f"found {TRIAL_SEED}, expected {expected}"
        if params.split.seed in budget.splits:
            expected = "seeds other than split.seed"
            yield f"tune.budget.{name}.splits", f"found {params.split.seed}, expected {expected}"
    searched = tuned.searched
    if "tau" not in searched:
        yield "tune.search", "found no tau, expected it among what is searched"
    if len(searched) > COLUMNS:
        yield "tune.search", f"found {len(searched)} keys, expected at most {COLUMNS}"
    for key, value in flatten(tuned.starts).items():
        searched_key = key.partition(".")[2]
        if searched_key not in searched:
            yield (
                f"tune.starts.{key}",
                "found a key that is not searched, expected it in tune.search",
            )
        elif not is_within(searched[searched_key], value):
            yield f"tune.starts.{key}", f"found {value}, expected one that tune.search holds"
    named = {key.split(".")[1] for key in searched if key.startswith("geometry.")}
    if unknown := sorted(named - set(params.geometry)):
        expected = f"names under geometry: {', '.join(params.geometry)}"
        yield "tune.search.geometry", f"found {', '.join(unknown)}, expected {expected}"


def _system_mistakes(params: Params) -> Mistakes:
    """Find systems that are named twice, not run or not tuned where they have to be."""
    systems, tuned = params.systems, params.systems.tuned
    if len(set(systems.listed)) < len(systems.listed):
        expected = "each name once, there or under tuned.names"
        yield "systems.names", f"found {', '.join(systems.listed)}, expected {expected}"
    references = [systems.references.given, systems.references.hidden]
    fused = [name for pair in systems.ensemble.values() for name in pair]
    wanted = {
        "references": (references, "tuned.names", tuned.names),
        "ensemble": (fused, "tuned.names", tuned.names),
        "override": (list(systems.override), "names or tuned.names", systems.listed),
    }
    for key, (named, place, known) in wanted.items():
        if unknown := [name for name in named if name not in known]:
            expected = f"names under systems.{place}: {', '.join(known)}"
            yield f"systems.{key}", f"found {', '.join(unknown)}, expected {expected}"
    yield from _tuned_system_mistakes(params)


def _tuned_system_mistakes(params: Params) -> Mistakes:
    """Find seeds of winners that are not fresh or too few, and a senseless search."""
    systems, tuned = params.systems, params.systems.tuned
    seeds = tuned.run.seed_list
    if TRIAL_SEED in seeds:
        expected = "seeds other than that of the trials"
        yield "systems.tuned.run.seeds", f"found {TRIAL_SEED}, expected {expected}"
    pairs = systems.ensemble.values()
    if len(seeds) < 2 and any(first == second for first, second in pairs):
        expected = "2 or more, as ensemble fuses a system with itself"
        yield "systems.tuned.run.seeds", f"found {len(seeds)} seed, expected {expected}"
    if "tau" not in tuned.searched:
        yield "systems.tuned.search", "found no tau, expected it among what is searched"


def list_backbones(params: Params) -> Mistakes:
    """Yield the keys that name a backbone, each with the name."""
    yield "backbone.name", params.backbone.name
    yield "features.backbone.name", params.features.backbone.name
    settings = {
        f"{section}.own.{name}": flatten(own)
        for section, sets in list_own(params).items()
        for name, own in sets.items()
    }
    for name, study in list_studies(params).items():
        settings[f"{name}.pinned"] = study.fixed
        settings[f"{name}.over"] = study.axes
    systems = params.systems
    settings["systems.common"] = flatten(systems.common)
    settings["systems.hidden"] = flatten(systems.hidden)
    settings["systems.tuned.settings"] = flatten(systems.tuned.settings)
    for key, values in settings.items():
        names = values.get("backbone.name", [])
        for name in [names] if isinstance(names, str) else names:
            yield f"{key}.backbone.name", name
