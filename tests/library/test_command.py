"""The command `geomix`: what it prints and writes, and one line for what it refuses."""

import os
import re
import sys
from pathlib import Path
from typing import Any

import faiss
import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from geomix.data.packed import Packed
from geomix.geometry.geometry import Geometry
from geomix.geometry.spaces import Ball, Sphere
from geomix.library import command
from geomix.library.command import main
from geomix.library.exports import write_export, write_index
from geomix.library.model import load_run
from geomix.retrieval.search import nearest
from tests.conftest import write_packed
from tests.library.conftest import BALL, Train, bare_model

COSINE = {"cosine": {"space": "sphere", "weight": 1}}


@pytest.fixture
def images(packed: Packed, tmp_path: Path) -> list[Path]:
    """Write two pictures of the data set, and return their paths."""
    assert isinstance(packed.images, np.ndarray)
    paths = [tmp_path / "first.png", tmp_path / "second.png"]
    for path, row in zip(paths, (3, 50), strict=True):
        Image.fromarray(packed.images[row][:, :, 0]).save(path)
    return paths


def test_a_search_prints_names_and_distances_and_draws_a_sheet(
    packed: Packed,
    packed_folder: Path,
    train: Train,
    images: list[Path],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    run, sheet = train(packed), tmp_path / "sheet.png"
    given = ["search", str(run), *map(str, images), "--k", "3", "--sheet", str(sheet)]
    main([*given, "--data", str(packed_folder), "--device", "cpu"])
    lines = capsys.readouterr().out.splitlines()
    assert [lines[0], lines[4]] == [str(path) for path in images]
    for line, row in ((lines[1], 3), (lines[5], 50)):
        rank, distance, *names = line.split()
        sample = packed.samples.iloc[row]
        assert (rank, " ".join(names)) == ("1", f"{sample.label} {sample.split} {sample.id}")
        assert float(distance) < 1e-3
    with Image.open(sheet) as drawn:
        assert drawn.width > drawn.height > 100


def test_without_the_data_no_sheet_is_drawn_and_with_other_data_it_is_refused(
    packed: Packed, train: Train, images: list[Path], tmp_path: Path,
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    given = ["search", str(train(packed)), str(images[0]), "--device", "cpu"]
    main(given)
    assert "no sheet was drawn: --data: found no packed data" in capsys.readouterr().out
    with pytest.raises(SystemExit, match="^error: --data: found no packed data elsewhere, exp"):
        main([*given, "--data", "elsewhere"])
    other = write_packed(tmp_path / "other")
    table = packed.samples.assign(id=[f"other {name}" for name in packed.samples["id"]])
    table.to_csv(other / "samples.csv", index=False)
    with pytest.raises(SystemExit, match="without 60 samples of the run, such as 0-0, expected"):
        main([*given, "--data", str(other)])


def test_an_index_finds_what_the_run_finds(
    packed: Packed, train: Train, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run, out = train(packed), tmp_path / "shop.faiss"
    main(["index", str(run), "--out", str(out), "--device", "cpu"])
    assert "60 vectors of 9 numbers, inner product" in capsys.readouterr().out
    model, index = load_run(run, "cpu"), faiss.read_index(str(out))
    vectors = torch.from_numpy(model.vectors)
    _, rows = index.search(model.lift_queries(vectors), 5)
    assert (rows == nearest(vectors, vectors, model.geometry, 5)).all()
    ids = pd.read_parquet(tmp_path / "shop.faiss.parquet")
    assert ids["row"].tolist() == list(range(60))
    assert ids["id"].tolist() == model.samples["id"].tolist()


@pytest.mark.parametrize(
    ("parts", "line"),
    [
        (BALL, "no metric on embeddings.npy as they are is equivalent; on items.npy: inner prod"),
        (COSINE, "equivalent on embeddings.npy: cosine; on items.npy: inner product with Model."),
        (BALL | COSINE, "no metric of an ordinary index orders as a sum of spaces does: let the"),
    ],
)
def test_an_export_has_all_vectors_with_ids_and_says_what_orders_them(
    packed: Packed, train: Train, tmp_path: Path, capsys: pytest.CaptureFixture[str],
    parts: dict[str, dict[str, object]], line: str,
) -> None:  # fmt: skip
    run, out = train(packed, parts), tmp_path / "vectors"
    main(["export", str(run), "--out", str(out), "--device", "cpu"])
    first, second = capsys.readouterr().out.splitlines()
    assert first == f"{out}: 60 embeddings of 8 numbers"
    assert second.startswith(line)
    model = load_run(run, "cpu")
    np.testing.assert_array_equal(np.load(out / "embeddings.npy"), model.vectors)
    table = pd.read_parquet(out / "vectors.parquet")
    assert table["id"].tolist() == model.samples["id"].tolist()
    np.testing.assert_array_equal(np.stack(table["embedding"].tolist()), model.vectors)
    assert (out / "items.npy").is_file() == (len(parts) == 1)
    if len(parts) == 1:
        items = np.load(out / "items.npy")
        np.testing.assert_array_equal(items, model.lift_items(model.vectors))
        np.testing.assert_array_equal(np.stack(table["item"].tolist()), items)


def test_an_export_replaces_nothing_but_an_earlier_export(
    packed: Packed, train: Train, tmp_path: Path
) -> None:
    run, out = str(train(packed)), tmp_path / "vectors"
    out.mkdir()
    for _ in range(2):  # into an empty folder, and over what was exported
        main(["export", run, "--out", str(out), "--device", "cpu"])
    (out / "notes.txt").write_text("mine")
    found = f"found the folder {out} with notes.txt in it"
    with pytest.raises(SystemExit, match=f"^error: --out: {found}, expected a new folder, an empt"):
        main(["export", run, "--out", str(out), "--device", "cpu"])
    assert (out / "notes.txt").read_text() == "mine"
    assert len(list(out.iterdir())) == 4
    with pytest.raises(SystemExit, match="^error: --out: found the file .*notes.txt, expected a"):
        main(["export", run, "--out", str(out / "notes.txt"), "--device", "cpu"])
    part = tmp_path / "part"
    part.mkdir()
    (part / "embeddings.npy").touch()
    with pytest.raises(SystemExit, match="^error: --out: .* with embeddings.npy in it, expected"):
        main(["export", run, "--out", str(part), "--device", "cpu"])


@pytest.mark.parametrize("out", [".", "..", "../inside/.."])
def test_a_folder_without_a_name_is_no_target(
    packed: Packed, train: Train, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, out: str
) -> None:
    run, inside = str(train(packed)), tmp_path / "outside/inside"
    inside.mkdir(parents=True)
    monkeypatch.chdir(inside)
    with pytest.raises(SystemExit, match=f"^error: --out: found {re.escape(out)}, expected the na"):
        main(["export", run, "--out", out, "--device", "cpu"])
    for given in (["index", run, "--out", out], ["search", run, "a.png", "--sheet", out]):
        found = f"error: {re.escape(out)}: found a folder, expected the name of a file"
        with pytest.raises(SystemExit, match=f"^{found}$"):
            main([*given, "--device", "cpu"])
    assert [path.name for path in tmp_path.joinpath("outside").rglob("*")] == ["inside"]


def test_a_level_keeps_its_name_beside_columns_that_are_added(tmp_path: Path) -> None:
    vectors = np.random.default_rng(0).normal(size=(4, 3)).astype(np.float32)
    model = bare_model(Geometry([Ball(0.5)]), vectors)
    columns = ("id", "row", "_row", "item", "embedding")
    model.samples = pd.DataFrame({name: [f"{name} {n}" for n in range(4)] for name in columns})
    write_export(model, tmp_path / "out")
    write_index(model, tmp_path / "index")
    table = pd.read_parquet(tmp_path / "out/vectors.parquet")
    for found in (table, pd.read_parquet(tmp_path / "index.parquet")):
        pd.testing.assert_frame_equal(found[list(model.samples)], model.samples)
        assert found["__row"].tolist() == [0, 1, 2, 3]
    np.testing.assert_array_equal(np.stack(table["_embedding"].tolist()), vectors)
    items = model.lift_items(vectors)
    np.testing.assert_array_equal(np.stack(table["_item"].tolist()), items)


def test_an_export_says_which_outputs_an_ordinary_index_takes(tmp_path: Path) -> None:
    vectors = np.random.default_rng(0).normal(size=(9, 6)).astype(np.float32)
    model = bare_model(Geometry([Sphere()], outputs=[(2, 5)]), vectors)
    model.samples = pd.DataFrame({"id": list("abcdefghi")})
    line = write_export(model, tmp_path / "out").describe()
    assert line.startswith("equivalent on embeddings.npy: cosine of [:, 2:5] alone; on items.npy")


def test_a_search_of_a_run_on_vectors_takes_arrays(
    packed: Packed, train: Train, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    vectors = np.random.default_rng(0).normal(size=(60, 5)).astype(np.float32)
    given = Packed(packed.samples, vectors, packed.card | {"image_shape": [1, 1, 5]})
    run = train(given, backbone=TINY_LINEAR)
    np.save(tmp_path / "two.npy", vectors[[4, 9]])
    main(["search", str(run), str(tmp_path / "two.npy"), "--k", "1", "--device", "cpu"])
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[-1] for line in (lines[1], lines[3])] == ["0-4", "1-4"]
    assert lines[2] == f"{tmp_path / 'two.npy'} [1]"
    assert lines[4] == "no sheet was drawn: the queries are vectors"
    (tmp_path / "three.npy").write_bytes(b"nothing")
    with pytest.raises(SystemExit, match=r"^error: .*three.npy: found no array"):
        main(["search", str(run), str(tmp_path / "three.npy")])


def test_a_search_of_a_run_on_features_takes_pictures_and_arrays(
    features: Packed,
    trained_on_features: Path,
    packed_folder: Path,
    images: list[Path],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    np.save(tmp_path / "one.npy", np.asarray(features.images)[50])
    given = ["search", str(trained_on_features), "--k", "1", "--device", "cpu"]
    given += ["--sheet", str(tmp_path / "sheet.png"), "--data", str(packed_folder)]
    main([*given, str(images[1])])
    main([*given, str(tmp_path / "one.npy")])
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[-1] for line in (lines[1], lines[4])] == ["10-0", "10-0"]
    assert (tmp_path / "sheet.png").is_file()


def test_a_picture_without_the_backbone_of_its_features_is_refused(
    trained_on_features: Path, images: list[Path], tmp_path: Path
) -> None:
    (tmp_path / "data/raw/features/manifest.json").unlink()
    found = "found pictures, and beside runs/ no data/raw/features that names a backbone"
    with pytest.raises(SystemExit, match=rf"^error: images: {found}, expected .*\(--features\)$"):
        main(["search", str(trained_on_features), str(images[0]), "--device", "cpu"])


def test_features_are_refused_for_a_run_on_pictures(
    packed: Packed, train: Train, images: list[Path]
) -> None:
    given = ["search", str(train(packed)), str(images[0]), "--features", "data/raw/features"]
    with pytest.raises(SystemExit, match="^error: --features: found data/raw/features for a run"):
        main([*given, "--device", "cpu"])


def replace_export(monkeypatch: pytest.MonkeyPatch, act: Any) -> None:
    """Let `geomix export` do something else, without a run."""
    monkeypatch.setattr("geomix.library.model.load_run", lambda *_: None)
    monkeypatch.setitem(command.COMMANDS, "export", lambda *_: act())


def test_a_closed_pipe_ends_the_command_quietly(monkeypatch: pytest.MonkeyPatch) -> None:
    replace_export(monkeypatch, lambda: print("what nobody reads"))
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "w") as pipe:  # closing it writes what is left
        monkeypatch.setattr(sys, "stdout", pipe)
        with pytest.raises(SystemExit) as caught:
            main(["export", "run"])
    assert caught.value.code == 1


@pytest.mark.parametrize(
    "error",
    [torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB.\nSee the documentation"),
     RuntimeError("CUDA error: out of memory\nCUDA kernel errors might be")],
)  # fmt: skip
def test_a_full_gpu_is_one_line(monkeypatch: pytest.MonkeyPatch, error: RuntimeError) -> None:
    def fail() -> None:
        raise error

    replace_export(monkeypatch, fail)
    found = "found too little memory on the GPU, expected enough: use --device cpu, or fewer"
    with pytest.raises(SystemExit, match=f"^error: --device: {found} pictures at a time$"):
        main(["export", "run"])


def test_a_defect_is_not_taken_for_a_full_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> None:
        raise RuntimeError("another error")

    replace_export(monkeypatch, fail)
    with pytest.raises(RuntimeError, match="another error"):
        main(["export", "run"])


TINY_LINEAR = {
    "name": "linear", "pretrained": False, "checkpoint": None, "stem": "patch", "side": None,
    "patch": None, "width": None, "depth": None, "heads": None, "drop_path": 0,
    "freeze_patch_embedding": False,
}  # fmt: skip


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ([], "error: command line: the following arguments are required: COMMAND (geomix --help)"),
        (
            ["search", "nowhere", "a.png"],
            "error: nowhere: found no folder, expected a trained cell",
        ),
        (["index", "nowhere"], "error: command line: the following arguments are required: --out"),
        (["export", "nowhere", "--k"], "error: command line: unrecognized arguments: --k"),
    ],
)
def test_what_is_refused_is_one_line(given: list[str], message: str) -> None:
    with pytest.raises(SystemExit) as caught:
        main(given)
    assert str(caught.value.code).startswith(message)
    assert "\n" not in str(caught.value.code)


def test_a_sum_of_spaces_has_no_index(packed: Packed, train: Train, tmp_path: Path) -> None:
    run = train(packed, BALL | COSINE)
    with pytest.raises(SystemExit, match="^error: geometry: found a sum of spaces"):
        main(["index", str(run), "--out", str(tmp_path / "index")])
    assert not (tmp_path / "index").exists()
