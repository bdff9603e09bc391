"""Losses on logits, and who the rows and columns of logits are."""
