"""Tune: rounds of trials, from a table and then from a sampler, and what their scores say."""
