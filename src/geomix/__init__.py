"""GeoMix: Euclidean, hyperbolic and hybrid metric learning.

    model = geomix.load_run("runs/glyphs/compare/hyperbolic_free-0-2/0")
    found = model.search(model.embed(["letter.png"]), k=5)

    ball = geomix.Geometry([geomix.Ball(curvature=0.1, clip_radius=2.3)], tau=0.2)
    loss = geomix.pairwise_loss(embeddings, labels, ball)

What is listed here is imported when it is first asked for, so that `import geomix` takes no time.
"""

from importlib import import_module
from typing import Any

_HOMES = {
    "Ball": "geometry.spaces",
    "Flat": "geometry.spaces",
    "Geometry": "geometry.geometry",
    "Inner": "geometry.spaces",
    "Model": "library.model",
    "Power": "geometry.spaces",
    "Sphere": "geometry.spaces",
    "Table": "losses.table",
    "flat_distance": "geometry.distances",
    "hyperbolic_distance": "geometry.distances",
    "load_run": "library.model",
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
