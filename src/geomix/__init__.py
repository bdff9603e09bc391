"""GeoMix: Euclidean, hyperbolic and hybrid metric learning.

What is listed here is imported when it is first asked for, so that `import geomix` takes no time.
"""

from importlib import import_module
from typing import Any

_HOMES = {
    "Ball": "geometry.spaces",
    "Flat": "geometry.spaces",
    "Geometry": "geometry.geometry",
    "Inner": "geometry.spaces",
    "Power": "geometry.spaces",
    "Sphere": "geometry.spaces",
    "Table": "losses.table",
    "flat_distance": "geometry.distances",
    "hyperbolic_distance": "geometry.distances",
    "nearest": "retrieval.search",
    "pairwise_cross_entropy": "losses.pairwise",
    "proxy_anchor": "losses.proxy_anchor",
    "supervised_contrastive": "losses.supervised",
}

__all__ = list(_HOMES)


def __getattr__(name: str) -> Any:
    """Import what is asked for from the room where it lives."""
    if name not in _HOMES:
        raise AttributeError(f"module 'geomix' has no attribute {name!r}")
    return getattr(import_module(f"geomix.{_HOMES[name]}"), name)
