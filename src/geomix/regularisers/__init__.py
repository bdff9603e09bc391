"""Regularisers: what is added to any loss."""
