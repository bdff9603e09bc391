"""Features: those of the timm model by hand; parts that outlive a kill, for these weights alone."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import timm
import torch
from safetensors.torch import save_file

from geomix.config.read import load
from geomix.config.sections import Features
from geomix.config.stages import TrainParams
from geomix.data.packed import Packed
from geomix.datasets.features import read
from geomix.errors import InputError
from geomix.features import extract, parts
from geomix.features.extract import Machine, write_features
from geomix.geometry.geometry import build_geometry
from geomix.train.fit import fit
from geomix.train.save import save_run
from tests.conftest import ROOT

SHAPE: dict[str, Any] = {"patch": 8, "width": 16, "depth": 1, "heads": 2}
NAME = "vit_tiny_patch16_224"
PLAIN = {"name": NAME, "pretrained": False, "checkpoint": None, "side": 16, **SHAPE}
CPU = Machine(torch.device("cpu"), threads=2)
STEP = 16  # samples of a part, here


def section(**changed: Any) -> Features:
    """Return section `features` with a tiny backbone."""
    backbone = PLAIN | changed.pop("backbone", {})
    given = {"dataset": "glyphs", "batch": 7, "device": "cpu", "centre": 1, "backbone": backbone}
    return Features.model_validate(given | changed)


@pytest.fixture(autouse=True)
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make parts small enough for several of them."""
    monkeypatch.setattr(extract, "PART", STEP)


Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path, packed: Packed) -> Write:
    """Return what writes features into a folder of their own, with parts in a common place."""

    def write(
        features: Features | None = None, source: Packed | None = None, machine: Machine = CPU
    ) -> Path:
        folder = tmp_path / f"out-{len(list(tmp_path.glob('out-*')))}"
        folder.mkdir()
        given = features or section()
        write_features(folder, source or packed, given, tmp_path / "parts", machine)
        return folder

    return write


def vectors_of(folder: Path) -> np.ndarray:
    vectors: np.ndarray = np.load(folder / "vectors.npy", allow_pickle=False)
    return vectors


def list_parts(tmp_path: Path) -> list[Path]:
    return sorted((tmp_path / "parts").glob("*/*.npy"))


def test_features_are_those_of_the_model_for_each_image_alone(write: Write, packed: Packed) -> None:
    torch.manual_seed(0)
    model = timm.create_model(
        NAME, num_classes=0, img_size=16, in_chans=1, patch_size=8, embed_dim=16, depth=1,
        num_heads=2,
    ).eval()  # fmt: skip
    assert isinstance(packed.images, np.ndarray)
    with torch.inference_mode():
        expected = [
            model(torch.from_numpy(image.copy()).permute(2, 0, 1)[None] / 127.5 - 1)[0].numpy()
            for image in packed.images
        ]
    found = vectors_of(write())
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


def test_the_table_has_labels_levels_and_the_split_of_the_images(
    write: Write, packed: Packed
) -> None:
    roles = np.where(packed.samples["split"] == "train", "", "query")
    source = replace(packed, samples=packed.samples.assign(aspect="1", role=roles))
    listing = read(write(source=source))
    columns = ["id", "label", "kind", "group", "split", "role"]
    pd.testing.assert_frame_equal(listing.samples, source.samples[columns])
    assert (listing.levels, listing.form, listing.channels) == (("kind", "group"), "vectors", 16)
    assert [row for row, _ in listing.images()] == list(range(len(packed.samples)))


def test_vectors_are_taken_as_they_are(write: Write, packed: Packed, tmp_path: Path) -> None:
    vectors = np.random.default_rng(0).normal(size=(len(packed.samples), 5)).astype(np.float32)
    source = replace(packed, images=vectors, card=packed.card | {"image_shape": [1, 1, 5]})
    folder = write(section(backbone={"checkpoint": "nowhere.pth"}), source)
    np.testing.assert_array_equal(vectors_of(folder), vectors)
    assert not list_parts(tmp_path)


class Killed(BaseException):
    """What ends a run as a kill does: nothing that was made for errors sees it."""


def kill_after(count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let so many batches be read, and no more."""
    whole, read = extract.load_batch, iter(range(count))

    def load(*given: Any) -> torch.Tensor:
        if next(read, None) is None:
            raise Killed
        return whole(*given)

    monkeypatch.setattr(extract, "load_batch", load)


def test_a_run_goes_on_after_a_kill_with_the_same_bytes(
    write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        kill_after(7, patch)  # two parts of three batches each, and one batch
        with pytest.raises(Killed):
            write(machine=replace(CPU, threads=1))
    assert len(list_parts(tmp_path)) == 2
    torn = list_parts(tmp_path)[0].with_name(".00000032.npy.1.part")
    torn.write_bytes(b"half")
    with monkeypatch.context() as patch:
        kill_after(6, patch)  # what was not read yet: parts of 16 and 12 of 60 samples
        resumed = write()
    assert not torn.exists()
    for path in list_parts(tmp_path):
        path.unlink()
    whole = write(machine=replace(CPU, threads=3))
    for path in whole.iterdir():
        assert path.read_bytes() == (resumed / path.name).read_bytes(), path.name


def test_a_damaged_part_is_made_again(write: Write, tmp_path: Path) -> None:
    whole = vectors_of(write())
    first, second, *_ = list_parts(tmp_path)
    first.write_bytes(first.read_bytes()[:-9])
    np.save(second, np.zeros((3, 16), np.float32))
    np.testing.assert_array_equal(vectors_of(write()), whole)


def test_what_is_there_is_not_made_again(
    write: Write, packed: Packed, monkeypatch: pytest.MonkeyPatch
) -> None:
    write()
    kill_after(0, monkeypatch)
    splits = packed.samples["split"].replace({"train": "test", "test": "train"})
    folder = write(source=replace(packed, samples=packed.samples.assign(split=splits)))
    assert read(folder).samples["split"].tolist() == splits.tolist()


def other_images(packed: Packed) -> Packed:
    """Return a data set whose card tells of other images."""
    hashes = packed.card["sha256"] | {"images.npy": "0" * 64}
    return replace(packed, card=packed.card | {"sha256": hashes})


@pytest.mark.parametrize(
    "changed",
    [{"backbone": {"heads": 4}}, {"backbone": {"side": 8}}, {"centre": 0.5}, {"batch": 8}],
    ids=str,
)
def test_other_settings_have_other_parts(
    write: Write, tmp_path: Path, changed: dict[str, Any]
) -> None:
    write()
    write(section(**changed))
    assert len({path.parent for path in list_parts(tmp_path)}) == 2


def test_other_images_and_other_weights_have_other_parts(
    write: Write, packed: Packed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write()
    write(source=other_images(packed))
    monkeypatch.setattr(extract, "SEED", 1)
    write()
    assert len({path.parent for path in list_parts(tmp_path)}) == 3


def test_a_network_trained_here_is_a_backbone(write: Write, packed: Packed, tmp_path: Path) -> None:
    params = load(TrainParams, path=ROOT / "params.yaml")
    backbone = params.backbone.model_copy(update=SHAPE)
    small = params.batch.model_copy(update={"classes": 4})
    params = params.model_copy(update={"backbone": backbone, "epochs": 1, "batch": small})
    knobs: dict[str, Any] = {"tau": 0.1, "curvature": 0, "lam": 1, "dimensions": 64}
    geometry = build_geometry(params.geometry["euclidean"], **knobs)
    run = fit(packed, geometry, params, 3, "cell")
    save_run(run, packed, {}, params, tmp_path / "cell")
    state = run.encoder.backbone.state_dict()  # of a model of timm
    save_file(state, tmp_path / "timm.safetensors")
    torch.save(state, tmp_path / "timm.pth")
    torch.save({"epoch": 3, "state_dict": state}, tmp_path / "checkpoint.pth")
    stored = np.load(tmp_path / "cell/embeddings.npz")["test_backbone"]
    files = ("timm.safetensors", "timm.pth", "checkpoint.pth", "cell/model.safetensors")
    for file in files:
        folder = write(section(backbone={"checkpoint": str(tmp_path / file)}))
        found = vectors_of(folder)[packed.rows("test")]
        np.testing.assert_allclose(found, stored, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("backbone", "message"),
    [
        ({"checkpoint": "no.pth"}, r"features\.backbone\.checkpoint: found no file no\.pth, exp"),
        ({"name": "vit_huge"}, r"features\.backbone\.name: found 'vit_huge', expected the name"),
        ({"side": 12}, r"features\.backbone\.side: found 12, expected a multiple of the patch, 8"),
    ],
)
def test_a_backbone_that_cannot_be_had_is_one_line(
    write: Write, backbone: dict[str, Any], message: str
) -> None:
    with pytest.raises(InputError, match=rf"^{message}.*$"):
        write(section(backbone=backbone))


def test_features_that_are_not_finite_are_refused(write: Write, tmp_path: Path) -> None:
    state = timm.create_model(
        NAME, num_classes=0, img_size=16, in_chans=1, patch_size=8, embed_dim=16, depth=1,
        num_heads=2,
    ).state_dict()  # fmt: skip
    state["norm.bias"][0] = torch.nan
    save_file(state, tmp_path / "broken.safetensors")
    with pytest.raises(InputError, match=r"found NaN or infinity for 0-0, expected finite"):
        write(section(backbone={"checkpoint": str(tmp_path / "broken.safetensors")}))
    assert not list_parts(tmp_path)


def test_progress_is_in_lines_without_a_terminal(
    write: Write, capsys: pytest.CaptureFixture[str]
) -> None:
    write()
    lines = capsys.readouterr().err.splitlines()
    assert 4 <= len(lines) <= 10
    assert lines[-1] == "features of patterns: 60 of 60 images"


def test_weights_are_hashed_by_value() -> None:
    class Digest:
        """Keeps what is hashed."""

        def __init__(self) -> None:
            self.seen = b""

        def update(self, content: Any) -> None:
            self.seen += bytes(content)

    def hashed(tensor: torch.Tensor) -> bytes:
        digest = Digest()
        parts.hash_weights(digest, {"a": tensor})
        return digest.seen

    weights = torch.arange(6.0).view(2, 3)
    assert hashed(weights) == hashed(weights.t().contiguous().t())
    assert hashed(weights) != hashed(weights + 1)
    assert hashed(weights) != hashed(weights.view(3, 2))
