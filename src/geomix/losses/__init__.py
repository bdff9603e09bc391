"""Losses on logits, who the rows and columns are, and what the rules for negatives share."""
