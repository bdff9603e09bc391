"""Sections of params.yaml that do not go together: each pair is refused in one line."""

from typing import Any

import pytest

from geomix.config.checks import list_backbones
from geomix.config.read import validate
from geomix.errors import InputError
from tests.conftest import set_key

STILL = {"rotate": 0, "zoom": 0, "shear": 0, "shift": 0, "noise": 0}
TAU = {"low": 1, "high": 2}
SEEN = "expected a change above 0, crop.area below 1 or crop.flip between 0 and 1"


def refusals(raw: dict[str, Any]) -> list[str]:
    """Give the lines that the file is refused with, none if it is not."""
    try:
        validate(raw)
    except InputError as error:
        return str(error).splitlines()
    return []


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        (
            "backbone.name",
            "mlp",
            "backbone.name: found mlp, expected the name of a .*, as dataset is glyphs",
        ),
        (
            "dataset",
            "folder",
            "folder.path: found nothing, expected a folder of images, as dataset is folder",
        ),
        (
            "systems.names",
            ["ash", "euclidean"],
            "systems.names: found .*, expected each name once, there or under tuned.names",
        ),
        (
            "systems.references.hidden",
            "ash",
            "systems.references: found ash, expected names under systems.tuned.names: hier",
        ),
        (
            "systems.ensemble",
            {"geometry": ["euclidean", "ash"]},
            "systems.ensemble: found ash, expected names under systems.tuned.names: hier",
        ),
        (
            "systems.tuned.run.seeds",
            ["0-2"],
            "systems.tuned.run.seeds: found 0, expected seeds other than that of the trials",
        ),
        (
            "systems.tuned.run.seeds",
            ["10"],
            "systems.tuned.run.seeds: found 1 seed, expected 2 or more, as ensemble fuses",
        ),
        (
            "systems.tuned.search",
            {"optim": {"learning_rate": {"low": 0.001, "high": 0.01}}},
            "systems.tuned.search: found no tau, expected it among what is searched",
        ),
        ("systems.override", {"round": {}}, "systems.override: found round, expected names under"),
        (
            "study.curvature.run.geometries",
            ["flat", "round"],
            "study.curvature.run.geometries: found round, expected names under geometry: euclid",
        ),
        (
            "control.parts.flat.run.geometries",
            ["round"],
            "control.flat.run.geometries: found round, expected names under geometry: euclidean",
        ),
        (
            "kernel.of.sets",
            ["grocerystore", "cub200"],
            "kernel.of.sets: found cub200, expected names under kernel.own: grocerystore",
        ),
        (
            "tune.geometries",
            ["flat", "round"],
            "tune.geometries: found round, expected names under geometry: euclidean",
        ),
        ("tune.search", {"lam": {"low": 1, "high": 2}}, "tune.search: found no tau, expected it"),
        (
            "tune.starts",
            {"a": {"tau": 5}},
            "tune.starts.a.tau: found 5, expected one that tune.search ho",
        ),
        ("tune.starts", {"a": {"rate": 5}}, "tune.starts.a.rate: found an unknown key"),
        (
            "tune.starts.normed.optim.weight_decay",
            0,
            "tune.starts.normed.optim.weight_decay: found a key that is not searched, expected it",
        ),
        (
            "study.compare.pinned",
            {"tau": 0.1},
            "study.compare.pinned: found tau, expected nothing, as these cells have the settings",
        ),
        (
            "study.tau.pinned",
            {"lam": 1},
            "study.tau.pinned: found lam, expected curvature there or in over, for hyperbolic_free",
        ),
        (
            "study.curvature",
            {"run": {"geometries": ["euclidean"], "seeds": [0]}},
            "study.curvature.pinned: found nothing, expected tau there or in over, for euclidean",
        ),
        (
            "study.tau.pinned",
            {"tau": 0.1},
            "study.tau.pinned: found {'tau': 0.1}, expected tau here or in over, not in both",
        ),
        (
            "further.negatives_count.over",
            {"negatives": [{"rule": "uniform"}]},
            "further.negatives_count.pinned: .*, expected negatives.rule here or in over, not in",
        ),
        ("tune.own.omniglot.split", {"seed": 3}, "tune.own.omniglot.split: found a key that no ce"),
        ("tune.own.omniglot.images", {"side": 16}, "tune.own.omniglot.images: found a key that no"),
        ("kernel.own", {"grocerystore": {"classes": {}}}, "kernel.own.grocerystore.classes: found"),
        ("tune.own.omniglot.dataset", "cub200", "tune.own.omniglot.dataset: found a key that no c"),
        ("study.aa.over", {"split": {"seed": [0, 1]}}, "study.aa.over.split: found a key that no"),
        ("control.parts.flat.pinned", {"tau": 1, "report": {}}, "control.flat.pinned.report: foun"),
        ("kernel.pinned.verdict", {"margin": 2}, "kernel.pinned.verdict: found a key that no cell"),
        ("tune.starts.normed.split", {"seed": 1}, "tune.starts.normed.split.seed: found a key th"),
        (
            "tune.search",
            {"tau": TAU, "geometry": {"round": {"distance": {"scale": {"among": [1, 2]}}}}},
            "tune.search.geometry: found round, expected names under geometry: euclidean",
        ),
        (
            "tune.budget.grocerystore.splits",
            [2, 0],
            "tune.budget.grocerystore.splits: found 0, expected seeds other than split.seed",
        ),
        ("report.answer", "round", "report.answer: found round, expected a name under study: comp"),
    ],
)
def test_what_does_not_go_together_is_one_line(
    raw: dict[str, Any], key: str, value: Any, message: str
) -> None:
    if key == "tune.search":
        raw["tune"]["starts"] = {}  # of another search
    set_key(raw, key, value)
    with pytest.raises(InputError, match=message) as caught:
        validate(raw)
    assert len(str(caught.value).splitlines()) == 1


def test_spaces_need_no_more_outputs_than_the_heads_of_their_studies_have(
    raw: dict[str, Any],
) -> None:
    stop = "params.yaml: geometry.mixed.second.outputs.stop: found 64, expected at most"
    set_key(raw, "head.outputs", 32)
    assert not refusals(raw)  # mixed has a head of its own
    set_key(raw, "further.mixed.pinned.head.outputs", 48)
    assert refusals(raw) == [f"{stop} head.outputs, which is 48 in further.mixed"]
    del raw["further"]["mixed"]["pinned"]["head"]
    assert len(refusals(raw)) == 1
    set_key(raw, "head.outputs", 64)
    assert not refusals(raw)
    set_key(raw, "further.mixed.over.head", {"outputs": [64, 16]})
    assert "which is 16 in further.mixed" in refusals(raw)[0]
    raw["tune"]["geometries"].append("mixed")
    del raw["further"]["mixed"]
    assert "which is 16 in tune." in refusals(raw)[0]


@pytest.mark.parametrize("stop", [10, 40])
def test_outputs_of_a_space_rise(raw: dict[str, Any], stop: int) -> None:
    set_key(raw, "geometry.mixed.first.outputs", {"start": 40, "stop": stop})
    (line,) = refusals(raw)
    assert line.endswith(f"expected start below stop, not 40 and {stop}")


def test_small_classes_are_not_found_outside_their_branches(raw: dict[str, Any]) -> None:
    set_key(raw, "split.unit", "branch")
    set_key(raw, "classes.below", "drop")
    assert not refusals(raw)
    set_key(raw, "classes.below", "gallery")
    [line] = refusals(raw)
    assert "classes.below: found gallery, expected refuse or drop, as split.unit is branch" in line


def test_each_data_set_that_is_tuned_needs_a_budget(raw: dict[str, Any]) -> None:
    del raw["tune"]["budget"]["omniglot"]
    [line] = refusals(raw)
    found = "found none for omniglot, expected one for each of tune.of.sets"
    assert line == f"params.yaml: tune.budget: {found}"


def test_a_budget_may_wait_for_its_data_set(raw: dict[str, Any]) -> None:
    raw["tune"]["of"]["sets"].remove("omniglot")
    assert not refusals(raw)
    del raw["tune"]["own"]["omniglot"]
    assert not refusals(raw)


def test_a_conv_stem_beside_weights_from_elsewhere_is_refused(raw: dict[str, Any]) -> None:
    raw["backbone"] |= {"stem": "conv", "pretrained": True}
    with pytest.raises(
        InputError,
        match="backbone.stem: found conv beside pretrained or a checkpoint, expected patch",
    ):
        validate(raw)


def test_a_rule_for_negatives_with_another_loss_is_refused(raw: dict[str, Any]) -> None:
    set_key(raw, "negatives", {"rule": "debiased", "tau_plus": 0.1})
    validate(raw)
    set_key(raw, "loss", {"name": "supervised_contrastive"})
    with pytest.raises(
        InputError,
        match="negatives.rule: found debiased with loss supervised_contrastive, expected uniform",
    ):
        validate(raw)


def test_embeddings_need_a_path_and_an_mlp(raw: dict[str, Any]) -> None:
    set_key(raw, "dataset", "embeddings")
    with pytest.raises(InputError) as caught:
        validate(raw)
    assert str(caught.value).splitlines() == [
        "params.yaml: embeddings.path: found nothing, expected a .npy or .parquet of vectors, "
        "as dataset is embeddings",
        "params.yaml: backbone.name: found vit_tiny_patch16_224, expected mlp or linear, "
        "as dataset is embeddings",
    ]
    set_key(raw, "embeddings.path", "own.parquet")
    raw["backbone"] |= {"name": "mlp", "width": 30, "heads": 4}
    assert validate(raw).embeddings.table is None


@pytest.mark.parametrize("flip", [0, 1])
def test_hidden_labels_without_a_change_of_images_are_refused(
    raw: dict[str, Any], flip: int
) -> None:
    raw |= {"augment": STILL, "crop": {"area": 1, "flip": flip, "centre": 1}}
    assert not refusals(raw)
    (line,) = refusals(raw | {"labels": "hidden"})
    assert line == (
        "params.yaml: augment: found no change, so both views of an image are equal, "
        f"{SEEN}, as labels are hidden"
    )


@pytest.mark.parametrize(
    ("key", "value"),
    [("crop.area", 0.9), ("crop.flip", 0.5), *((f"augment.{change}", 0.1) for change in STILL)],
)
def test_any_random_change_of_images_tells_views_apart(
    raw: dict[str, Any], key: str, value: float
) -> None:
    raw |= {"labels": "hidden", "augment": dict(STILL), "crop": {"area": 1, "flip": 0, "centre": 1}}
    assert len(refusals(raw)) == 1
    set_key(raw, key, value)
    assert not refusals(raw)


def test_noise_alone_tells_views_of_vectors_apart(raw: dict[str, Any]) -> None:
    raw |= {
        "dataset": "embeddings",
        "embeddings": {"path": "own.parquet", "table": None},
        "labels": "hidden",
    }
    raw["backbone"]["name"] = "mlp"
    raw["crop"] |= {"area": 0.5, "flip": 0.5}
    assert not refusals(raw)
    raw["augment"]["noise"] = 0
    (line,) = refusals(raw)
    why = "so both views of a vector are equal, expected above 0, as labels are hidden"
    assert line == f"params.yaml: augment: found noise 0, {why}"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"loss": {"name": "supervised_contrastive"}}, "loss.name: found supervised_contrastive"),
        ({"negatives": {"rule": "limited", "count": 4}}, "negatives.rule: found limited, expected"),
        ({"labels": "hidden"}, "labels: found hidden, expected given with relevance lineage"),
    ],
)
def test_lineages_go_with_no_other_loss_rule_or_hidden_labels(
    raw: dict[str, Any], changes: dict[str, Any], message: str
) -> None:
    assert refusals(raw | {"relevance": "lineage"}) == []
    [line] = refusals(raw | {"relevance": "lineage", **changes})
    assert message in line


def test_known_distances_go_with_either_relevance(raw: dict[str, Any]) -> None:
    for relevance in ("class", "lineage"):
        assert refusals(raw | {"relevance": relevance, "loss": {"name": "distances"}}) == []
    [line] = refusals(raw | {"loss": {"name": "distances"}, "labels": "hidden"})
    assert "labels: found hidden, expected given with loss distances" in line


@pytest.mark.parametrize("dataset", ["tree", "wordnet", "grid"])
def test_samples_that_are_no_classes_need_another_task(raw: dict[str, Any], dataset: str) -> None:
    raw["backbone"]["name"] = "mlp"
    raw["dataset"] = dataset
    (line,) = refusals(raw)
    if dataset == "grid":
        expected = "distances, as points of grid are neither classes nor lineages"
        assert line.endswith(f": loss.name: found pairwise_cross_entropy, expected {expected}")
        assert refusals(raw | {"relevance": "lineage"}) == [line]
    else:
        expected = f"lineage, as each sample of {dataset} is a class"
        assert line == f"params.yaml: relevance: found class, expected {expected}"
        assert not refusals(raw | {"relevance": "lineage"})
    assert not refusals(raw | {"loss": {"name": "distances"}})


@pytest.mark.parametrize("dataset", ["tree", "grid", "wordnet"])
def test_vectors_that_ship_with_the_package_need_an_mlp(raw: dict[str, Any], dataset: str) -> None:
    raw["loss"] = {"name": "distances"}
    (line,) = refusals(raw | {"dataset": dataset})
    assert line.endswith(
        f"found vit_tiny_patch16_224, expected mlp or linear, as dataset is {dataset}"
    )
    for name in ("linear", "mlp"):
        raw["backbone"]["name"] = name
        assert not refusals(raw | {"dataset": dataset})
    (line,) = refusals(raw | {"dataset": "tree_images"})
    assert "found mlp, expected the name of a Vision Transformer" in line


def test_every_key_that_names_a_backbone_is_listed(raw: dict[str, Any]) -> None:
    first = next(list_backbones(validate(raw)))
    assert first == ("backbone.name", "vit_tiny_patch16_224")
    set_key(raw, "tune.own.omniglot.backbone.name", "one")
    set_key(raw, "study.tau.pinned.backbone", {"name": "two"})
    set_key(raw, "study.aa.over", {"backbone": {"name": ["three", "four"]}})
    set_key(raw, "systems.common.backbone", {"name": "five"})
    set_key(raw, "systems.tuned.settings.backbone", {"name": "six"})
    found = list(list_backbones(validate(raw)))
    assert {
        ("tune.own.omniglot.backbone.name", "one"),
        ("study.tau.pinned.backbone.name", "two"),
        ("study.aa.over.backbone.name", "three"),
        ("study.aa.over.backbone.name", "four"),
        ("systems.common.backbone.name", "five"),
        ("systems.tuned.settings.backbone.name", "six"),
    } <= set(found)


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("dataset", "features", "features.dataset: found features, expected images or vectors"),
        ("dataset", "grid", "features.dataset: found grid, expected images or vectors with"),
        ("dataset", "folder", "expected a folder of images, as features.dataset is folder"),
        ("dataset", "embeddings", "expected a .npy or .parquet of vectors, as features.dataset is"),
        ("batch", 0, "features.batch: found 0, expected greater than or equal to 1"),
        ("centre", 2, "features.centre: found 2, expected less than or equal to 1"),
        ("device", "gpu", "features.device: found 'gpu', expected 'auto', 'cpu' or 'cuda'"),
        ("backbone.name", "mlp", "features.backbone.name: found mlp, expected the name of a V"),
        ("backbone.checkpoint", 3, "features.backbone.checkpoint: found 3, expected a valid"),
        ("backbone.blocks", 3, "features.backbone.blocks: found an unknown key, expected no key"),
    ],
)  # fmt: skip
def test_what_cannot_be_embedded_is_refused_in_one_line(
    raw: dict[str, Any], key: str, value: Any, message: str
) -> None:
    set_key(raw, f"features.{key}", value)
    [line] = refusals(raw)
    assert message in line


def test_weights_from_elsewhere_leave_no_room_for_another_stem(raw: dict[str, Any]) -> None:
    raw["features"]["backbone"] |= {"checkpoint": "a.pth", "stem": "conv"}
    [line] = refusals(raw)
    assert "features.backbone.stem: found conv beside pretrained or a checkpoint" in line


def test_vectors_need_no_backbone_and_images_keep_theirs(raw: dict[str, Any]) -> None:
    raw["features"] |= {"dataset": "wordnet"}
    raw["features"]["backbone"]["name"] = "mlp"
    assert not refusals(raw)
    names = list_backbones(validate(raw))
    assert dict(names)["features.backbone.name"] == "mlp"
