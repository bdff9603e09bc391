"""Sections of params.yaml that do not go together: each pair is refused in one line."""

from typing import Any

import pytest

from geomix.config.checks import find_equal_views
from geomix.config.read import validate
from geomix.errors import InputError
from tests.conftest import set_key

STILL = {"rotate": 0, "zoom": 0, "shear": 0, "shift": 0, "noise": 0}
SEEN = "expected a change above 0, crop.area below 1 or crop.flip between 0 and 1"


def refusals(raw: dict[str, Any]) -> list[str]:
    """Give the lines that the file is refused with, none if it is not."""
    try:
        validate(raw)
    except InputError as error:
        return str(error).splitlines()
    return []


def show_all(raw: dict[str, Any]) -> None:
    """Give labels to all systems, and leave out those that are known by their views."""
    raw["system"] = {
        name: one for name, one in raw["system"].items() if "labels" not in one["settings"]
    }


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
            "sweep.tau.values",
            [0.1, 0.2, 0.1],
            "sweep.tau.values: found .*, expected each value once",
        ),
        ("systems.seeds", [1, 1], "systems.seeds: found .*, expected each value once"),
        (
            "system.flat.settings.geometry",
            "round",
            "system.flat.settings.geometry: found round, expected a name under geometry: euclidean",
        ),
        (
            "system.hypvit.settings.curvature",
            None,
            "system.hypvit.settings.curvature: found nothing, expected a number, as the geometry has a ball",
        ),
        (
            "system.hypmix.settings.lam",
            None,
            "system.hypmix.settings.lam: found nothing, expected a number, as the geometry has a weight lam",
        ),
        (
            "system.proxy_anchor.settings.negatives",
            {"rule": "debiased", "tau_plus": 0.1},
            "system.proxy_anchor.settings.negatives: found debiased with loss proxy_anchor, expected uniform with this loss",
        ),
        (
            "ensemble.systems",
            ["flat", "round"],
            "ensemble.systems: found round, expected names under system: euclidean",
        ),
        (
            "sweep.runs.curvature.geometries",
            ["flat", "round"],
            "curvature.geometries: found round, expected names under geometry",
        ),
        (
            "sweep.runs.tau.geometries",
            ["flat", "hybrid"],
            "tau.geometries: found no euclidean, hyperbolic, expected euclidean, flat",
        ),
    ],
)
def test_what_does_not_go_together_is_one_line(
    raw: dict[str, Any], key: str, value: Any, message: str
) -> None:
    set_key(raw, key, value)
    with pytest.raises(InputError, match=message) as caught:
        validate(raw)
    assert len(str(caught.value).splitlines()) == 1


def test_a_conv_stem_beside_weights_from_elsewhere_is_refused(raw: dict[str, Any]) -> None:
    raw["backbone"] |= {"stem": "conv", "pretrained": True}
    with pytest.raises(
        InputError,
        match="backbone.stem: found conv beside pretrained or a checkpoint, expected patch",
    ):
        validate(raw)


@pytest.mark.parametrize(("labels", "reference"), [("given", "euclidean"), ("hidden", "infonce")])
def test_systems_without_their_reference_are_refused(
    raw: dict[str, Any], labels: str, reference: str
) -> None:
    raw["ensemble"]["systems"] = ["flat", "hypvit"]
    del raw["system"][reference]
    with pytest.raises(
        InputError,
        match=f"expected {reference} among them, as rows with labels {labels} are compared with it",
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
        "params.yaml: embeddings.path: found nothing, expected a .npy or .parquet of vectors, as dataset is embeddings",
        "params.yaml: backbone.name: found vit_tiny_patch16_224, expected mlp, as dataset is embeddings",
    ]
    set_key(raw, "embeddings.path", "own.parquet")
    raw["backbone"] |= {"name": "mlp", "width": 30, "heads": 4}
    assert validate(raw).embeddings.table is None


def test_a_data_set_of_the_benchmarks_has_a_backbone_that_can_see_it(raw: dict[str, Any]) -> None:
    raw["benchmark"]["omniglot"]["backbone"]["name"] = "mlp"
    raw["benchmark"]["grocerystore"]["backbone"]["pretrained"] = True
    assert refusals(raw) == [
        "params.yaml: benchmark.omniglot.backbone.name: found mlp, expected the name of a Vision Transformer of timm, "
        "as dataset is omniglot",
        "params.yaml: benchmark.grocerystore.backbone.stem: found conv beside pretrained or a checkpoint, expected patch",
    ]


@pytest.mark.parametrize("flip", [0, 1])
def test_hidden_labels_without_a_change_of_images_are_refused(
    raw: dict[str, Any], flip: int
) -> None:
    show_all(raw)
    raw |= {"augment": STILL, "crop": {"area": 1, "flip": flip, "centre": 1}}
    assert not refusals(raw)
    (line,) = refusals(
        raw
        | {"labels": "hidden", "system": raw["system"] | {"infonce": raw["system"]["euclidean"]}}
    )
    assert line == (
        f"params.yaml: augment: found no change, so both views of an image are equal, {SEEN}, as labels are hidden"
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
    assert (
        "augment: found noise 0, so both views of a vector are equal, expected above 0, as labels are hidden"
        in line
    )


def test_equal_views_that_a_system_has_from_the_top_are_refused_once_it_is_used(
    raw: dict[str, Any],
) -> None:
    raw["augment"] = STILL
    assert not refusals(raw)
    sections = raw | {"labels": "hidden"}
    found = find_equal_views(sections, "system.infonce.settings", {"labels": "hidden"})
    why = f"{SEEN}, as labels are hidden in system.infonce.settings"
    assert found == f"augment: found no change, so both views of an image are equal, {why}"
    own = {"augment": STILL}
    assert find_equal_views(sections, "system.hcl.settings", own).startswith(
        "system.hcl.settings.augment: found no change"
    )
    assert not find_equal_views(raw, "system.hcl.settings", {})
    assert not find_equal_views(
        sections | {"augment": STILL | {"noise": 0.1}}, "system.infonce.settings", {}
    )


def test_an_augment_of_its_own_stands_in_for_that_at_the_top(raw: dict[str, Any]) -> None:
    show_all(raw)
    raw["system"]["infonce"] = {
        "about": "Views.",
        "settings": {"geometry": "euclidean", "tau": 0.1, "labels": "hidden"},
    }
    raw["system"]["infonce"]["settings"]["augment"] = raw["augment"]
    raw["augment"] = STILL
    assert not refusals(raw)
    raw["augment"] = raw["system"]["infonce"]["settings"]["augment"]
    raw["system"]["infonce"]["settings"]["augment"] = STILL
    (line,) = refusals(raw)
    assert line.startswith("params.yaml: system.infonce.settings.augment: found no change")


def test_a_benchmark_hides_labels_with_the_changes_of_its_own_sections_once_it_is_used(
    raw: dict[str, Any],
) -> None:
    raw["labels"] = "hidden"
    raw["benchmark"]["omniglot"]["augment"] = STILL
    assert not refusals(raw)
    own = raw["benchmark"]["omniglot"]
    found = find_equal_views(raw | own, "benchmark.omniglot", own)
    assert found.startswith("benchmark.omniglot.augment: found no change")
    assert not find_equal_views(raw | own | {"labels": "given"}, "benchmark.omniglot", own)


def test_vectors_of_the_file_do_not_make_vectors_of_a_benchmark(raw: dict[str, Any]) -> None:
    sections = raw | {"dataset": "embeddings", "labels": "hidden", "augment": STILL | {"rotate": 3}}
    assert not find_equal_views(sections, "benchmark.omniglot", {})
    assert "both views of a vector are equal" in find_equal_views(
        sections, "system.infonce.settings", {}
    )
