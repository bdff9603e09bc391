"""Model: the spaces and geometries that train and evaluate share, and for train alone the network and its images."""
