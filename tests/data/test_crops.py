"""Crops: torchvision's law of boxes, and the pixels that Pillow and torchvision give for a box."""

import io
import os
import threading
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image, ImageOps
from scipy.stats import wasserstein_distance
from torch import Tensor
from torchvision.transforms import InterpolationMode, RandomResizedCrop
from torchvision.transforms.functional import resized_crop

from geomix.config.sections import Fit
from geomix.data import crops
from geomix.data.crops import (
    WHOLE,
    centre_crops,
    centre_fitted,
    crop_decoded,
    crop_encoded,
    crop_on_device,
    draw_crops,
    draw_fitted,
    draw_flips,
    resize_by_products,
)
from geomix.data.pixels import EXIF_ORIENTATION
from geomix.errors import InputError

Crop = Callable[[Tensor, Tensor, Tensor, int], Tensor]
CPU = torch.device("cpu")
BOXES = torch.tensor(
    [WHOLE, (0.25, 0.125, 0.5, 0.75), (0.0, 0.5, 0.3, 0.2), (0.7, 0.0, 0.3, 1.0)],
    dtype=torch.float64,
)
FLIPS = torch.tensor([False, True, False, True])


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def photograph(
    width: int, height: int, mode: str = "RGB", kind: str = "JPEG", **options: Any
) -> bytes:
    """Make a file of smooth noise, as photographs are."""
    random = np.random.default_rng(width)
    small = Image.fromarray(
        random.integers(0, 256, (height // 20 + 2, width // 20 + 2, 3), np.uint8)
    )
    image = np.asarray(small.resize((width, height), Image.Resampling.BICUBIC)).astype(int)
    image += random.integers(-12, 12, image.shape)
    file = io.BytesIO()
    Image.fromarray(image.clip(0, 255).astype(np.uint8)).convert(mode).save(file, kind, **options)
    return file.getvalue()


def crop_by_torchvision(content: bytes, box: Tensor, flip: bool, side: int) -> np.ndarray:
    """Return the crop as a loader of loose files would, (C, side, side)."""
    image = ImageOps.exif_transpose(Image.open(io.BytesIO(content)))
    left, width = (round(share * image.width) for share in (float(box[0]), float(box[2])))
    top, height = (round(share * image.height) for share in (float(box[1]), float(box[3])))
    square = resized_crop(image, top, left, height, width, [side, side], InterpolationMode.BILINEAR)
    pixels = np.asarray(square).reshape(side, side, -1).transpose(2, 0, 1)
    return pixels[:, :, ::-1] if flip else pixels


def distance(found: Tensor, expected: np.ndarray) -> float:
    return float(np.abs(found.numpy().astype(int) - expected.astype(int)).mean())


def measure(boxes: np.ndarray, quantity: int | str) -> np.ndarray:
    if isinstance(quantity, int):
        return boxes[:, quantity]
    return (
        boxes[:, 2] * boxes[:, 3]
        if quantity == "area"
        else boxes[:, 2] / (boxes[:, 2] + boxes[:, 3])
    )


@pytest.mark.parametrize("aspect", [1.25, 0.7, 4.0, 0.2])
@pytest.mark.parametrize("area", [0.2, 0.9])
def test_boxes_follow_the_law_of_torchvision(aspect: float, area: float) -> None:
    image = torch.empty(1, 2000, round(2000 * aspect))
    torch.manual_seed(0)
    drawn = [RandomResizedCrop.get_params(image, [area, 1.0], [3 / 4, 4 / 3]) for _ in range(1500)]
    pixels = np.array([(left, top, width, height) for top, left, height, width in drawn])
    expected = pixels / np.array([image.shape[2], 2000] * 2)
    found = draw_crops(torch.full((1500,), aspect), area, generator()).numpy()
    for quantity in (*range(4), "area", "ratio"):
        of = [measure(boxes, quantity) for boxes in (found, expected)]
        assert wasserstein_distance(*of) < 0.015, quantity


def test_boxes_lie_in_the_image_and_within_their_bounds() -> None:
    aspects = torch.linspace(0.8, 1.25, 1000)
    left, top, width, height = draw_crops(aspects, 0.08, generator()).unbind(1)
    assert (torch.stack([left, top]) >= 0).all()
    assert (torch.stack([left + width, top + height]) <= 1 + 1e-12).all()
    assert (width * height).min() >= 0.08
    ratios = width / height * aspects
    assert ratios.min() >= 3 / 4 - 1e-6
    assert ratios.max() <= 4 / 3 + 1e-6


@pytest.mark.parametrize(
    ("aspect", "box"), [(8.0, (5 / 12, 0, 1 / 6, 1)), (0.125, (0, 5 / 12, 1, 1 / 6))]
)
def test_where_no_crop_fits_the_largest_centred_one_is_taken(
    aspect: float, box: tuple[float, ...]
) -> None:
    found = draw_crops(torch.full((50,), aspect), 0.999, generator())
    torch.testing.assert_close(found, torch.tensor(box, dtype=torch.float64).expand(50, 4))


def test_an_area_of_one_is_the_whole_image_and_draws_nothing() -> None:
    own = generator()
    assert torch.equal(
        draw_crops(torch.tensor([0.5, 2.0]), 1, own),
        torch.tensor([WHOLE, WHOLE], dtype=torch.float64),
    )
    assert not draw_flips(3, 0, own).any()
    assert torch.equal(own.get_state(), generator().get_state())


def test_flips_come_as_often_as_asked() -> None:
    assert draw_flips(10000, 0.3, generator()).double().mean() == pytest.approx(0.3, abs=0.02)
    assert draw_flips(100, 1, generator()).all()


@pytest.mark.parametrize(
    ("aspect", "share", "box"),
    [
        (1.0, 1.0, WHOLE),
        (2.0, 1.0, (0.25, 0.0, 0.5, 1.0)),
        (0.5, 1.0, (0.0, 0.25, 1.0, 0.5)),
        (1.25, 0.875, (0.15, 0.0625, 0.7, 0.875)),
    ],
)
def test_a_centre_crop_is_a_square_of_the_original(
    aspect: float, share: float, box: tuple[float, ...]
) -> None:
    found = centre_crops(torch.tensor([aspect], dtype=torch.float64), share)
    torch.testing.assert_close(found, torch.tensor([box], dtype=torch.float64))


FITTED = {
    "squeeze": [WHOLE, WHOLE, WHOLE],
    "centre": [WHOLE, (0.25, 0.0, 0.5, 1.0), (0.0, 0.375, 1.0, 0.25)],
    "pad": [WHOLE, (0.0, -0.5, 1.0, 2.0), (-1.5, 0.0, 4.0, 1.0)],
}


@pytest.mark.parametrize("fit", FITTED)
def test_evaluation_sees_what_training_sees_without_a_random_crop(fit: Fit) -> None:
    aspects = torch.tensor([1.0, 2.0, 0.25], dtype=torch.float64)
    own = generator()
    drawn, seen = draw_fitted(aspects, fit, 1, own), centre_fitted(aspects, fit, 1)
    assert torch.equal(drawn, torch.tensor(FITTED[fit], dtype=torch.float64))
    assert torch.equal(seen, drawn)
    assert torch.equal(own.get_state(), generator().get_state())


@pytest.mark.parametrize("fit", FITTED)
def test_a_square_image_is_seen_alike_however_others_are_fitted(fit: Fit) -> None:
    squares = torch.ones(50)
    expected = draw_crops(squares, 0.3, generator())
    assert torch.equal(draw_fitted(squares, fit, 0.3, generator()), expected)
    assert torch.equal(centre_fitted(squares, fit, 0.7), centre_crops(squares, 0.7))


def test_random_crops_are_of_the_fitted_image() -> None:
    aspects = torch.full((1000,), 2.0)
    drawn = {fit: draw_fitted(aspects, fit, 0.2, generator()) for fit in ("squeeze", "centre")}
    assert torch.equal(drawn["centre"], draw_crops(aspects, 0.2, generator()))
    ratios = drawn["squeeze"][:, 2] / drawn["squeeze"][:, 3]  # of the squeezed image
    assert 3 / 4 - 1e-6 <= ratios.min() < 0.8
    assert 1.25 < ratios.max() <= 4 / 3 + 1e-6


def test_a_crop_of_a_padded_image_shows_no_more_padding_than_it_must() -> None:
    aspects = torch.logspace(-3, 3, 1000)
    boxes = draw_fitted(aspects, "pad", 0.2, generator())
    begins, extents = boxes[:, :2], boxes[:, 2:]
    shown = (begins + extents).clamp(max=1) - begins.clamp(min=0)
    torch.testing.assert_close(shown, extents.clamp(max=1))
    areas = extents.prod(1) / aspects.maximum(1 / aspects)  # of the padded square
    assert areas.min() >= 0.2 - 1e-9
    assert areas.max() > 0.9


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("crop", [crop_decoded, resize_by_products])
def test_a_squeezed_image_is_padded_to_its_proportions(
    crop: Callable[..., Tensor], channels: int
) -> None:
    images = torch.randint(0, 256, (2, 12, 12, channels), generator=generator(), dtype=torch.uint8)
    boxes = torch.tensor([(0.0, -0.5, 1.0, 2.0), (-1.0, 0.0, 3.0, 1.0)])
    mean = torch.tensor([0.2, 0.4, 0.6][:channels])
    flips = torch.tensor([False, True])
    found = crop(images, boxes, flips, 24, mean)
    expected = mean[:, None, None].repeat(2, 1, 24, 24)
    for row, (columns, lines, corner) in enumerate([(24, 12, (0, 6)), (8, 24, (8, 0))]):
        pixels = images[row, :, :, 0] if channels == 1 else images[row]
        part = Image.fromarray(pixels.numpy()).resize((columns, lines), Image.Resampling.BILINEAR)
        if flips[row]:
            part = part.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        values = torch.from_numpy(np.array(part)).view(lines, columns, channels).permute(2, 0, 1)
        inside = slice(corner[1], corner[1] + lines), slice(corner[0], corner[0] + columns)
        expected.view(2, channels, 24, 24)[row, :, inside[0], inside[1]] = values / 255
    torch.testing.assert_close(found, expected.view(2, channels, 24, 24), rtol=0, atol=1.01 / 255)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("crop", [crop_decoded, resize_by_products])
def test_a_whole_image_of_the_side_comes_back_exactly(crop: Crop, channels: int) -> None:
    images = torch.randint(0, 256, (4, 24, 24, channels), generator=generator(), dtype=torch.uint8)
    found = crop(images, torch.tensor(WHOLE).expand(4, 4), FLIPS, 24)
    expected = images.permute(0, 3, 1, 2) / 255
    assert torch.equal(found[~FLIPS], expected[~FLIPS])
    assert torch.equal(found[FLIPS], expected[FLIPS].flip(3))


@pytest.mark.parametrize("side", [10, 48, 100])
@pytest.mark.parametrize("crop", [crop_decoded, resize_by_products])
def test_a_box_of_a_squeezed_image_is_resized_as_pillow_does(
    crop: Crop, side: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(crops, "BLOCK", 3)
    images = torch.randint(0, 256, (4, 48, 48, 3), generator=generator(), dtype=torch.uint8)
    found = crop(images, BOXES, FLIPS, side)
    for row, (left, top, width, height) in enumerate((BOXES * 48).tolist()):
        part = (left, top, left + width, top + height)
        square = Image.fromarray(images[row].numpy()).resize(
            (side, side), Image.Resampling.BILINEAR, box=part
        )
        expected = np.asarray(
            square.transpose(Image.Transpose.FLIP_LEFT_RIGHT) if FLIPS[row] else square
        )
        assert (
            np.abs(found[row].permute(1, 2, 0).numpy() * 255 - expected).max() <= 1.01
        )  # it rounds twice


@pytest.mark.parametrize(
    ("content", "channels"),
    [
        pytest.param(photograph(500, 400, quality=90), 3, id="JPEG"),
        pytest.param(photograph(200, 300, kind="PNG"), 3, id="PNG"),
        pytest.param(photograph(210, 100, "L"), 1, id="grey"),
    ],
)
@pytest.mark.parametrize("side", [112, 224])
def test_a_box_of_a_file_is_that_of_torchvision(content: bytes, channels: int, side: int) -> None:
    found = crop_encoded([content] * 4, BOXES, FLIPS, side, channels)
    assert (found.dtype, found.shape) == (torch.uint8, (4, channels, side, side))
    for row in range(4):
        assert np.array_equal(
            found[row].numpy(), crop_by_torchvision(content, BOXES[row], bool(FLIPS[row]), side)
        )


@pytest.mark.parametrize("orientation", [3, 6])
def test_a_box_is_of_the_upright_image(orientation: int) -> None:
    exif = Image.Exif()
    exif[EXIF_ORIENTATION] = orientation
    content = photograph(300, 200, exif=exif)
    found = crop_encoded([content], BOXES[1:2], FLIPS[:1], 32, 3)
    assert np.array_equal(found[0].numpy(), crop_by_torchvision(content, BOXES[1], False, 32))


def test_a_large_photograph_is_decoded_smaller_and_stays_near(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    content = photograph(1000, 900)
    near = crop_encoded([content] * 4, BOXES, FLIPS, 40, 3)
    gaps = [
        distance(near[row], crop_by_torchvision(content, BOXES[row], bool(FLIPS[row]), 40))
        for row in range(4)
    ]
    assert max(gaps) < 1
    assert max(gaps) > 0
    monkeypatch.setattr(crops, "SPARE", 1000)
    exact = crop_encoded([content] * 4, BOXES, FLIPS, 40, 3)
    assert distance(exact[0], crop_by_torchvision(content, BOXES[0], False, 40)) == 0


@pytest.mark.parametrize(("channels", "mode"), [(3, "RGB"), (1, "L")])
def test_what_a_device_would_do_is_near_what_threads_do(channels: int, mode: str) -> None:
    files = [photograph(width, 180, mode) for width in (150, 200, 250, 300)]
    expected = crop_encoded(files, BOXES, FLIPS, 64, channels)
    found = crop_on_device(files, BOXES, FLIPS, 64, channels, CPU)
    assert distance(found, expected.numpy()) < 1
    assert found.shape == expected.shape


@pytest.mark.parametrize(
    ("box", "expected"),
    [
        (WHOLE, (0, 0, 7, 3)),
        ((0.999, 0.999, 0.001, 0.001), (6, 2, 7, 3)),
        ((0.5, 0.0, 0.5, 0.5), (3, 0, 7, 2)),
    ],
)
def test_a_box_has_at_least_a_pixel_and_stays_inside(
    box: tuple[float, ...], expected: tuple[int, ...]
) -> None:
    assert crops.pixel_box(box, 7, 3) == expected


@pytest.mark.parametrize("threads", [1, 2])
def test_on_the_cpu_as_many_threads_crop_as_torch_has(
    threads: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = torch.get_num_threads()
    seen, crop = set(), crops.crop_file
    meet = threading.Barrier(threads)

    def note(content: bytes, box: Sequence[float], *others: Any) -> Image.Image:
        seen.add(threading.current_thread().name.split("_")[0])
        meet.wait(10)  # as many at a time
        return crop(content, box, *others)

    monkeypatch.setattr(crops, "crop_file", note)
    torch.set_num_threads(threads)
    try:
        crop_encoded([photograph(50, 50)] * 4, BOXES, FLIPS, 16, 3)
    finally:
        torch.set_num_threads(before)
    assert seen == ({threading.current_thread().name} if threads == 1 else {"crop"})
    assert crops.count_threads(torch.device("cuda")) == min(8, os.cpu_count() or 1)


def test_a_file_is_padded_to_a_square_alike_on_every_device() -> None:
    content = photograph(400, 100)
    boxes = centre_fitted(torch.tensor([4.0, 4.0]), "pad", 1)
    mean, flips = torch.tensor([0.5, 0.25, 1.0]), torch.tensor([False, True])
    found = crop_encoded([content] * 2, boxes, flips, 64, 3, mean=mean)
    assert (found[:, :, :24] == torch.tensor([128, 64, 255])[:, None, None]).all()
    assert (found[:, :, 40:] == torch.tensor([128, 64, 255])[:, None, None]).all()
    image = Image.open(io.BytesIO(content)).resize((64, 16), Image.Resampling.BILINEAR)
    expected = np.asarray(image).transpose(2, 0, 1)
    assert distance(found[0, :, 24:40], expected) < 1
    assert torch.equal(found[1], found[0].flip(2))
    on_device = crop_on_device([content] * 2, boxes, flips, 64, 3, CPU, mean)
    assert distance(on_device, found.numpy()) < 1


def test_a_broken_file_is_refused() -> None:
    files = [photograph(50, 50), photograph(50, 50)[:900]]
    with pytest.raises(InputError, match="image: found a broken"):
        crop_encoded(files, BOXES[:2], FLIPS[:2], 16, 3)
