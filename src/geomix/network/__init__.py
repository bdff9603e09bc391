"""Network: a Vision Transformer or an MLP with a linear head, its weights, and embeddings."""
