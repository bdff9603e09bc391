"""Pictures of one's own, packed as those that a run was trained on."""

import io
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from PIL import Image

from geomix.config.sections import Crop
from geomix.data.crops import centre_fitted
from geomix.data.images import load_batch
from geomix.data.packed import Encoded, Packed
from geomix.data.pixels import find_orientation, load_image, open_image
from geomix.errors import InputError
from geomix.network import embed
from geomix.network.encoder import Encoder
from geomix.preprocess.decode import prepare
from geomix.preprocess.mend import is_png, is_tiff

Picture = str | Path | bytes | np.ndarray | Image.Image
EXPECTED = "a path, the bytes of a file, a PIL image, or uint8 pixels (H, W) or (H, W, C)"


@dataclass(frozen=True)
class Form:
    """The form in which a network takes samples, as `model.json` has it under `input`.

    Attributes:
        form: decoded (squares of pixels) | encoded (files) | vectors.
        shape: Height, width and channels of packed samples: 0, 0, C if encoded; 1, 1, D of vectors.
        crop: Section `crop` of params.yaml, which says what of a picture is seen.
    """

    form: str
    shape: tuple[int, int, int]
    crop: Crop

    def pack(self, samples: Sequence[Any] | np.ndarray, aspects: Sequence[float] | None) -> Packed:
        """Pack samples as stage preprocess does.

        Args:
            samples: Pictures, or vectors (N, D).
            aspects: Width over height of the originals of squeezed squares, or None.

        Raises:
            InputError: If a sample cannot be read, or is none of these.
        """
        card = {"image_shape": list(self.shape)}
        if self.form == "vectors":
            vectors = as_vectors(samples, self.shape[2])
            return Packed(pd.DataFrame(index=range(len(vectors))), vectors, card)
        packed = [self._prepare(sample) for sample in samples]
        # of six digits, as samples.csv has them
        own = [f"{aspect:.6g}" for _, aspect in packed] if aspects is None else list(aspects)
        table = pd.DataFrame({"aspect": own})
        if self.form == "decoded":
            return Packed(table, np.stack([image for image, _ in packed]), card)
        files = [image for image, _ in packed]
        ends = np.cumsum([len(file) for file in files])
        offsets = np.stack([np.concatenate([[0], ends[:-1]]), ends], 1)
        return Packed(table, Encoded(np.frombuffer(b"".join(files), np.uint8), offsets), card)

    def _prepare(self, sample: Picture) -> tuple[Any, float]:
        """Return a square of pixels or a file, and the aspect of the original."""
        name, content = read_picture(sample, self.shape[2])
        try:
            if self.form == "encoded":
                return as_file(content, self.shape[2])
            prepared = prepare(content, self.shape[2], self.shape[0])
        except InputError as error:
            message = str(error).removeprefix("image: ")
            raise InputError(f"{name}: {message}") from None
        return prepared.square, prepared.aspect


def read_picture(sample: Picture, channels: int) -> tuple[str, bytes | np.ndarray]:
    """Return the name of a picture, and its file or its pixels, uint8 (H, W, channels).

    Raises:
        InputError: If there is no such file, or it is no picture.
    """
    if isinstance(sample, str | Path):
        try:
            return str(sample), Path(sample).read_bytes()
        except OSError as error:
            reason = error.strerror or type(error).__name__
            raise InputError(f"{sample}: found no file ({reason}), expected a picture") from None
    if isinstance(sample, bytes):
        return "image", sample
    pixels = sample
    if isinstance(pixels, np.ndarray):
        flat = pixels.ndim < 2 or pixels.shape[2:] not in ((), (1,), (3,), (4,))
        if pixels.dtype != np.uint8 or flat or not pixels.size:
            found = f"{pixels.dtype} of shape {pixels.shape}"
            raise InputError(f"image: found {found}, expected {EXPECTED}")
        if pixels.ndim == 3 and pixels.shape[2] == channels:
            return "image", pixels
        pixels = Image.fromarray(pixels[:, :, 0] if pixels.shape[2:] == (1,) else pixels)
    if not isinstance(pixels, Image.Image):
        raise InputError(f"image: found {type(sample).__name__}, expected {EXPECTED}")
    plain = load_image(pixels, channels)
    return "image", np.asarray(plain).reshape(plain.height, plain.width, channels)


def separate(images: Sequence[Any] | np.ndarray, channels: int) -> Sequence[Any] | np.ndarray:
    """Return pictures one by one, those of one array too.

    Args:
        images: A sequence of pictures, an array (N, H, W, C) of them, or one grey one (H, W). An
            array (N, H, W) is taken for a run on grey pictures, unless it may be one (H, W, C).
        channels: Of the run's pictures, 1 or 3.

    Raises:
        InputError: On an array of another shape.
    """
    if not isinstance(images, np.ndarray) or images.ndim in (1, 4):
        return images
    if images.ndim == 2:
        return images[None]
    if images.ndim == 3 and channels == 1 and images.shape[2] not in (1, 3, 4):
        return images
    expected = "(N, H, W, C): one picture is images[None], grey ones are images[..., None]"
    raise InputError(f"images: found an array of shape {images.shape}, expected {expected}")


def as_file(content: bytes | np.ndarray, channels: int) -> tuple[bytes, float]:
    """Return a file as packing keeps it, and the aspect of its upright picture."""
    if isinstance(content, np.ndarray):
        buffer = io.BytesIO()
        Image.fromarray(content[:, :, 0] if channels == 1 else content).save(buffer, "PNG")
        return buffer.getvalue(), content.shape[1] / content.shape[0]
    if is_tiff(content) or is_png(content):  # what packing may have to mend
        prepared = prepare(content, channels, None)
        return prepared.file or content, prepared.aspect
    image = open_image(content)
    width, height = image.size if find_orientation(image) < 5 else image.size[::-1]
    return content, width / height


def as_vectors(samples: Sequence[Any] | np.ndarray, dimensions: int) -> np.ndarray:
    """Return vectors as packing keeps them, float32 (N, D).

    Raises:
        InputError: If these are no vectors of so many numbers.
    """
    expected = f"vectors of {dimensions} numbers, as this run was trained on vectors"
    try:
        vectors = np.asarray(samples, np.float32)
    except (TypeError, ValueError):
        raise InputError(f"images: found other samples, expected {expected}") from None
    if vectors.ndim != 2 or vectors.shape[1] != dimensions:
        raise InputError(f"images: found shape {vectors.shape}, expected {expected}")
    return vectors


def embed_pictures(
    encoder: Encoder,
    form: Form,
    images: Sequence[Any] | np.ndarray,
    aspects: Sequence[float] | None,
    device: torch.device,
) -> tuple[np.ndarray, np.ndarray]:
    """Pack and encode pictures, in the batches that training embeds a split in.

    Args:
        encoder: On the device.
        form: In which it takes them.
        images: N pictures, or vectors (N, D).
        aspects: Width over height of the originals of squeezed squares, or None.
        device: On which to compute.

    Returns:
        Features (N, width) and embeddings (N, outputs), float32.

    Raises:
        InputError: If a sample cannot be read, or there are not as many aspects.
    """
    if form.form != "vectors":
        images = separate(images, form.shape[2])
    if aspects is not None and len(aspects) != len(images):
        found = f"{len(aspects)} for {len(images)} images"
        raise InputError(f"aspects: found {found}, expected one for each")
    if not len(images):
        widths = encoder.head.in_features, encoder.head.out_features
        features, embeddings = (np.empty((0, width), np.float32) for width in widths)
        return features, embeddings
    length = max(1, min(embed.BATCH, embed.PIXELS // encoder.side**2))
    blocks = [slice(start, start + length) for start in range(0, len(images), length)]

    def embed_block(block: slice) -> tuple[np.ndarray, np.ndarray]:
        """Pack and encode a batch."""
        packed = form.pack(images[block], None if aspects is None else aspects[block])
        return encode(encoder, packed, form.crop, device)

    with single_threads(device) as pool:
        parts = zip(*pool.map(embed_block, blocks), strict=True)
        features, embeddings = map(np.concatenate, parts)
    return features, embeddings


@torch.inference_mode()
def encode(
    encoder: Encoder, packed: Packed, crop: Crop, device: torch.device
) -> tuple[np.ndarray, np.ndarray]:
    """Encode a batch of packed pictures as `network.embed.embed` does."""
    aspects = torch.from_numpy(packed.aspects)
    boxes = centre_fitted(aspects, crop.fit, crop.centre)
    flips = torch.zeros(len(aspects), dtype=torch.bool)
    images = load_batch(packed, np.arange(len(aspects)), boxes, flips, encoder, device)
    features, embeddings = (found.float().cpu().numpy() for found in encoder(images))
    return features, embeddings


@contextmanager
def single_threads(device: torch.device) -> Iterator[ThreadPoolExecutor]:
    """Open threads that compute in one thread each, as training does: for the same bits.

    On a GPU it is one thread.
    """
    threads, on_cpu = torch.get_num_threads(), device.type == "cpu"
    limit = partial(torch.set_num_threads, 1 if on_cpu else threads)
    pool = ThreadPoolExecutor(threads if on_cpu else 1, "embed", limit)
    try:
        yield pool
    finally:
        pool.shutdown(cancel_futures=True)
        torch.set_num_threads(threads)  # what one thread sets holds for those that come later
