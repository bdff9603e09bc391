"""The backbone's features of a batch of any length, in the memory of a few images."""

from collections.abc import Callable
from contextlib import AbstractContextManager

import torch
from torch import Tensor

RandomState = list[Tensor]  # of the CPU, and of a CUDA device if that computes


def random_state(device: torch.device) -> RandomState:
    """Return from where dropout and drop path are drawn next, uint8 tensors on the CPU."""
    states = [torch.get_rng_state()]
    return [*states, torch.cuda.get_rng_state(device)] if device.type == "cuda" else states


def set_random_state(device: torch.device, states: RandomState) -> None:
    """Draw on from such a state."""
    torch.set_rng_state(states[0])
    if device.type == "cuda":
        torch.cuda.set_rng_state(states[1], device)


class Chunks:
    """A backbone that takes some images at a time, and the way of the gradient back through it.

    The graph ends at the features: of them the loss of the whole batch is computed, and its
    gradient there is handed to `backward`. If one chunk is the whole batch, its graph is kept.
    Otherwise features are computed without a graph, and in `backward` each chunk once more, from
    the same random state, so that dropout and drop path are the same in both passes.

    Source:
        GradCache: Gao et al. 2021 (arXiv:2101.06983).
    """

    def __init__(
        self,
        backbone: Callable[[Tensor], Tensor],
        chunk: int | None,
        precision: Callable[[], AbstractContextManager[object]],
    ) -> None:
        """Take the backbone.

        Args:
            backbone: Images (n, ...) -> features (n, width).
            chunk: Most images at a time; None for all.
            precision: Returns the context in which the backbone runs.
        """
        self._backbone, self._chunk, self._precision = backbone, chunk, precision
        self._parts: list[Tensor] = []
        self._states: list[RandomState] = []
        self._graph: Tensor | None = None

    def forward(self, images: Tensor) -> Tensor:
        """Return the features, at least float32, without a graph."""
        self._parts = list(images.split(self._chunk or len(images)))
        if len(self._parts) == 1:
            self._graph = self._run(images)
            return self._graph.detach()
        self._states, features = [], []
        with torch.no_grad():
            for part in self._parts:
                self._states.append(random_state(images.device))
                features.append(self._run(part))
        return torch.cat(features)

    def backward(self, gradient: Tensor) -> None:
        """Add to the gradients of the weights, from that of the features of `forward`."""
        if len(self._parts) == 1:
            features, self._graph = self._graph, None
            if features is not None and features.requires_grad:
                features.backward(gradient)
            return
        device = gradient.device
        after = random_state(device)
        parts = zip(self._parts, self._states, gradient.split(self._chunk or 1), strict=True)
        for part, state, piece in parts:
            set_random_state(device, state)
            features = self._run(part)
            if features.requires_grad:
                features.backward(piece)
        set_random_state(device, after)

    def _run(self, images: Tensor) -> Tensor:
        with self._precision():
            features = self._backbone(images)
        return features.to(torch.promote_types(features.dtype, torch.float32))
