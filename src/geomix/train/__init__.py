"""Train: one run of one geometry, from packed images to weights and embeddings."""
