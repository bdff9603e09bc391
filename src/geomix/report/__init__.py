"""Report: read results, write pages.

Results are computed as data first; words follow, in templates. No number is computed from images
or embeddings here.
"""
