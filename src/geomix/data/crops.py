"""Crops: which part of an image the network sees, and that part at the network's size.

A box is left, top, width and height, as shares of the width and height of the original; `WHOLE` is
all of it. Boxes are drawn
in the proportions of the original, also where the image was squeezed to a square: its aspect, width
over height, says which.
"""

import math
import os
import warnings
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import cache

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional
from torchvision.io import ImageReadMode, decode_jpeg

from geomix.data.pixels import find_orientation, load_image, open_image

WHOLE = (0.0, 0.0, 1.0, 1.0)
TRIES = 10
MOST_RATIO = 4 / 3  # width over height of a random crop; its inverse is the least
BLOCK = 32  # images resampled at a time: bounds memory, and stays in the cache
THREADS = 8  # at most, that decode beside a CUDA device
SPARE = 2  # a JPEG is decoded at a half, quarter or eighth if the crop still has so many times the pixels needed


def draw_crops(aspects: Tensor, area: float, generator: torch.Generator) -> Tensor:
    """Draw a random-resized crop for each image.

    Ten times an area, uniform in [area, 1] of the image, and a ratio of width to height,
    log-uniform in [3/4, 4/3], are drawn; the first such crop that fits is put at a random place. If
    none fits, it is the largest centred crop with a ratio in these bounds.

    Args:
        aspects: Width over height of the originals, shape (N,).
        area: Smallest share of the area, in (0, 1]. At 1 a crop is the whole image, and nothing is
            drawn.
        generator: On the CPU.

    Returns:
        Boxes, float64, shape (N, 4).

    Source:
        Szegedy et al. 2014 (arXiv:1409.4842); torchvision's RandomResizedCrop, which rounds to
        pixels in between.
    """
    count = len(aspects)
    if area == 1:
        return torch.tensor(WHOLE, dtype=torch.float64).expand(count, 4)
    draws = torch.rand(count, 2 * TRIES + 2, generator=generator, dtype=torch.float64)
    aspect = aspects.double()[:, None]
    areas = area + (1 - area) * draws[:, :TRIES]
    ratios = ((2 * draws[:, TRIES:-2] - 1) * math.log(MOST_RATIO)).exp()
    tried = torch.stack(
        [(areas * ratios / aspect).sqrt(), (areas / ratios * aspect).sqrt()], 2
    )  # (N, TRIES, 2)
    fits = (tried <= 1).all(2)
    chosen = tried[torch.arange(count), fits.int().argmax(1)]
    found = fits.any(1, keepdim=True)
    largest = torch.cat([MOST_RATIO / aspect, MOST_RATIO * aspect], 1).clamp(max=1)
    sides = torch.where(found, chosen, largest)
    return torch.cat([(1 - sides) * torch.where(found, draws[:, -2:], 0.5), sides], 1)


def draw_flips(count: int, share: float, generator: torch.Generator) -> Tensor:
    """Draw which images are mirrored, left to right, bool (N,); nothing is drawn for a share of 0."""
    if share == 0:
        return torch.zeros(count, dtype=torch.bool)
    return torch.rand(count, generator=generator) < share


def centre_crops(aspects: Tensor, share: float) -> Tensor:
    """Give the centred square of each image.

    Args:
        aspects: Width over height of the originals, shape (N,).
        share: Its side over the shorter side of the image, in (0, 1]: 224 / 256 in the literature.

    Returns:
        Boxes, float64, shape (N, 4).
    """
    aspect = aspects.double()[:, None]
    sides = share * torch.cat([1 / aspect, aspect], 1).clamp(max=1)
    return torch.cat([(1 - sides) / 2, sides], 1)


def crop_decoded(images: Tensor, boxes: Tensor, flips: Tensor, side: int) -> Tensor:
    """Cut boxes out of squeezed images and resize them to squares, bilinear, antialiased where they
    shrink.

    A whole image of the side asked for comes back exactly. On the CPU Pillow does it, in as many
    threads as torch has, and rounds to 1/255, several times faster than the products that other
    devices take.

    Args:
        images: uint8, shape (N, S, S, C), on any device.
        boxes: Shape (N, 4).
        flips: Which to mirror, bool (N,).
        side: Pixels.

    Returns:
        float32, shape (N, C, side, side), in [0, 1], on the device of the images.
    """
    if images.device.type != "cpu":
        return resize_by_products(images, boxes, flips, side)
    pixels, shares = images.numpy(), boxes.tolist()
    threads = count_threads(images.device)
    squares = _work_on(
        len(images),
        lambda row: _resize_part(pixels[row], shares[row], side),
        flips,
        side,
        images.shape[3],
        threads,
    )
    return squares.float().div_(255)


def _resize_part(pixels: np.ndarray, box: Sequence[float], side: int) -> Image.Image:
    height, width, channels = pixels.shape
    left, top, right, bottom = box[0], box[1], min(box[0] + box[2], 1), min(box[1] + box[3], 1)
    image = Image.fromarray(pixels[:, :, 0] if channels == 1 else pixels)
    part = (left * width, top * height, right * width, bottom * height)
    return image.resize((side, side), Image.Resampling.BILINEAR, box=part)


def resize_by_products(images: Tensor, boxes: Tensor, flips: Tensor, side: int) -> Tensor:
    """Do what `crop_decoded` does with two matrix products for each image, on any device, unrounded."""
    count, height, width, channels = images.shape
    boxes, flips = boxes.to(images.device, torch.float32), flips.to(images.device)
    found = torch.empty(count, channels, side, side, device=images.device)
    for start in range(0, count, BLOCK):
        block = slice(start, start + BLOCK)
        left, top, wide, high = boxes[block].unbind(1)
        rows = _weights(top, high, height, side)
        columns = _weights(left, wide, width, side)
        columns = torch.where(flips[block, None, None], columns.flip(1), columns)
        tall = torch.bmm(rows, images[block].flatten(2).float())  # (n, side, S * C)
        lines = (
            tall.unflatten(2, (width, channels)).permute(0, 3, 1, 2).flatten(1, 2)
        )  # (n, C * side, S)
        found[block] = torch.bmm(lines, columns.mT).unflatten(1, (channels, side))
    return found.div_(255)


def _weights(begin: Tensor, extent: Tensor, pixels: int, side: int) -> Tensor:
    """Give the weight of each pixel of a line in each pixel of its resized part, shape (N, side,
    pixels).

    Args:
        begin: Of the part, as a share of the line, (N,).
        extent: Likewise.
        pixels: Of the line.
        side: Pixels of the result.

    Source:
        The triangle filter of Pillow: as wide as a pixel of the result, at least as one of the
        line.
    """
    step = extent * pixels / side
    places = torch.arange(side, device=begin.device) + 0.5
    centres = begin[:, None] * pixels + places * step[:, None]
    away = (torch.arange(pixels, device=begin.device) + 0.5 - centres[..., None]).abs_()
    weights = away.div_(step.clamp(min=1)[:, None, None]).neg_().add_(1).clamp_(min=0)
    return weights.div_(weights.sum(2, keepdim=True))


def crop_encoded(
    files: Sequence[bytes],
    boxes: Tensor,
    flips: Tensor,
    side: int,
    channels: int,
    device: torch.device = torch.device("cpu"),  # noqa: B008  # immutable
) -> Tensor:
    """Decode files, cut boxes out of the originals and resize them to squares, bilinear,
    antialiased where they shrink.

    On the CPU in as many threads as torch has: Pillow works outside Python's lock. On a CUDA device
    a batch of ordinary JPEGs is decoded by torchvision there; should it fail, and for other files,
    this is done on the CPU, in up to 8 threads.

    Args:
        files: N files.
        boxes: Shape (N, 4), for upright images; rounded to pixels of the original.
        flips: Which to mirror, bool (N,).
        side: Pixels.
        channels: 1 or 3.
        device: Where the result shall be.

    Returns:
        uint8, shape (N, channels, side, side).

    Raises:
        InputError: If a file is broken.

    Accuracy:
        The result of torchvision's resized_crop of the PIL image, exactly, unless a crop has at
        least 4 * side pixels to
        its side: such JPEGs are decoded at a fraction of their size, and differ by less than 1/255
            on average.
    """
    if device.type == "cuda" and all(map(_is_plain_jpeg, files)):
        with suppress(RuntimeError):  # of nvJPEG: a kind of JPEG that it does not know
            return crop_on_device(files, boxes, flips, side, channels, device)
    shares = boxes.tolist()
    count, threads = len(files), count_threads(device)
    squares = _work_on(
        count,
        lambda row: crop_file(files[row], shares[row], side, channels),
        flips,
        side,
        channels,
        threads,
    )
    return squares.to(device)


def crop_file(content: bytes, box: Sequence[float], side: int, channels: int) -> Image.Image:
    """Decode a file and resize a box of it to a square."""
    image = open_image(content)
    turned = find_orientation(image)
    width, height = image.size if turned < 5 else image.size[::-1]
    left, top, right, bottom = pixel_box(box, width, height)
    shrink = 1
    if turned == 1 and image.format == "JPEG":
        shrink = max(
            (by for by in (2, 4, 8) if min(right - left, bottom - top) >= by * SPARE * side),
            default=1,
        )
    if shrink > 1:
        image.draft(None, (width // shrink, height // shrink))
    plain = load_image(image, channels)
    if shrink > 1:
        part = (left / shrink, top / shrink, right / shrink, bottom / shrink)
        return plain.resize((side, side), Image.Resampling.BILINEAR, box=part)
    return plain.crop((left, top, right, bottom)).resize((side, side), Image.Resampling.BILINEAR)


def pixel_box(box: Sequence[float], width: int, height: int) -> tuple[int, int, int, int]:
    """Round a box to pixels of an image, at least one and inside of it: left, top, right, bottom."""
    edges = []
    for begin, extent, pixels in ((box[0], box[2], width), (box[1], box[3], height)):
        length = min(max(1, round(extent * pixels)), pixels)
        first = min(max(0, round(begin * pixels)), pixels - length)
        edges.append((first, first + length))
    (left, right), (top, bottom) = edges
    return left, top, right, bottom


def crop_on_device(
    files: Sequence[bytes],
    boxes: Tensor,
    flips: Tensor,
    side: int,
    channels: int,
    device: torch.device,
) -> Tensor:
    """Do what `crop_encoded` does, with ordinary upright JPEGs alone and all of it on a device.

    Raises:
        RuntimeError: If torchvision cannot decode one of them there.
    """
    contents = [torch.frombuffer(bytearray(content), dtype=torch.uint8) for content in files]
    mode = ImageReadMode.RGB if channels == 3 else ImageReadMode.GRAY
    with warnings.catch_warnings():
        # torchvision 0.29 refers to TorchCodec, another package; until torchvision drops its
        # decoder.
        warnings.simplefilter("ignore", DeprecationWarning)
        images = decode_jpeg(contents, mode, device)
    squares = []
    for image, box, flip in zip(images, boxes.tolist(), flips.tolist(), strict=True):
        left, top, right, bottom = pixel_box(box, image.shape[2], image.shape[1])
        part = image[None, :, top:bottom, left:right].float()
        square = functional.interpolate(part, (side, side), mode="bilinear", antialias=True)
        squares.append(square.flip(3) if flip else square)
    return torch.cat(squares).round_().clamp_(0, 255).to(torch.uint8)


def _is_plain_jpeg(content: bytes) -> bool:
    image = open_image(content)
    return image.format == "JPEG" and image.mode in ("L", "RGB") and find_orientation(image) == 1


def count_threads(device: torch.device) -> int:
    """Give the threads that crop for a device: torch's own for the CPU, so that a cell of one thread stays at one."""
    return torch.get_num_threads() if device.type == "cpu" else min(THREADS, os.cpu_count() or 1)


def _work_on(
    count: int,
    work: Callable[[int], Image.Image],
    flips: Tensor,
    side: int,
    channels: int,
    threads: int,
) -> Tensor:
    """Make squares in threads, mirror some, and give all, uint8, (N, C, side, side)."""
    found = np.empty((count, channels, side, side), np.uint8)
    mirrored = flips.tolist()

    def make(row: int) -> None:
        """Make the square of a row."""
        square = work(row)
        if mirrored[row]:
            square = square.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        found[row] = np.asarray(square).reshape(side, side, channels).transpose(2, 0, 1)

    list(map(make, range(count)) if threads == 1 else _pool(threads).map(make, range(count)))
    return torch.from_numpy(found)


@cache
def _pool(threads: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(threads, "crop")
