"""Evaluate: search the embeddings of a whole study and score the lists; torch, never timm."""
