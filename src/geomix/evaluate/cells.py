"""Names of the cells of a study, from params: never from what happens to lie in a folder."""

from collections.abc import Iterable, Sequence


def compare_cells(geometries: Sequence[str], seeds: Sequence[int]) -> list[str]:
    """Name the cells of `compare`: geometry-seed."""
    return [f"{geometry}-{seed}" for geometry in geometries for seed in seeds]


def sweep_cells(
    geometries: Sequence[str], values: Sequence[float], seeds: Sequence[int]
) -> list[str]:
    """Name the cells of a sweep: geometry-value-seed, the value as it is written in params.yaml."""
    return [
        f"{geometry}-{value}-{seed}"
        for geometry in geometries
        for value in values
        for seed in seeds
    ]


def baseline_cells(seeds: Sequence[int]) -> list[str]:
    """Name the baselines: raw pixels, and the untrained network of each seed."""
    return ["pixels", *(f"untrained-{seed}" for seed in seeds)]


def system_cells(systems: Iterable[str], seeds: Sequence[int]) -> list[str]:
    """Name the cells of the study `systems`: system/seed."""
    return [f"{system}/{seed}" for system in systems for seed in seeds]
