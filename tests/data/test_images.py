"""Images: the range of pixels, what is cut out, and random changes that are affine maps."""

import io
import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import pytest
import torch
from PIL import Image

from geomix.config.sections import Augment, Crop, Fit
from geomix.data import images as module
from geomix.data.crops import WHOLE, crop_decoded, draw_fitted, draw_flips
from geomix.data.images import augment, draw_boxes, load_batch, normalise, read_raw
from geomix.data.packed import Encoded, Packed


def up_to(**limits: float) -> Augment:
    """Return a section `augment` with some limits above 0."""
    keys = ("rotate", "zoom", "shear", "shift", "noise")
    return Augment(**dict.fromkeys(keys, 0.0) | limits)


NOTHING = up_to()


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_no_strength_changes_nothing() -> None:
    images = torch.rand(3, 2, 8, 8)
    torch.testing.assert_close(augment(images, NOTHING, generator()), images)


def test_a_rotation_moves_every_pixel_by_its_angle() -> None:
    images = torch.full((200, 1, 33, 33), -1.0)
    images[:, :, 16, 28] = 1.0  # 12 pixels right of the centre
    turned = augment(images, up_to(rotate=45.0), generator())
    angles = []
    for image in turned[:, 0]:
        row, column = divmod(int(image.argmax()), 33)
        assert math.hypot(row - 16, column - 16) == pytest.approx(12, abs=1)
        angles.append(math.degrees(math.atan2(row - 16, column - 16)))
    assert max(angles) > 35
    assert min(angles) < -35
    assert max(map(abs, angles)) <= 48


def test_a_shift_is_at_most_its_share_of_the_side() -> None:
    images = torch.full((100, 1, 41, 41), -1.0)
    images[:, :, 20, 20] = 1.0
    moved = augment(images, up_to(shift=0.1), generator())
    places = np.array([divmod(int(image.argmax()), 41) for image in moved[:, 0]]) - 20
    assert np.abs(places).max() == 4
    assert len(np.unique(places, axis=0)) > 20


def test_zoom_scales_and_shear_slants_within_their_limits() -> None:
    images = torch.full((200, 1, 41, 41), -1.0)
    images[:, :, 20, 32] = 1.0  # 12 pixels right of the centre
    zoomed = augment(images, up_to(zoom=0.25), generator())
    places = np.array([divmod(int(image.argmax()), 41) for image in zoomed[:, 0]]) - 20
    assert set(places[:, 0]) == {0}
    assert (places[:, 1].min(), places[:, 1].max()) == (10, 16)  # 12 / 1.25 and 12 / 0.75
    images = torch.full((200, 1, 41, 41), -1.0)
    images[:, :, 32, 20] = 1.0  # 12 pixels below the centre
    sheared = augment(images, up_to(shear=0.5), generator())
    places = np.array([divmod(int(image.argmax()), 41) for image in sheared[:, 0]]) - 20
    assert set(places[:, 0]) == {12}
    assert (places[:, 1].min(), places[:, 1].max()) == (-6, 6)


def test_noise_has_the_stated_spread_for_pixels_from_zero_to_one() -> None:
    noisy = augment(torch.zeros(20, 1, 32, 32), up_to(noise=0.1), generator())
    assert float(noisy.std()) / 2 == pytest.approx(0.1, rel=0.02)


def test_images_are_changed_each_in_its_own_way_and_the_same_way_for_a_seed() -> None:
    images = torch.rand(1, 1, 16, 16).expand(4, -1, -1, -1)
    strength = up_to(rotate=10.0, zoom=0.1, shear=0.1, shift=0.1)
    changed = augment(images, strength, generator())
    assert not torch.allclose(changed[0], changed[1])
    assert torch.equal(changed, augment(images, strength, generator()))


@dataclass(frozen=True)
class Wanted:
    side: int
    mean: torch.Tensor
    std: torch.Tensor


HALF = Wanted(16, torch.full((1,), 0.5), torch.full((1,), 0.5))
ROWS = np.array([3, 50, 3, 7])
WHOLE_BOXES = torch.tensor(WHOLE).expand(4, 4)
BOXES = torch.tensor([WHOLE, (0.25, 0.0, 0.5, 1.0), (0.1, 0.2, 0.3, 0.4), WHOLE])
FLIPS = torch.tensor([False, True, False, True])
CPU = torch.device("cpu")


def pixels_of(packed: Packed, rows: np.ndarray) -> np.ndarray:
    assert isinstance(packed.images, np.ndarray)
    return packed.images[rows]


def encode(packed: Packed) -> Packed:
    """Keep the images of a packed data set as PNG files."""
    files = []
    for image in pixels_of(packed, np.arange(len(packed.samples))):
        file = io.BytesIO()
        Image.fromarray(image[:, :, 0]).save(file, "PNG")
        files.append(file.getvalue())
    ends = np.cumsum([len(file) for file in files])
    offsets = np.stack([np.r_[0, ends[:-1]], ends], 1)
    return Packed(
        packed.samples, Encoded(np.frombuffer(b"".join(files), np.uint8), offsets), packed.card
    )


@pytest.mark.parametrize("form", ["decoded", "encoded"])
def test_whole_images_are_their_pixels_from_minus_one_to_one_bit_for_bit(
    packed: Packed, form: str, floats: Callable[[Packed, np.ndarray], torch.Tensor]
) -> None:
    chosen = encode(packed) if form == "encoded" else packed
    found = load_batch(chosen, ROWS, WHOLE_BOXES, torch.zeros(4, dtype=torch.bool), HALF, CPU)
    expected = floats(packed, ROWS)
    assert torch.equal(found, expected)
    # The strides choose the kernels that the network runs.
    assert form == "encoded" or found.stride() == expected.stride()


def test_boxes_are_cut_out_and_normalised(packed: Packed) -> None:
    wanted = Wanted(24, torch.tensor([0.4]), torch.tensor([0.2]))
    found = load_batch(packed, ROWS, BOXES, FLIPS, wanted, CPU)
    shares = crop_decoded(torch.from_numpy(pixels_of(packed, ROWS)), BOXES, FLIPS, 24)
    torch.testing.assert_close(found, (shares - 0.4) / 0.2)


def test_both_forms_show_the_same(packed: Packed) -> None:
    boxes = BOXES.clone()
    boxes[2] = torch.tensor([0.25, 0.5, 0.75, 0.5])
    decoded, encoded = (
        load_batch(one, ROWS, boxes, FLIPS, HALF, CPU) for one in (packed, encode(packed))
    )
    # At the border of a box they see other neighbours.
    assert (decoded - encoded).abs().mean() < 2 * 12 / 255
    assert torch.allclose(decoded[[0, 3]], encoded[[0, 3]], atol=1e-6)


def test_each_channel_has_its_mean_and_deviation() -> None:
    pixels = torch.tensor([0.0, 255.0, 51.0])[None, :, None, None].expand(2, 3, 4, 4)
    found = normalise(pixels, torch.tensor([0.1, 0.2, 0.3]), torch.tensor([0.5, 0.25, 0.2]))
    torch.testing.assert_close(found[1, :, 2, 3], torch.tensor([-0.2, 3.2, -0.5]))
    assert pixels.max() == 255


def test_noise_follows_the_deviation_of_each_channel() -> None:
    std = torch.tensor([0.5, 0.25, 0.1])
    noisy = augment(torch.zeros(20, 3, 32, 32), up_to(noise=0.1), generator(), std)
    torch.testing.assert_close(noisy.std((0, 2, 3)), 0.1 / std, rtol=0.03, atol=0)


def test_where_nothing_may_change_nothing_is_drawn() -> None:
    own = generator()
    images = torch.rand(2, 1, 4, 4)
    assert augment(images, NOTHING, own) is images
    assert torch.equal(own.get_state(), generator().get_state())


def as_vectors(packed: Packed) -> Packed:
    """Take the first row of each image for a vector."""
    return replace(packed, images=pixels_of(packed, np.arange(60))[:, 0, :, 0].astype(np.float32))


def test_vectors_get_noise_whatever_they_were_divided_by() -> None:
    vectors = torch.rand(500, 40)
    noise = (
        augment(vectors, up_to(rotate=10.0, noise=0.3), generator(), torch.tensor(7.0)) - vectors
    )
    assert float(noise.std()) == pytest.approx(0.3, rel=0.02)


@pytest.mark.parametrize("fit", ["squeeze", "centre", "pad"])
def test_boxes_and_flips_are_those_of_the_fitted_originals(packed: Packed, fit: Fit) -> None:
    wide = replace(packed, samples=packed.samples.assign(aspect=["1", "2", "0.5"] * 20))
    crop = Crop(fit=fit, area=0.3, flip=0.5, centre=1)
    boxes, flips = draw_boxes(wide, ROWS, crop, generator(4))
    own = generator(4)
    aspects = torch.tensor([1.0, 0.5, 1.0, 2.0]).double()
    assert torch.equal(boxes, draw_fitted(aspects, fit, 0.3, own))
    assert torch.equal(flips, draw_flips(4, 0.5, own))


def test_nothing_is_drawn_for_vectors(packed: Packed) -> None:
    own = generator()
    boxes, flips = draw_boxes(as_vectors(packed), ROWS, Crop(area=0.3, flip=0.5, centre=1), own)
    assert boxes.tolist() == [list(WHOLE)] * 4
    assert not flips.any()
    assert torch.equal(own.get_state(), generator().get_state())


def test_raw_input_is_pixels_or_vectors_in_the_order_of_the_split(packed: Packed) -> None:
    rows, vectors = packed.rows("val"), as_vectors(packed)
    pixels = read_raw(packed, "val")
    assert pixels.dtype == np.uint8
    assert np.array_equal(pixels, pixels_of(packed, rows).reshape(20, 256))
    assert np.array_equal(read_raw(vectors, "val"), pixels_of(vectors, rows))
    assert (packed.raw, vectors.raw) == ("pixels", "vectors")


def test_raw_input_of_files_is_squares_of_32_pixels(
    packed: Packed, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = encode(replace(packed, card=packed.card | {"image_shape": [0, 0, 1]}))
    found = read_raw(files, "val")
    assert (found.shape, found.dtype) == ((20, 32 * 32), np.uint8)
    decoded = torch.from_numpy(pixels_of(packed, packed.rows("val")))
    whole, flips = torch.tensor(WHOLE).expand(20, 4), torch.zeros(20, dtype=torch.bool)
    expected = crop_decoded(decoded, whole, flips, 32).mul(255).round().flatten(1)
    assert np.array_equal(found, expected.numpy())
    monkeypatch.setattr(module, "FILES", 7)
    assert np.array_equal(read_raw(files, "val"), found)
