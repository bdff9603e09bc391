"""What stored embeddings say of geometries: negatives, radii, hierarchy. Nothing is trained."""
