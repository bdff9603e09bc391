"""Library: a trained run in use, and losses for training loops of one's own."""
