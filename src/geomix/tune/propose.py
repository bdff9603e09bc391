"""Later rounds of trials: proposals of a seeded sampler that knows the trials before."""

import math
import warnings
from collections.abc import Sequence
from typing import Any

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution

from geomix.config.tuning import Among, Range, Ranges
from geomix.tune.history import Trial, choose_best, list_trained
from geomix.tune.ranges import round_settings


def propose(
    ranges: Ranges, history: Sequence[Trial], count: int, seed: int
) -> list[dict[str, Any]]:
    """Propose the settings of a round from all trials before it.

    A Gaussian process with a Matern 5/2 kernel and a length scale for each key is fitted to the
    scores. Each proposal maximises the expected improvement over the best score, given that those
    before it in the round are being tried: so they differ though none has a score yet. A trial in
    which training failed counts as the worst of the others.

    Args:
        ranges: What is searched.
        history: At least one trial that was trained.
        count: Of the proposals.
        seed: Of the sampler.

    Returns:
        Settings by dotted key, the same for the same arguments on the same machine kind.

    Raises:
        InputError: If training failed in all trials.

    Source:
        Snoek et al. 2012 (arXiv:1206.2944); logarithm of the improvement as Ament et al. 2023
        (arXiv:2310.20708); Optuna's GPSampler.
    """
    study = build_study(ranges, history, seed)
    distributions = describe_ranges(ranges)
    proposals = [study.ask(distributions).params for _ in range(count)]
    return [round_settings(ranges, one) for one in proposals]


def build_study(ranges: Ranges, history: Sequence[Trial], seed: int) -> optuna.Study:
    """Build a study in memory that holds the trials."""
    choose_best(history)
    worst = min(one.score for one in list_trained(history))
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        # One trial is enough to fit the process, as the first round is drawn from the table.
        sampler = optuna.samplers.GPSampler(seed=seed, n_startup_trials=1)
    study = optuna.create_study(sampler=sampler, direction="maximize")
    distributions = describe_ranges(ranges)
    for one in history:
        score = worst if math.isnan(one.score) else one.score
        study.add_trial(
            optuna.create_trial(params=dict(one.settings), distributions=distributions, value=score)
        )
    return study


def describe_ranges(ranges: Ranges) -> dict[str, BaseDistribution]:
    """Describe what is searched in the sampler's words."""
    return {key: _describe(one) for key, one in ranges.items()}


def _describe(one: Range | Among) -> BaseDistribution:
    if isinstance(one, Among):
        return CategoricalDistribution(one.among)
    return FloatDistribution(float(one.low), float(one.high), log=one.log)
