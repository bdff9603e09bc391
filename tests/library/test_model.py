"""A loaded run: the embeddings that it stored, to the bit; lists and distances of its geometry."""

import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from geomix.config.sections import Images, Split
from geomix.data.packed import SPLITS, Encoded, Packed, open_packed
from geomix.datasets.listing import Listing
from geomix.errors import InputError
from geomix.files import read_json, write_json
from geomix.geometry.distances import hyperbolic_distance
from geomix.geometry.geometry import Geometry
from geomix.geometry.spaces import Ball, Flat, Inner, Power, Space, Sphere
from geomix.library.model import Model, load_run
from geomix.library.pictures import Picture, separate
from geomix.network import embed
from geomix.preprocess.pack import pack
from geomix.retrieval.search import nearest
from tests.library.conftest import Train, bare_model

ONE_SPACE: dict[str, Callable[[], Space]] = {
    "euclidean": Sphere,
    "flat": lambda: Flat(1.0, 2.3),
    "flat_free": lambda: Flat(0.3),
    "chord": lambda: Flat(2.3, None, normalize=True),
    "power": lambda: Power(1.0, 2.3),
    "dot": lambda: Inner(0.3),
    "hyperbolic": lambda: Ball(0.1, 1.0, 2.3),
    "hyperbolic_free": lambda: Ball(1.0, 0.3),
}


def stored(model: Model, split: str) -> np.ndarray:
    return model.vectors[(model.samples["split"] == split).to_numpy()]


@pytest.mark.parametrize("norm", ["none", "batch", "layer"])
def test_packed_images_have_the_embeddings_that_the_run_stored_to_the_bit(
    packed: Packed, train: Train, norm: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(embed, "BATCH", 8)  # of 20 images of a split
    model = load_run(train(packed, head={"outputs": 8, "norm": norm}), "cpu")
    assert isinstance(packed.images, np.ndarray)
    for split in SPLITS:
        found = model.embed(packed.images[packed.rows(split)])
        assert found.dtype == np.float32
        np.testing.assert_array_equal(found, stored(model, split))


def draw_files(folder: Path, suffix: str, mode: str = "RGB") -> list[Path]:
    """Write 60 pictures of 12 classes, none of them square."""
    random = np.random.default_rng(0)
    paths = []
    for number in range(60):
        shape = (20 + number % 7, 31 + number % 5, 3)
        pixels = (random.integers(0, 60, shape) + 15 * (number // 5)).astype(np.uint8)
        paths.append(folder / f"{number}.{suffix}")
        Image.fromarray(pixels).convert(mode).save(paths[-1])
    return paths


def pack_files(paths: list[Path], form: Any, out: Path) -> Packed:
    """Pack pictures as stage preprocess does."""
    table = {"id": [path.name for path in paths], "label": [str(n // 5) for n in range(len(paths))]}
    files = [path.read_bytes() for path in paths]
    listing = Listing(pd.DataFrame(table), (), lambda: enumerate(files), 3, side=16)
    split = Split(seed=0, train=0.4, val=0.3, test=0.3)
    pack("pictures", listing, out, split, Images(form=form, side=None, broken=0))
    return open_packed(out)


@pytest.mark.parametrize(
    ("form", "suffix", "mode"),
    [("decoded", "png", "RGB"), ("encoded", "png", "P"), ("encoded", "jpg", "RGB"),
     ("encoded", "tif", "RGB")],
)  # fmt: skip
def test_original_files_have_the_stored_embeddings_too(
    train: Train, settings: dict[str, Any], tmp_path: Path, form: str, suffix: str, mode: str
) -> None:
    paths = draw_files(tmp_path, suffix, mode)
    packed = pack_files(paths, form, tmp_path / "packed")
    crop = {"area": 1, "flip": 0, "centre": 0.8}
    backbone = settings["backbone"] | {"side": 16}
    model = load_run(train(packed, crop=crop, backbone=backbone), "cpu")
    for split in SPLITS:
        names = model.samples["id"][model.samples["split"] == split]
        found = model.embed([tmp_path / name for name in names])
        np.testing.assert_array_equal(found, stored(model, split))
    rows = packed.rows("test")
    if isinstance(packed.images, Encoded):
        again = model.embed([packed.images.read(row) for row in rows])
    else:
        again = model.embed(packed.images[rows], list(packed.aspects[rows]))
    np.testing.assert_array_equal(again, stored(model, "test"))


def test_a_picture_may_be_a_file_bytes_an_image_or_pixels(
    packed: Packed, train: Train, tmp_path: Path
) -> None:
    model = load_run(train(packed), "cpu")
    assert isinstance(packed.images, np.ndarray)
    pixels = np.array(packed.images[0][:, :, 0])
    image = Image.fromarray(pixels)
    image.save(tmp_path / "a.png")
    content = (tmp_path / "a.png").read_bytes()
    colour = np.repeat(pixels[:, :, None], 3, 2)
    forms: list[Picture] = [
        tmp_path / "a.png",
        str(tmp_path / "a.png"),
        content,
        image,
        pixels,
        colour,
    ]
    found = [model.embed([form]) for form in forms]
    assert found[0].shape == (1, 8)
    for other in [*found[1:], model.embed(image), model.embed(tmp_path / "a.png")]:
        np.testing.assert_array_equal(other, found[0])
    assert model.embed([]).shape == (0, 8)


@pytest.mark.parametrize("name", ["mlp", "linear"])
def test_of_a_run_on_vectors_vectors_are_embedded(
    packed: Packed, train: Train, settings: dict[str, Any], name: str
) -> None:
    vectors = np.random.default_rng(0).normal(3, 2, (len(packed.samples), 5)).astype(np.float32)
    card = packed.card | {"image_shape": [1, 1, 5]}
    given = Packed(packed.samples, vectors, card)
    model = load_run(train(given, backbone=settings["backbone"] | {"name": name}), "cpu")
    for split in SPLITS:
        found = model.embed(vectors[given.rows(split)])
        np.testing.assert_array_equal(found, stored(model, split))
    with pytest.raises(InputError, match=r"found shape \(2, 4\), expected vectors of 5 numbers"):
        model.embed(vectors[:2, :4])


def test_a_run_on_features_takes_pictures_through_their_backbone(
    packed: Packed, features: Packed, trained_on_features: Path, tmp_path: Path
) -> None:
    run, manifest = trained_on_features, tmp_path / "data/raw/features/manifest.json"
    model = load_run(run, "cpu")
    assert isinstance(packed.images, np.ndarray)
    rows = packed.rows("test")
    expected = stored(model, "test")
    np.testing.assert_allclose(model.embed(packed.images[rows]), expected, rtol=1e-4, atol=1e-5)
    vectors = np.asarray(features.images)[rows]
    forms: list[Any] = [vectors, list(vectors), torch.from_numpy(vectors)]
    for given in forms:
        np.testing.assert_array_equal(model.embed(given), expected)
    write_json(manifest, read_json(manifest) | {"weights": {"source": "elsewhere"}})
    with pytest.raises(InputError, match="found weights scratch, expected elsewhere"):
        load_run(run, "cpu")
    manifest.unlink()
    model = load_run(run, "cpu")
    np.testing.assert_array_equal(model.embed(vectors), expected)
    with pytest.raises(InputError, match="found pictures, and beside runs/ no data/raw/features"):
        model.embed([packed.images[0]])


def test_a_run_takes_no_pictures_through_the_backbone_of_other_features(
    packed: Packed, features: Packed, trained_on_features: Path, tmp_path: Path
) -> None:
    card = tmp_path / "data/packed/features/card.json"
    described = read_json(card)
    sha256 = {"vectors.npy": "another", "samples.csv": "table"}
    write_json(card, described | {"sha256": sha256})
    model = load_run(trained_on_features, "cpu")
    with pytest.raises(InputError, match="found features of sha256 another.*, expected .* the run"):
        model.embed([np.asarray(packed.images)[0]])
    rows = packed.rows("test")
    found = model.embed(np.asarray(features.images)[rows])
    np.testing.assert_array_equal(found, stored(model, "test"))
    sha256 = described["sha256"] | {"samples.csv": "of another class split"}
    write_json(card, described | {"sha256": sha256})
    assert load_run(trained_on_features, "cpu").frozen
    run = read_json(trained_on_features / "model.json")
    write_json(trained_on_features / "model.json", run | {"sha256": {}})
    write_json(card, described | {"sha256": {"vectors.npy": "another"}})
    assert load_run(trained_on_features, "cpu").frozen  # nothing is known of an older run
    del run["sha256"]
    write_json(trained_on_features / "model.json", run)
    assert load_run(trained_on_features, "cpu").frozen


def test_features_are_refused_for_a_run_on_pictures(packed: Packed, train: Train) -> None:
    found = "found data/raw/features for a run on pictures, expected none"
    with pytest.raises(InputError, match=f"^--features: {found}$"):
        load_run(train(packed), "cpu", "data/raw/features")


@pytest.mark.parametrize("device", ["gpu", "cuda:1", "CPU", torch.device("cpu")])
def test_another_device_is_refused(device: Any) -> None:
    with pytest.raises(InputError, match=f"^device: found {device}, expected auto, cpu or cuda$"):
        load_run("nowhere", device)


@pytest.mark.parametrize(
    ("shape", "channels", "count"),
    [((7, 9), 1, 1), ((7, 9), 3, 1), ((5, 7, 9), 1, 5), ((5, 7, 9, 1), 1, 5),
     ((5, 7, 9, 3), 3, 5), ((5, 7, 9, 3), 1, 5), ((0, 7, 9, 3), 3, 0)],
)  # fmt: skip
def test_an_array_is_taken_for_as_many_pictures_as_it_has(
    shape: tuple[int, ...], channels: int, count: int
) -> None:
    images = np.zeros(shape, np.uint8)
    assert len(separate(images, channels)) == count
    assert len(separate(list(images), channels)) == len(images)


@pytest.mark.parametrize(
    ("shape", "channels"),
    [((16, 16, 3), 3), ((16, 16, 3), 1), ((16, 16, 1), 1), ((16, 16, 4), 1), ((3, 16, 16), 3),
     ((5, 7, 9), 3), ((), 1), ((1, 5, 7, 9, 3), 3)],
)  # fmt: skip
def test_an_array_that_may_be_one_picture_is_refused(shape: tuple[int, ...], channels: int) -> None:
    found = f"found an array of shape {shape}, expected (N, H, W, C): one picture is images[None]"
    with pytest.raises(InputError, match=f"^images: {re.escape(found)}, grey ones are "):
        separate(np.zeros(shape, np.uint8), channels)


def test_one_grey_picture_needs_no_list_and_one_in_colour_is_refused(
    packed: Packed, train: Train
) -> None:
    model = load_run(train(packed), "cpu")
    pixels = np.asarray(packed.images)[0][:, :, 0]
    np.testing.assert_array_equal(model.embed(pixels), model.embed([pixels]))
    with pytest.raises(InputError, match=r"images: found an array of shape \(16, 16, 3\), exp"):
        model.embed(np.repeat(pixels[:, :, None], 3, 2))


@pytest.mark.parametrize("aspects", [[], [1.0], [1.0, 1.0, 1.0]])
def test_aspects_that_are_not_as_many_as_pictures_are_refused(
    packed: Packed, train: Train, aspects: list[float]
) -> None:
    model, images = load_run(train(packed), "cpu"), np.asarray(packed.images)[:2]
    found = f"aspects: found {len(aspects)} for 2 images, expected one for each"
    with pytest.raises(InputError, match=f"^{found}$"):
        model.embed(images, aspects)
    assert model.embed(images, [1.0, 1.0]).shape == (2, 8)


def test_loading_and_embedding_leave_random_numbers_and_threads_alone(
    packed: Packed, train: Train
) -> None:
    folder = train(packed)
    threads = torch.get_num_threads()
    torch.manual_seed(5)
    model = load_run(folder, "cpu")
    try:
        torch.set_num_threads(3)
        model.embed([np.zeros((9, 9), np.uint8)])
        assert torch.get_num_threads() == 3
        with ThreadPoolExecutor(1) as other:  # what one thread sets holds for new ones
            assert other.submit(torch.get_num_threads).result() == 3
    finally:
        torch.set_num_threads(threads)
    drawn = torch.rand(3)
    torch.manual_seed(5)
    assert torch.equal(drawn, torch.rand(3))


@pytest.mark.parametrize(
    ("image", "message"),
    [
        ("no.png", r"^no.png: found no file \(No such file or directory\), expected a picture$"),
        (b"text", r"^image: found 4 bytes of another kind or broken, expected a JPEG"),
        (np.zeros((4, 4)), r"^image: found float64 of shape \(4, 4\), expected a path"),
        (np.zeros(4, np.uint8), r"^image: found uint8 of shape \(4,\), expected a path"),
        (np.zeros((0, 4), np.uint8), r"^image: found uint8 of shape \(0, 4\), expected a path"),
        (3, r"^image: found int, expected a path, the bytes of a file, a PIL image"),
    ],
)
def test_what_is_no_picture_is_refused_by_name(
    packed: Packed, train: Train, image: Any, message: str
) -> None:
    model = load_run(train(packed), "cpu")
    with pytest.raises(InputError, match=message):
        model.embed([image])


def test_pixels_are_normalised_as_the_run_says(packed: Packed, train: Train) -> None:
    folder = train(packed)
    described = read_json(folder / "model.json")
    described["input"] |= {"mean": [0.25], "std": [2.0]}  # such as those of pretrained weights
    write_json(folder / "model.json", described)
    model = load_run(folder, "cpu")
    white = np.full((16, 16), 255, np.uint8)
    pixels = torch.full((1, 1, 16, 16), (1 - 0.25) / 2)
    with torch.no_grad():
        expected = model.encoder(pixels)[1].numpy()
    np.testing.assert_allclose(model.embed([white]), expected, rtol=1e-5, atol=1e-6)


def test_the_table_names_what_was_embedded(packed: Packed, train: Train) -> None:
    model = load_run(train(packed), "cpu")
    assert list(model.samples) == ["id", "label", "kind", "group", "split"]
    expected = pd.concat([packed.samples[packed.samples["split"] == split] for split in SPLITS])
    assert model.samples["id"].tolist() == expected["id"].tolist()
    assert model.vectors.shape == (60, 8)
    assert model.dataset == "patterns"


def test_a_search_finds_what_nearest_finds_and_says_how_far(packed: Packed, train: Train) -> None:
    model = load_run(train(packed), "cpu")
    queries = torch.from_numpy(model.vectors[:7])
    found = model.search(queries, k=4)
    everything = torch.from_numpy(model.vectors)
    assert (found.rows == nearest(queries, everything, model.geometry, 4)).all()
    assert (found.rows[:, 0] == np.arange(7)).all()
    rows = np.arange(7)[:, None]
    expected = model.distances(queries, model.vectors)[rows, found.rows]
    np.testing.assert_allclose(found.distances, expected, rtol=1e-6, atol=1e-6)
    own = model.search(queries, model.vectors[3:9], k=2)
    assert own.rows.max() < 6
    for k in (0, 61):
        with pytest.raises(InputError, match=f"k: found {k}, expected 1 to 60, the items of the"):
            model.search(queries, k=k)


def test_a_search_without_queries_finds_nothing() -> None:
    model = bare_model(Geometry([Sphere()]), cluster(9))
    found = model.search(np.empty((0, 16), np.float32), k=4)
    assert [(one.shape, one.dtype) for one in found] == [((0, 4), np.int64), ((0, 4), np.float64)]
    with pytest.raises(InputError, match="k: found 10, expected 1 to 9"):
        model.search(model.vectors[:0])


def test_distances_are_those_of_the_definition() -> None:
    random = np.random.default_rng(1)
    a, b = (random.normal(size=(count, 4)).astype(np.float32) for count in (3, 5))
    norms = np.linalg.norm(a, axis=1)[:, None] * np.linalg.norm(b, axis=1)
    cosines = 1 - a @ b.T / norms
    hyperbolic = hyperbolic_distance(
        0.3 * torch.from_numpy(a).double(), 0.3 * torch.from_numpy(b).double(), 2.0
    ).numpy()
    cases: list[tuple[list[Space], list[float], Any]] = [
        ([Sphere()], [1.0], cosines),
        ([Ball(2.0, 0.3)], [1.0], hyperbolic),
        ([Inner()], [1.0], -a @ b.T),
        ([Sphere(), Ball(2.0, 0.3)], [3.0, 0.5], 3 * cosines + 0.5 * hyperbolic),
    ]
    for spaces, weights, expected in cases:
        found = bare_model(Geometry(spaces, weights, 0.1), b).distances(a, b)
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


def cluster(count: int, seed: int = 0) -> np.ndarray:
    """Draw vectors in clusters, away from the origin, with 20 duplicates."""
    random = np.random.default_rng(seed)
    centres = random.normal(0.5, 2, (40, 16))
    vectors = centres[random.integers(0, 40, count)] + random.normal(0, 1, (count, 16))
    vectors[-20:] = vectors[:20]
    return vectors.astype(np.float32)


@pytest.mark.parametrize("name", ONE_SPACE)
def test_an_inner_product_index_of_lifted_vectors_finds_the_lists_of_nearest(name: str) -> None:
    import faiss

    items = cluster(3000)
    queries = np.concatenate([items[-500:], cluster(500, seed=1)])
    model = bare_model(Geometry([ONE_SPACE[name]()], [1.0], 0.1), items)
    expected = nearest(torch.from_numpy(queries), torch.from_numpy(items), model.geometry, 10)
    lifted = model.lift_items(items)
    assert lifted.dtype == np.float32
    index = faiss.IndexFlatIP(lifted.shape[1])
    index.add(lifted)
    _, rows = index.search(model.lift_queries(queries), 20)
    found = model.reorder(queries, items, rows)
    assert (found.rows[:, :10] == expected).all()
    # without reordering float32 swaps duplicates, and hardly anything else
    distances = model.distances(queries, items)
    raw, exact = (np.take_along_axis(distances, lists, 1) for lists in (rows[:, :10], expected))
    assert (raw == exact).all(1).mean() > 0.99


def test_centred_items_keep_the_order_in_a_narrow_cone() -> None:
    items = cluster(2000) + np.float32(3000)
    model = bare_model(Geometry([Sphere()]), items)
    tensor = torch.from_numpy(items)
    expected = nearest(tensor, tensor, model.geometry, 5)
    plain = model.lift_queries(items)
    shares = [
        (np.argsort(-plain @ lifted.T, 1, kind="stable")[:, :5] == expected).mean()
        for lifted in (plain, model.lift_items(items))
    ]
    assert shares[0] < 0.5 < 0.8 < shares[1]


def test_items_that_come_later_are_centred_alike() -> None:
    items = cluster(50)
    model = bare_model(Geometry([Ball(1.0, 0.3)]), items)
    np.testing.assert_array_equal(model.lift_items(items)[7:9], model.lift_items(items[7:9]))
    np.testing.assert_allclose(model.lift_items(items).mean(0), 0, atol=1e-5)


def test_reordering_is_by_distance_then_row_and_puts_none_last() -> None:
    items = np.array([[0.0, 1.0], [1.0, 0.0], [1.0, 0.0], [0.5, 0.0]], np.float32)
    model = bare_model(Geometry([Flat()]), items)
    found = model.reorder(items[1:2], items, np.array([[-1, 0, 3, 2, 1]]))
    assert found.rows.tolist() == [[1, 2, 3, 0, -1]]
    np.testing.assert_allclose(found.distances, [[0, 0, 1, 2 * 2**0.5, np.inf]])


def test_a_sum_of_spaces_is_no_inner_product() -> None:
    model = bare_model(Geometry([Sphere(), Flat()], names=["cosine", "distance"]), cluster(9))
    found = r"found a sum of spaces \(cosine \+ distance\), which orders as no inner product"
    for lift in (model.lift_queries, model.lift_items):
        with pytest.raises(InputError, match=f"^geometry: {found}; expected one space: search it"):
            lift(model.vectors)
    assert model.index_metric() is None


def test_points_too_far_out_for_float32_are_refused() -> None:
    model = bare_model(Geometry([Ball(1.0)]), 4 * cluster(9))
    with pytest.raises(InputError, match="found points so far out that coordinates reach"):
        model.lift_queries(model.vectors)


@pytest.mark.parametrize(
    ("name", "metric"),
    [
        ("euclidean", "cosine"),
        ("flat_free", "Euclidean distance"),
        ("chord", "cosine"),
        ("power", "cosine"),
        ("dot", "inner product"),
        ("hyperbolic_free", None),
        ("flat", None),
        ("hyperbolic", None),
    ],
)
def test_the_metric_of_an_ordinary_index_orders_alike(name: str, metric: str | None) -> None:
    items = cluster(200)[:180]  # without the duplicates
    items[0] *= 0.1  # within the clip radius
    model = bare_model(Geometry([ONE_SPACE[name]()]), items)
    assert model.index_metric() == metric
    orders: dict[str, np.ndarray] = {
        "cosine": 1 - items @ items.T / np.outer(*2 * [np.linalg.norm(items, axis=1)]),
        "Euclidean distance": np.linalg.norm(items[:, None] - items, axis=2),
        "inner product": -items @ items.T,
    }
    own = np.argsort(model.distances(items, items), 1)
    same = {name: (np.argsort(values, 1)[:, 1:9] == own[:, 1:9]).mean() for name, values in
            orders.items()}  # fmt: skip
    assert all((share > 0.99) == (kind == metric) for kind, share in same.items()), same


@pytest.mark.parametrize(
    ("space", "metric"),
    [(Sphere(), "cosine"), (Inner(), "inner product"), (Ball(0.1, 1.0, 1e-3), "cosine"),
     (Ball(0.1), None)],
)  # fmt: skip
def test_the_metric_names_the_outputs_that_have_to_be_indexed(
    space: Space, metric: str | None
) -> None:
    items = cluster(50)
    part = bare_model(Geometry([space], outputs=[(2, 6)]), items)
    assert part.index_metric() == (metric and f"{metric} of [:, 2:6] alone")
    alone = bare_model(Geometry([space]), items[:, 2:6])
    np.testing.assert_array_equal(
        part.distances(items, items), alone.distances(items[:, 2:6], items[:, 2:6])
    )
    assert alone.index_metric() == metric
    assert bare_model(Geometry([space], outputs=[(0, 16)]), items).index_metric() == metric


def test_where_all_points_are_clipped_the_cosine_orders_a_ball() -> None:
    model = bare_model(Geometry([Ball(0.1, 1.0, 0.1)]), cluster(100))
    assert model.index_metric() == "cosine"


def test_what_is_no_whole_run_is_refused(packed: Packed, train: Train, tmp_path: Path) -> None:
    trial = train(packed, whole=False)
    with pytest.raises(InputError, match=r"cell: found no model.json, expected a trained cell \(t"):
        load_run(trial)
    folder = train(packed)
    with pytest.raises(InputError, match=f"expected a trained cell, such as {folder}$"):
        load_run(tmp_path / "runs")
    with pytest.raises(InputError, match="nowhere: found no folder, expected a trained cell"):
        load_run(tmp_path / "nowhere")
    for name in ("model.safetensors", "model.json", "samples.parquet", "embeddings.npz"):
        content = (folder / name).read_bytes()
        (folder / name).write_bytes(content[:-30])
        with pytest.raises(InputError, match=r"cell"):
            assert load_run(folder).vectors.any()
        (folder / name).write_bytes(content)
    text = (folder / "model.json").read_text()
    (folder / "model.json").write_text(text.replace('"width": 16', '"width": 18'))
    with pytest.raises(InputError, match=r"model.safetensors: found .* misshapen"):
        load_run(folder)
