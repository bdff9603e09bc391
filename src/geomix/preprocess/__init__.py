"""Preprocess: decode the raw images, split their classes, pack everything into one array and one table."""
