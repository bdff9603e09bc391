"""Geometry: distances, spaces, and geometries as weighted sums of spaces."""
