"""Embed the images of a split with a trained or untrained encoder."""

import numpy as np
import torch

from geomix.model.encoder import Encoder
from geomix.model.images import to_floats
from geomix.samples import Packed

BATCH = 512


@torch.inference_mode()
def embed(encoder: Encoder, packed: Packed, split: str, device: torch.device) -> dict[str, np.ndarray]:
    """Encode the images of a split as they are, in float32.

    Returns:
        `<split>_backbone`, shape (n, width), and `<split>_head`, shape (n, outputs), in the order of the table.
    """
    encoder.eval()
    images = packed.images[packed.rows(split)]
    parts = [encoder(to_floats(images[start : start + BATCH], device)) for start in range(0, len(images), BATCH)]
    backbone, head = (torch.cat(tensors).float().cpu().numpy() for tensors in zip(*parts, strict=True))
    return {f"{split}_backbone": backbone, f"{split}_head": head}
