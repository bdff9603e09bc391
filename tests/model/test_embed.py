"""Embedding a split: every image, in order, independent of the batch."""

import numpy as np
import pytest
import torch

from geomix.model import embed as module
from geomix.model.encoder import build_encoder
from geomix.samples import Packed

SETTINGS = {"name": "vit_tiny_patch16_224", "patch": 8, "width": 16, "depth": 1, "heads": 2}


def test_batches_do_not_change_the_embeddings(packed: Packed, monkeypatch: pytest.MonkeyPatch) -> None:
    encoder = build_encoder(SETTINGS, 8, (16, 16, 1), seed=0)
    whole = module.embed(encoder, packed, "test", torch.device("cpu"))
    monkeypatch.setattr(module, "BATCH", 7)
    parts = module.embed(encoder, packed, "test", torch.device("cpu"))
    assert {name: vectors.shape for name, vectors in whole.items()} == {"test_backbone": (20, 16), "test_head": (20, 8)}
    for name, vectors in whole.items():
        assert vectors.dtype == np.float32
        np.testing.assert_allclose(parts[name], vectors, rtol=1e-5, atol=1e-6)
