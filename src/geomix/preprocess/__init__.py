"""Preprocess: split the classes of a data set, decode its images, pack them beside one table."""
