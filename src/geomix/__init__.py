"""GeoMix: Euclidean, hyperbolic and hybrid metric learning.

    model = geomix.load_run("runs/glyphs/compare/hyperbolic_free-0-2/0")
    found = model.search(model.embed(["letter.png"]), k=5)

    # the radii of 128 outputs of variance 1 are then about 2, and differ
    ball = geomix.Geometry([geomix.Ball(curvature=1, scale=2 / 128**0.5)], tau=0.2)
    loss = geomix.pairwise_loss(embeddings, labels, ball)

What is listed here is imported when it is first asked for, so that `import geomix` takes no time.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # relative: an absolute import counts as code that every stage runs
    from .data.packed import open_packed as open_packed
    from .geometry.distances import expmap0 as expmap0
    from .geometry.distances import flat_distance as flat_distance
    from .geometry.distances import hyperbolic_distance as hyperbolic_distance
    from .geometry.distances import logmap0 as logmap0
    from .geometry.geometry import Geometry as Geometry
    from .geometry.spaces import Ball as Ball
    from .geometry.spaces import Flat as Flat
    from .geometry.spaces import Inner as Inner
    from .geometry.spaces import Power as Power
    from .geometry.spaces import Sphere as Sphere
    from .library.losses import pairwise_loss as pairwise_loss
    from .library.losses import proxy_loss as proxy_loss
    from .library.losses import supervised_loss as supervised_loss
    from .library.model import Model as Model
    from .library.model import load_run as load_run
    from .losses.pairwise import pairwise_cross_entropy as pairwise_cross_entropy
    from .losses.proxy_anchor import proxy_anchor as proxy_anchor
    from .losses.supervised import supervised_contrastive as supervised_contrastive
    from .losses.table import Table as Table
    from .retrieval.search import nearest as nearest

_HOMES = {
    "Ball": "geometry.spaces",
    "Flat": "geometry.spaces",
    "Geometry": "geometry.geometry",
    "Inner": "geometry.spaces",
    "Model": "library.model",
    "Power": "geometry.spaces",
    "Sphere": "geometry.spaces",
    "Table": "losses.table",
    "expmap0": "geometry.distances",
    "flat_distance": "geometry.distances",
    "hyperbolic_distance": "geometry.distances",
    "load_run": "library.model",
    "logmap0": "geometry.distances",
    "nearest": "retrieval.search",
    "open_packed": "data.packed",
    "pairwise_cross_entropy": "losses.pairwise",
    "pairwise_loss": "library.losses",
    "proxy_anchor": "losses.proxy_anchor",
    "proxy_loss": "library.losses",
    "supervised_contrastive": "losses.supervised",
    "supervised_loss": "library.losses",
}

__all__ = list(_HOMES)


def __getattr__(name: str) -> Any:
    """Import what is asked for from the room where it lives."""
    if name not in _HOMES:
        raise AttributeError(f"module 'geomix' has no attribute {name!r}")
    return getattr(import_module(f"geomix.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    """List what can be asked for, for completion, without importing it."""
    return sorted({*globals(), *__all__})
