"""Geometry: distances, spaces, and geometries as weighted sums of spaces; imports nothing of ours but errors."""
