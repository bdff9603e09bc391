"""Data: packed data sets, archives, pixels, crops and batches of images."""
