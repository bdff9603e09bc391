"""Rules for negatives, one file each: which count, and how much, in `pairwise_cross_entropy`."""
