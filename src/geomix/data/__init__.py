"""Data: packed data sets, pixels, crops and batches of images."""
