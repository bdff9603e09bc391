"""Crops: the part of an image that the network sees, at the network's size.

A box is left, top, width and height, as shares of the width and height of the original; `WHOLE` is
all of it. A box that is larger than the image shows a padding around it. An image that is no square
is fitted to one in the same way for training (`draw_fitted`) and for evaluation (`centre_fitted`),
by its aspect, width over height, even if it was packed squeezed to a square:

    squeeze    the whole image, squeezed to a square
    centre     the largest centred square; random crops of it are those of the literature, which
               are cut out of the whole image
    pad        the whole image, with a padding that makes it a square
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

from geomix.config.sections import Fit
from geomix.data.pixels import find_orientation, load_image, open_image

Fill = tuple[int, int, int]

WHOLE = (0.0, 0.0, 1.0, 1.0)
BLACK: Fill = (0, 0, 0)
TRIES = 10
MOST_RATIO = 4 / 3  # width over height of a random crop; its inverse is the least
BLOCK = 32  # images resampled at a time: bounds memory, and stays in the cache
THREADS = 8  # most threads that decode beside a CUDA device
# A JPEG is decoded at a half, quarter or eighth of its size if each side of the crop still has this
# many times the pixels needed.
SPARE = 2


def draw_fitted(aspects: Tensor, fit: Fit, area: float, generator: torch.Generator) -> Tensor:
    """Draw the part of each image that training sees: a random crop of the fitted image.

    Args:
        aspects: Width over height of the originals, shape (N,).
        fit: How an image is made a square.
        area: Smallest share of the area, in (0, 1]; at 1 nothing is drawn.
        generator: On the CPU.

    Returns:
        Boxes, float64, shape (N, 4). With pad no more of the padding is seen than must be.
    """
    if fit == "centre":
        return draw_crops(aspects, area, generator) if area < 1 else centre_crops(aspects, 1)
    boxes = draw_crops(torch.ones_like(aspects), area, generator)
    return pad_boxes(boxes, aspects) if fit == "pad" else boxes


def centre_fitted(aspects: Tensor, fit: Fit, share: float) -> Tensor:
    """Return the part of each image that evaluation sees: the centre of the fitted image.

    Args:
        aspects: Width over height of the originals, shape (N,).
        fit: How an image is made a square.
        share: Of the side of that square, in (0, 1]: 224 / 256 in the literature.

    Returns:
        Boxes, float64, shape (N, 4).
    """
    if fit == "centre":
        return centre_crops(aspects, share)
    boxes = centre_crops(torch.ones_like(aspects), share)
    return pad_boxes(boxes, aspects) if fit == "pad" else boxes


def pad_boxes(boxes: Tensor, aspects: Tensor) -> Tensor:
    """Turn boxes of images padded to squares into boxes of the images, (N, 4).

    Boxes are moved to where they show the least padding.
    """
    aspect = aspects.double()[:, None]
    sides = torch.cat([1 / aspect, aspect], 1).clamp(min=1)  # of the square, in sides of the image
    extents = boxes[:, 2:] * sides
    begins = boxes[:, :2] * sides - (sides - 1) / 2
    room = 1 - extents  # below 0 where a box is longer than the image
    return torch.cat([begins.clamp(min=room.clamp(max=0), max=room.clamp(min=0)), extents], 1)


def draw_crops(aspects: Tensor, area: float, generator: torch.Generator) -> Tensor:
    """Draw a random-resized crop for each image.

    Ten times, an area uniform in [area, 1] of the image and a ratio of width to height log-uniform
    in [3/4, 4/3] are drawn. The first of these crops that fits is put at a random place. If none
    fits, the crop is the largest centred one with a ratio in these bounds.

    Args:
        aspects: Width over height of the originals, shape (N,).
        area: Smallest share of the area, in (0, 1]. At 1 a crop is the whole image, and nothing is
            drawn.
        generator: On the CPU.

    Returns:
        Boxes, float64, shape (N, 4).

    Source:
        Szegedy et al. 2014 (arXiv:1409.4842); torchvision's RandomResizedCrop, which also rounds to
        pixels on the way.
    """
    count = len(aspects)
    if area == 1:
        return torch.tensor(WHOLE, dtype=torch.float64).expand(count, 4)
    draws = torch.rand(count, 2 * TRIES + 2, generator=generator, dtype=torch.float64)
    aspect = aspects.double()[:, None]
    areas = area + (1 - area) * draws[:, :TRIES]
    ratios = ((2 * draws[:, TRIES:-2] - 1) * math.log(MOST_RATIO)).exp()
    widths, heights = (areas * ratios / aspect).sqrt(), (areas / ratios * aspect).sqrt()
    tried = torch.stack([widths, heights], 2)  # (N, TRIES, 2)
    fits = (tried <= 1).all(2)
    chosen = tried[torch.arange(count), fits.int().argmax(1)]
    found = fits.any(1, keepdim=True)
    largest = torch.cat([MOST_RATIO / aspect, MOST_RATIO * aspect], 1).clamp(max=1)
    sides = torch.where(found, chosen, largest)
    return torch.cat([(1 - sides) * torch.where(found, draws[:, -2:], 0.5), sides], 1)


def draw_flips(count: int, share: float, generator: torch.Generator) -> Tensor:
    """Draw the images to mirror, left to right, bool (N,); nothing is drawn for a share of 0."""
    if share == 0:
        return torch.zeros(count, dtype=torch.bool)
    return torch.rand(count, generator=generator) < share


def centre_crops(aspects: Tensor, share: float) -> Tensor:
    """Return the centred square of each image.

    Args:
        aspects: Width over height of the originals, shape (N,).
        share: Its side over the shorter side of the image, in (0, 1]: 224 / 256 in the literature.

    Returns:
        Boxes, float64, shape (N, 4).
    """
    aspect = aspects.double()[:, None]
    sides = share * torch.cat([1 / aspect, aspect], 1).clamp(max=1)
    return torch.cat([(1 - sides) / 2, sides], 1)


def place_line(begin: float, extent: float, side: int) -> tuple[float, float, int, int]:
    """Find along a line of an image the part that a box shows, and its place in the square.

    Args:
        begin: Of the box, as a share of the line.
        extent: Likewise.
        side: Pixels of the square that shows the box.

    Returns:
        Begin and end of the part, as shares; its first pixel in the square, and their number.
    """
    first, last = max(begin, 0.0), min(begin + extent, 1.0)
    start = min(round((first - begin) / extent * side), side - 1)
    stop = max(round((last - begin) / extent * side), start + 1)
    return first, last, start, stop - start


def pad_part(part: Image.Image, corner: tuple[int, int], side: int, fill: Fill) -> Image.Image:
    """Put a part of an image into a square of another colour; a whole square stays as it is."""
    if part.size == (side, side):
        return part
    colour = fill if part.mode == "RGB" else fill[0]
    square = Image.new(part.mode, (side, side), colour)
    square.paste(part, corner)
    return square


def crop_decoded(
    images: Tensor, boxes: Tensor, flips: Tensor, side: int, mean: Tensor | None = None
) -> Tensor:
    """Cut boxes out of squeezed images and resize them to squares: bilinear, antialiased.

    A whole image of the given side is returned exactly. On the CPU Pillow does it, in as many
    threads as torch has, and rounds to 1/255; this is several times faster than the products used
    on other devices.

    Args:
        images: uint8, shape (N, S, S, C), on any device.
        boxes: Shape (N, 4).
        flips: Which to mirror, bool (N,).
        side: Pixels.
        mean: Colour of the padding, in [0, 1], (C,); None for black.

    Returns:
        float32, shape (N, C, side, side), in [0, 1], on the device of the images.
    """
    if images.device.type != "cpu":
        return resize_by_products(images, boxes, flips, side, mean)
    pixels, shares, fill = images.numpy(), boxes.tolist(), to_fill(mean)

    def resize(row: int) -> Image.Image:
        """Cut the box out of an image."""
        return _resize_part(pixels[row], shares[row], side, fill)

    squares = _fill(resize, flips, side, images.shape[3], count_threads(images.device))
    return squares.float().div_(255)


def to_fill(mean: Tensor | None) -> Fill:
    """Return a colour in [0, 1], (1,) or (3,), as Pillow takes it; black for None."""
    if mean is None:
        return BLACK
    red, green, blue = (mean.cpu() * 255).round().int().expand(3).tolist()
    return red, green, blue


def _resize_part(pixels: np.ndarray, box: Sequence[float], side: int, fill: Fill) -> Image.Image:
    height, width, channels = pixels.shape
    left, right, column, columns = place_line(box[0], box[2], side)
    top, bottom, line, lines = place_line(box[1], box[3], side)
    image = Image.fromarray(pixels[:, :, 0] if channels == 1 else pixels)
    part = (left * width, top * height, right * width, bottom * height)
    resized = image.resize((columns, lines), Image.Resampling.BILINEAR, box=part)
    return pad_part(resized, (column, line), side, fill)


def resize_by_products(
    images: Tensor, boxes: Tensor, flips: Tensor, side: int, mean: Tensor | None = None
) -> Tensor:
    """Do the same as `crop_decoded` by two matrix products an image: any device, no rounding."""
    count, height, width, channels = images.shape
    padded = bool((boxes[:, 2:] > 1).any())
    colour = images.new_zeros(channels) if mean is None else 255 * mean.to(images.device)
    boxes, flips = boxes.to(images.device, torch.float32), flips.to(images.device)
    found = torch.empty(count, channels, side, side, device=images.device)
    for start in range(0, count, BLOCK):
        block = slice(start, start + BLOCK)
        left, top, wide, high = boxes[block].unbind(1)
        down = _coefficients(top, high, height, side)
        across = _coefficients(left, wide, width, side)
        across = torch.where(flips[block, None, None], across.flip(1), across)
        tall = torch.bmm(down, images[block].flatten(2).float())  # (n, side, S * C)
        lines = tall.unflatten(2, (width, channels)).permute(0, 3, 1, 2)  # (n, C, side, S)
        squares = torch.bmm(lines.flatten(1, 2), across.mT).unflatten(1, (channels, side))
        if padded:  # the weights of a pixel sum to 1 inside the image, and to 0 in the padding
            shown = (down.sum(2)[:, :, None] * across.sum(2)[:, None]).round()[:, None]
            squares += (1 - shown) * colour[:, None, None]
        found[block] = squares
    return found.div_(255)


def _coefficients(begin: Tensor, extent: Tensor, pixels: int, side: int) -> Tensor:
    """Return the weight of each pixel of a line in each pixel of its resized part.

    Args:
        begin: Of the part, as a share of the line, (N,).
        extent: Likewise.
        pixels: Of the line.
        side: Pixels of the result.

    Returns:
        Shape (N, side, pixels); 0 in the padding, where `place_line` says.

    Source:
        The triangle filter of Pillow: as wide as a pixel of the result, or of the line if that is
        wider.
    """
    first, last = begin.clamp(min=0), (begin + extent).clamp(max=1)
    start = ((first - begin) / extent * side).round().clamp(max=side - 1)
    stop = ((last - begin) / extent * side).round().maximum(start + 1)
    count = stop - start
    step = torch.where(count == side, extent, last - first) * pixels / count
    places = torch.arange(side, device=begin.device) + 0.5 - start[:, None]
    centres = first[:, None] * pixels + places * step[:, None]
    away = (torch.arange(pixels, device=begin.device) + 0.5 - centres[..., None]).abs_()
    weights = away.div_(step.clamp(min=1)[:, None, None]).neg_().add_(1).clamp_(min=0)
    inside = (places > 0) & (places < count[:, None])
    return torch.where(inside[..., None], weights.div_(weights.sum(2, keepdim=True)), 0)


def crop_encoded(
    files: Sequence[bytes],
    boxes: Tensor,
    flips: Tensor,
    side: int,
    channels: int,
    device: torch.device = torch.device("cpu"),  # noqa: B008  # immutable
    mean: Tensor | None = None,
) -> Tensor:
    """Decode files, cut boxes out of the originals and resize them: bilinear, antialiased.

    On the CPU this takes as many threads as torch has: Pillow works outside Python's lock. On a
    CUDA device torchvision decodes a batch of ordinary JPEGs; if that fails, and for other files,
    the CPU does it in up to 8 threads.

    Args:
        files: N files.
        boxes: Shape (N, 4), for upright images; rounded to pixels of the original.
        flips: Which to mirror, bool (N,).
        side: Pixels.
        channels: 1 or 3.
        device: Of the result.
        mean: Colour of the padding, in [0, 1], (C,); None for black.

    Returns:
        uint8, shape (N, channels, side, side).

    Raises:
        InputError: If a file is broken.

    Accuracy:
        Exactly the result of torchvision's resized_crop of the PIL image, unless the sides of a
        crop have at least 4 * side pixels: such JPEGs are decoded at a fraction of their size, and
        differ by less than 1/255 on average.
    """
    if device.type == "cuda" and all(map(_is_plain_jpeg, files)):
        with suppress(RuntimeError):  # of nvJPEG: a kind of JPEG that it does not know
            return crop_on_device(files, boxes, flips, side, channels, device, mean)
    shares, fill = boxes.tolist(), to_fill(mean)

    def crop(row: int) -> Image.Image:
        """Decode a file and cut its box out."""
        return crop_file(files[row], shares[row], side, channels, fill)

    return _fill(crop, flips, side, channels, count_threads(device)).to(device)


def crop_file(
    content: bytes, box: Sequence[float], side: int, channels: int, fill: Fill = BLACK
) -> Image.Image:
    """Decode a file and resize a box of it to a square."""
    image = open_image(content)
    turned = find_orientation(image)
    width, height = image.size if turned < 5 else image.size[::-1]
    left, top, right, bottom = pixel_box(box, width, height)
    _, _, column, columns = place_line(box[0], box[2], side)
    _, _, line, lines = place_line(box[1], box[3], side)
    shrink = 1
    if turned == 1 and image.format == "JPEG":
        spare = min((right - left) / columns, (bottom - top) / lines) / SPARE
        shrink = max(by for by in (1, 2, 4, 8) if by == 1 or spare >= by)
    if shrink > 1:
        image.draft(None, (width // shrink, height // shrink))
    plain = load_image(image, channels)
    if shrink > 1:
        part = (left / shrink, top / shrink, right / shrink, bottom / shrink)
        resized = plain.resize((columns, lines), Image.Resampling.BILINEAR, box=part)
    else:
        whole = plain.crop((left, top, right, bottom))
        resized = whole.resize((columns, lines), Image.Resampling.BILINEAR)
    return pad_part(resized, (column, line), side, fill)


def pixel_box(box: Sequence[float], width: int, height: int) -> tuple[int, int, int, int]:
    """Round a box to pixels of an image, at least one, inside it: left, top, right, bottom."""
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
    mean: Tensor | None = None,
) -> Tensor:
    """Do the same as `crop_encoded` for ordinary upright JPEGs, entirely on a device.

    Raises:
        RuntimeError: If torchvision cannot decode one of them there.
    """
    contents = [torch.frombuffer(bytearray(content), dtype=torch.uint8) for content in files]
    mode = ImageReadMode.RGB if channels == 3 else ImageReadMode.GRAY
    with warnings.catch_warnings():
        # torchvision 0.29 refers to another package, TorchCodec; until it drops its decoder.
        warnings.simplefilter("ignore", DeprecationWarning)
        images = decode_jpeg(contents, mode, device)
    colour = images[0].new_zeros(channels) if mean is None else 255 * mean.to(device)
    squares = colour[:, None, None].float().repeat(len(files), 1, side, side)
    for square, image, box, flip in zip(
        squares, images, boxes.tolist(), flips.tolist(), strict=True
    ):
        left, top, right, bottom = pixel_box(box, image.shape[2], image.shape[1])
        _, _, column, columns = place_line(box[0], box[2], side)
        _, _, line, lines = place_line(box[1], box[3], side)
        part = image[None, :, top:bottom, left:right].float()
        resized = functional.interpolate(part, (lines, columns), mode="bilinear", antialias=True)
        square[:, line : line + lines, column : column + columns] = resized[0]
        if flip:
            square.copy_(square.flip(2))
    return squares.round_().clamp_(0, 255).to(torch.uint8)


def _is_plain_jpeg(content: bytes) -> bool:
    image = open_image(content)
    return image.format == "JPEG" and image.mode in ("L", "RGB") and find_orientation(image) == 1


def count_threads(device: torch.device) -> int:
    """Return the number of threads that crop for a device.

    For the CPU it is that of torch, so that a cell of one thread stays at one.
    """
    return torch.get_num_threads() if device.type == "cpu" else min(THREADS, os.cpu_count() or 1)


def _fill(
    crop: Callable[[int], Image.Image], flips: Tensor, side: int, channels: int, threads: int
) -> Tensor:
    """Crop every row in threads and mirror some of the squares, uint8 (N, C, side, side)."""
    found = np.empty((len(flips), channels, side, side), np.uint8)
    mirrored = flips.tolist()

    def fill(row: int) -> None:
        """Crop one row."""
        square = crop(row)
        if mirrored[row]:
            square = square.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        found[row] = np.asarray(square).reshape(side, side, channels).transpose(2, 0, 1)

    rows = range(len(flips))
    list(map(fill, rows) if threads == 1 else _pool(threads).map(fill, rows))
    return torch.from_numpy(found)


@cache
def _pool(threads: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(threads, "crop")
