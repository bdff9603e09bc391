"""Regularisers, one file each: what is added to any loss."""
