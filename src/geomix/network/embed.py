"""Embed the images of a split, and measure what a batch norm needs to embed them."""

import numpy as np
import torch
from torch import nn

from geomix.config.sections import Crop
from geomix.data.crops import centre_fitted
from geomix.data.images import load_batch
from geomix.data.packed import Packed
from geomix.data.prefetch import pays, prefetch
from geomix.network.encoder import Encoder
from geomix.network.ranks import gather, own_part

BATCH = 512
PIXELS = 2**23  # most pixels of one channel in a batch: 167 images of 224 x 224


@torch.inference_mode()
def embed(
    encoder: Encoder, packed: Packed, split: str, crop: Crop, device: torch.device
) -> dict[str, np.ndarray]:
    """Encode the centre of each image of a split, in float32; several ranks share them.

    Args:
        encoder: On the device.
        packed: The data set.
        split: Its name.
        crop: Section `crop` of params.yaml: how images are made squares, and the share of the side
            of the square that is seen.
        device: On which to compute.

    Returns:
        `<split>_backbone`, shape (n, width), and `<split>_head`, shape (n, outputs), in the order
        of the table.
    """
    encoder.eval()
    length = len(packed.rows(split))
    rows = packed.rows(split)[own_part(length)]
    boxes = centre_fitted(torch.from_numpy(packed.aspects[rows]), crop.fit, crop.centre)
    flips = torch.zeros(len(rows), dtype=torch.bool)
    blocks = _blocks(len(rows), encoder)
    images = (
        load_batch(packed, rows[block], boxes[block], flips[block], encoder, device)
        for block in blocks
    )
    with prefetch(images, pays(packed, device)) as ready:
        parts = [encoder(views) for views in ready]
    backbone, head = (
        gather(torch.cat(tensors).float(), length).cpu().numpy()
        for tensors in zip(*parts, strict=True)
    )
    return {f"{split}_backbone": backbone, f"{split}_head": head}


@torch.inference_mode()
def project(encoder: Encoder, features: np.ndarray, device: torch.device) -> np.ndarray:
    """Return the embeddings, float32 (n, outputs), of features of a split, (n, width).

    They are those of `embed`, to the bit: its batches are taken, which sums of floats depend on.
    """
    encoder.eval()
    blocks = (torch.tensor(features[block]) for block in _blocks(len(features), encoder))
    parts = [encoder.project(block.to(device)) for block in blocks]
    return torch.cat(parts).float().cpu().numpy()


def _blocks(count: int, encoder: Encoder) -> list[slice]:
    """Return the rows of each batch."""
    step = max(1, min(BATCH, PIXELS // encoder.side**2))
    return [slice(start, start + step) for start in range(0, count, step)]


@torch.no_grad()
def settle_norm(
    encoder: Encoder, packed: Packed, crop: Crop, device: torch.device
) -> np.ndarray | None:
    """Measure mean and variance of a batch norm over the train split; do nothing for other norms.

    Training leaves running averages over augmented batches and over weights since changed, and an
    untrained encoder has none. With h(i) the head's outputs for the centre of image i of n:

        mean = 1/n sum_i h(i),    variance = 1/n sum_i (h(i) - mean)^2

    Args:
        encoder: On the device.
        packed: The data set, whose train split is embedded.
        crop: As for `embed`.
        device: On which to compute.

    Returns:
        The features of train, (n, width), which no norm changes; None if nothing was measured.

    Accuracy:
        Sums are in float64 over all images at once, whatever the batches of `embed`.
    """
    if not isinstance(encoder.norm, nn.BatchNorm1d):
        return None
    features = embed(encoder, packed, "train", crop, device)["train_backbone"]
    outputs = encoder.head(torch.from_numpy(features).to(device)).double()
    means, variances = encoder.norm.running_mean, encoder.norm.running_var
    assert means is not None
    assert variances is not None
    means.copy_(outputs.mean(0))
    variances.copy_(outputs.var(0, correction=0))
    return features
