"""The analysis of negatives as a whole: its files, and that bytes repeat."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from geomix.analyze.negatives import SEED, analyze_negatives
from geomix.analyze.trained import Trained
from geomix.analyze.weights import draw_batches, gather_terms
from geomix.config.sections import Batch
from geomix.data.packed import Packed
from geomix.errors import InputError
from geomix.files import read_json, write_json
from tests.analyze.conftest import write_trained

BATCH = Batch(classes=32, images=4)


@pytest.fixture(scope="module")
def folder(trained: Trained, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("analysis")
    analyze_negatives(trained, BATCH, out)
    return out / "negatives"


def test_the_same_cells_give_the_same_bytes(trained: Trained, folder: Path, tmp_path: Path) -> None:
    analyze_negatives(trained, BATCH, tmp_path)
    names = sorted(path.name for path in folder.iterdir())
    assert names == sorted(path.name for path in (tmp_path / "negatives").iterdir())
    for name in names:
        assert (folder / name).read_bytes() == (tmp_path / "negatives" / name).read_bytes(), name


def test_each_row_of_a_table_has_its_arrays(folder: Path) -> None:
    for name in ("weights", "overlap"):
        table = pd.read_csv(folder / f"{name}.csv")
        with np.load(folder / f"{name}.npz") as arrays:
            assert {len(arrays[key]) for key in arrays} == {len(table)}
            for key in set(table) & set(arrays):
                np.testing.assert_allclose(
                    np.nanmean(arrays[key], axis=1), table[key], rtol=1e-5, err_msg=key
                )


def test_every_network_is_weighed_and_the_chosen_are_matched(folder: Path) -> None:
    table = pd.read_csv(folder / "weights.csv")
    counts = table["condition"].value_counts().to_dict()
    assert counts == {"trained": 18, "matched": 9, "viewed": 18, "viewed matched": 18}
    target = read_json(folder / "facts.json")["effective"]
    matched = table[table["condition"].str.contains("matched")]
    np.testing.assert_allclose(matched["effective_negatives"], target, rtol=1e-5)
    assert (table["hardest"] <= table["total"] + 1e-9).all()


def test_networks_are_compared_within_a_study(folder: Path) -> None:
    table = pd.read_csv(folder / "overlap.csv")
    assert (table["kind"] == "network").sum() == 2 * 9 * 8 // 2
    views = table[table["kind"] == "view"]
    assert views.groupby("study").size().to_dict() == {"tau": 18, "compare": 6}
    assert table["jaccard"].between(0, 1).all()


def test_negatives_of_train_are_weighed_where_its_embeddings_are_stored(
    tmp_path: Path, kept_packed: Path, folder: Path
) -> None:
    assert not (folder / "train.csv").exists()
    trained = write_trained(tmp_path / "runs", kept_packed)
    rows = trained.packed.rows("train")
    stored = [one for one in trained.chosen_settings() if one.geometry != "flat"]
    random = np.random.default_rng(0)
    for setting in stored:
        for place in setting.places.values():
            path = trained.runs["tau"] / place / "embeddings.npz"
            with np.load(path) as arrays:
                heads = dict(arrays) | {"train_head": random.normal(size=(len(rows), 8))}
            np.savez(path, **heads)
    (tmp_path / "out").mkdir()
    analyze_negatives(trained, BATCH, tmp_path / "out")
    table = pd.read_csv(tmp_path / "out" / "negatives" / "train.csv")
    assert [*table["trained"]] == 3 * ["euclidean"] + 3 * ["hyperbolic"]
    assert [*table["seed"]] == 2 * [0, 1, 2]
    labels = trained.packed.samples["label"].to_numpy()[rows]
    geometry, vectors = trained.read_head(stored[1], 1, "train")
    terms = gather_terms(geometry, vectors, draw_batches(labels, BATCH.classes, BATCH.images, SEED))
    expected = float(terms.count_effective(geometry.tau).mean())
    row = table[(table["trained"] == "hyperbolic") & (table["seed"] == 1)].iloc[0]
    assert row["effective_negatives"] == pytest.approx(expected)
    assert row["tau"] == geometry.tau


def test_lineages_have_no_negatives_by_class(
    tmp_path: Path, kept_packed: Path, packed: Packed
) -> None:
    trained = write_trained(tmp_path / "runs", kept_packed, "0")
    for path in tmp_path.glob("runs/**/geometry.json"):
        write_json(path, read_json(path) | {"task": "distances"})
    analyze_negatives(trained, BATCH, tmp_path)
    told = json.loads((tmp_path / "negatives/facts.json").read_text())
    assert told == {"task": "distances", "tuned": "tau", "beside": "compare"}


def test_a_split_without_positives_is_refused(trained: Trained, tmp_path: Path) -> None:
    samples = trained.packed.samples
    lone = samples.assign(label=[f"{row}" for row in range(len(samples))])
    packed = dataclasses.replace(trained.packed, samples=lone)
    with pytest.raises(InputError, match="found no two classes with two samples each, expected"):
        analyze_negatives(dataclasses.replace(trained, packed=packed), BATCH, tmp_path)


def test_a_geometry_that_validation_did_not_choose_is_named(trained: Trained) -> None:
    lacking = dataclasses.replace(trained, chosen={"flat": {"tau": 0.1}})
    with pytest.raises(InputError, match="found flat, expected euclidean: run evaluate again"):
        lacking.chosen_settings()
