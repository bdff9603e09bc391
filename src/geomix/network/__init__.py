"""Network: a Vision Transformer or an MLP, a linear head and its norm, weights, and embeddings."""
