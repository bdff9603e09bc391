"""Rules for negatives: which ones count, and how much, in the terms of `pairwise_cross_entropy`."""
