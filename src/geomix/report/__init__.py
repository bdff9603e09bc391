"""Report: read results, write pages. No number is computed from images or embeddings here, only from results."""
