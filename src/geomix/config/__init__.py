"""Config: every key of params.yaml with its type and range, its reader, and what goes together."""
