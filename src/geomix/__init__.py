"""GeoMix: Euclidean, hyperbolic and hybrid metric learning, compared fairly."""
