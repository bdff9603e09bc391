"""Retrieval: exact search and its metrics; nothing here is a dependency of train."""
