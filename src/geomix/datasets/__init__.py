"""Data sets: one file for each, where it is from and how it is read."""
