"""Images: the range of pixels, and random changes that are affine maps."""

import math

import numpy as np
import pytest
import torch

from geomix.model.images import augment, to_floats

NOTHING = {"rotate": 0.0, "zoom": 0.0, "shear": 0.0, "shift": 0.0, "noise": 0.0}


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_pixels_become_numbers_from_minus_one_to_one() -> None:
    images = np.array([0, 255, 51], np.uint8).reshape(3, 1, 1, 1)
    assert to_floats(images, torch.device("cpu")).flatten().tolist() == pytest.approx([-1, 1, -0.6])


def test_channels_come_first() -> None:
    assert to_floats(np.zeros((2, 3, 4, 5), np.uint8), torch.device("cpu")).shape == (2, 5, 3, 4)


def test_no_strength_changes_nothing() -> None:
    images = torch.rand(3, 2, 8, 8)
    torch.testing.assert_close(augment(images, NOTHING, generator()), images)


def test_a_rotation_moves_every_pixel_by_its_angle() -> None:
    images = torch.full((200, 1, 33, 33), -1.0)
    images[:, :, 16, 28] = 1.0  # 12 pixels right of the centre
    turned = augment(images, NOTHING | {"rotate": 45.0}, generator())
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
    moved = augment(images, NOTHING | {"shift": 0.1}, generator())
    places = np.array([divmod(int(image.argmax()), 41) for image in moved[:, 0]]) - 20
    assert np.abs(places).max() == 4
    assert len(np.unique(places, axis=0)) > 20


def test_zoom_scales_and_shear_slants_within_their_limits() -> None:
    images = torch.full((200, 1, 41, 41), -1.0)
    images[:, :, 20, 32] = 1.0  # 12 pixels right of the centre
    zoomed = augment(images, NOTHING | {"zoom": 0.25}, generator())
    places = np.array([divmod(int(image.argmax()), 41) for image in zoomed[:, 0]]) - 20
    assert set(places[:, 0]) == {0}
    assert (places[:, 1].min(), places[:, 1].max()) == (10, 16)  # 12 / 1.25 and 12 / 0.75
    images = torch.full((200, 1, 41, 41), -1.0)
    images[:, :, 32, 20] = 1.0  # 12 pixels below the centre
    sheared = augment(images, NOTHING | {"shear": 0.5}, generator())
    places = np.array([divmod(int(image.argmax()), 41) for image in sheared[:, 0]]) - 20
    assert set(places[:, 0]) == {12}
    assert (places[:, 1].min(), places[:, 1].max()) == (-6, 6)


def test_noise_has_the_stated_spread_for_pixels_from_zero_to_one() -> None:
    noisy = augment(torch.zeros(20, 1, 32, 32), NOTHING | {"noise": 0.1}, generator())
    assert float(noisy.std()) / 2 == pytest.approx(0.1, rel=0.02)


def test_images_are_changed_each_in_its_own_way_and_the_same_way_for_a_seed() -> None:
    images = torch.rand(1, 1, 16, 16).expand(4, -1, -1, -1)
    strength = {"rotate": 10.0, "zoom": 0.1, "shear": 0.1, "shift": 0.1, "noise": 0.0}
    changed = augment(images, strength, generator())
    assert not torch.allclose(changed[0], changed[1])
    assert torch.equal(changed, augment(images, strength, generator()))
