"""Network: a Vision Transformer or an MLP with a linear head, its first weights, and embedding with it."""
